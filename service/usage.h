/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A service's command line that makes no sense: one line on standard error. */
#ifndef SERVICE_USAGE_H
#define SERVICE_USAGE_H

/* The exit code of who was called in a way that makes no sense. */
#define EXIT_USAGE 2

/* Says what is wrong with a word of the command line, and where to look. Gives EXIT_USAGE. */
int usage_complain(const char *word, const char *why);

/* What a value is not. */
#define USAGE_NO_COUNT "is not a positive number"
#define USAGE_NO_SIZE  "is not a size (such as 4096, 64K or 256M)"

/* The same for an option's value: "--max-rings: "x" is not a size". */
int usage_refuse(const char *option, const char *value, const char *why);

/* An option's letter as a word, "-x". Valid until the next call. */
const char *usage_letter(int letter);

#endif
