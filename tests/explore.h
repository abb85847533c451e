/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of a device's whole world (xenstore, the shared page, a frontend, a backend, a toolstack)
 * in which the shipped machine_step() is explored: every interleaving, with crashes and restarts of
 * either side at any step, and watches that are late or merged.
 */
#ifndef TESTS_EXPLORE_H
#define TESTS_EXPLORE_H

#include "state/machine.h"

/* The function under test, or one with a seeded fault. */
typedef struct machine_step explore_step_fn(enum machine_role role,
                                            const struct machine_view *view);

struct explore_result {
    unsigned long states;      /* reached */
    unsigned long transitions; /* taken */
    unsigned long quiet;       /* of the states, those in which nothing goes on by itself */
    char fault[256];           /* the first rule that was broken, or "" */
    char trace[8192];          /* how it came to that, a line per step */
};

/*
 * Explores all that can happen with at most so many crashes (of either side, together). Single
 * threaded; takes some hundred MB at most; seconds.
 */
void explore(explore_step_fn *step, unsigned int crashes, struct explore_result *result);

#endif
