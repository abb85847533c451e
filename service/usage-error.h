/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors in a service's command line: each is one line on standard error. */
#ifndef SERVICE_USAGE_ERROR_H
#define SERVICE_USAGE_ERROR_H

/* The exit code after a usage error. */
#define EXIT_USAGE 2

/* Reports an error in a word of the command line, and mentions --help. Returns EXIT_USAGE. */
int usage_error_word(const char *word, const char *why);

/* Reasons for usage_error_value(). */
#define USAGE_NOT_COUNT "is not a positive number"
#define USAGE_NOT_SIZE  "is not a size (such as 4096, 64K or 256M)"

/* Reports an error in an option's value: "--max-rings: "x" is not a size". Returns EXIT_USAGE. */
int usage_error_value(const char *option, const char *value, const char *why);

/* Returns the name of an option letter, "-x". Valid until the next call. */
const char *usage_option_name(int letter);

#endif
