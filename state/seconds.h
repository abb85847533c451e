/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durations, as command lines give them and messages show them. */
#ifndef STATE_SECONDS_H
#define STATE_SECONDS_H

/* What parse_seconds() accepts, for messages: "--timeout "x": expected " SECONDS_WANTED. */
#define SECONDS_WANTED "a number of seconds, such as 10 or 0.5, or inf"

/*
 * Parses "10", "0.5" or "inf" into milliseconds; inf is -1. Accepts up to three digits after the
 * point and at most 2147482 seconds. Returns 0, or -EINVAL, which leaves *ms unchanged.
 */
int parse_seconds(const char *text, int *ms);

/* Room for what format_seconds() writes. */
#define SECONDS_TEXT_MAX 16

/* The reverse, without needless digits. */
void format_seconds(int ms, char text[SECONDS_TEXT_MAX]);

#endif
