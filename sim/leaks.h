/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What scenarios leave behind. */
#ifndef SIM_LEAKS_H
#define SIM_LEAKS_H

#include <stdbool.h>

/* Remembers the present state of xenstore and of all handles as the host's own. Returns 0 or a
 * negative errno. Domain 0 only. */
int leaks_baseline(void);

/* Prints one line "xensim: leak: …" for each leak on stderr; returns how many, or a negative
 * errno. `all`: nothing may be left; otherwise only what belongs to dead processes and domains
 * counts. Looks again for up to a second, since xenstored and exiting processes let go of a dead
 * domain a moment after those who wait for its end have returned. */
int leaks_report(bool all);

#endif
