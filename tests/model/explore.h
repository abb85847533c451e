/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of a device's whole world (xenstore, the shared page, a frontend, a backend and its
 * connection, a toolstack) in which the shipped machine_step() is explored: every interleaving,
 * with crashes and restarts of either side at any step, late and merged watches, and a guest that
 * writes anything into its own state.
 */
#ifndef TESTS_MODEL_EXPLORE_H
#define TESTS_MODEL_EXPLORE_H

#include "state/machine.h"

/* The function under test, or one with a seeded fault. */
typedef struct machine_step explore_step_fn(enum machine_role role,
                                            const struct machine_view *view);

struct explore_result {
    unsigned long states;      /* states reached */
    unsigned long transitions; /* transitions taken */
    unsigned long quiet;       /* states in which nothing happens by itself */
    char fault[256];           /* the first rule broken, or "" */
    char trace[8192];          /* the steps that led there, one a line */
};

/* How much disorder one run may contain; each limit 0 to 7. */
struct explore_limits {
    unsigned int crashes;   /* of both sides together */
    unsigned int restarts;  /* of the frontend's program */
    unsigned int meddles;   /* how often a meddling guest writes any state into its own node */
    enum machine_role meddler;
    bool reattach;          /* the backend offers feature-reattach */
    bool keeps;             /* rings outlive both processes */
};

/*
 * Explores everything within the limits. Single-threaded; takes seconds and at most some hundred
 * MB.
 */
void explore(explore_step_fn *step, const struct explore_limits *limits,
             struct explore_result *result);

#endif
