/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of a device's whole world (xenstore, the shared page, a frontend, a backend and what it
 * is plugged into, a toolstack) in which the shipped machine_step() is explored: every
 * interleaving, with crashes and restarts of either side at any step, watches that are late or
 * merged, and a guest that writes anything into its own state.
 */
#ifndef TESTS_MODEL_EXPLORE_H
#define TESTS_MODEL_EXPLORE_H

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

/* How much of what is not in order can happen in one run: each 0 to 7. */
struct explore_limits {
    unsigned int crashes;   /* of either side, together */
    unsigned int restarts;  /* of the frontend's program */
    unsigned int meddles;   /* states that the meddler's guest writes into its own node, at any moment */
    enum machine_role meddler;
    bool reattach;          /* the backend offers it */
    bool keeps;             /* and rings outlive both of the processes */
};

/*
 * Explores all that can happen within the limits. Single threaded; takes some hundred MB at most;
 * seconds.
 */
void explore(explore_step_fn *step, const struct explore_limits *limits,
             struct explore_result *result);

#endif
