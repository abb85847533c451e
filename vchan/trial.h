/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of two ways to copy is the faster one: it depends on where the host runs the two CPUs at
 * present (two threads of a core, two cores of a cache, or far apart), which nobody tells. So both
 * are tried, now and then.
 */
#ifndef VCHAN_TRIAL_H
#define VCHAN_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

/* What was learned: zero is a good beginning. */
struct trial {
    uint32_t cost[2]; /* of each way, of late: ns for a MiB */
    uint32_t turn;
};

/* Begins a copy: whether it is to go the second way. *since is for trial_end(). */
bool trial_begin(struct trial *trial, uint64_t *since);

/* The copy of so many bytes, at least one, is made, by the way that trial_begin() said. */
void trial_end(struct trial *trial, bool second, uint32_t bytes, uint64_t since);

#endif
