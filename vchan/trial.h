/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the faster of two ways to copy. It depends on where the hypervisor runs the two CPUs at the
 * moment (two threads of a core, two cores that share a cache, or far apart), which no interface
 * reports. So both are tried now and then.
 */
#ifndef VCHAN_TRIAL_H
#define VCHAN_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

/* What was learned. Initialise to zeros. */
struct trial {
    uint32_t cost[2]; /* recent cost of each way, in ns for a MiB */
    uint32_t turn;
};

/* Begins a copy. Returns whether to use the second way. Pass *since to trial_end(). */
bool trial_begin(struct trial *trial, uint64_t *since);

/* Ends a copy of bytes (at least one) made the way that trial_begin() returned. */
void trial_end(struct trial *trial, bool second, uint32_t bytes, uint64_t since);

#endif
