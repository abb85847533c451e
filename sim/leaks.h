/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds what scenarios leave behind. */
#ifndef SIM_LEAKS_H
#define SIM_LEAKS_H

#include <stdbool.h>

/*
 * Remembers the current state of xenstore and of all handles as the host's own. Returns 0 or a
 * negative errno. For domain 0 only.
 */
int leaks_baseline(void);

/*
 * Prints a line "xensim: leak: …" on stderr for each leak, and returns their number or a negative
 * errno. all: nothing may be left; otherwise only what dead processes and domains left counts.
 * Repeats this for up to a second, because xenstored and exiting processes release a dead domain
 * slightly later than a wait for its end returns.
 */
int leaks_report(bool all);

#endif
