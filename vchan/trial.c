/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/trial.h"

#include <time.h>

#include "state/clock.h"

/* In every so many copies each way is tried once: the slower one may take ten times as long. */
#define TURNS 512u

bool trial_begin(struct trial *trial, uint64_t *since)
{
    uint32_t turn = trial->turn++ % TURNS;

    *since = turn < 2 ? (uint64_t)clock_ns() : 0;
    return turn < 2 ? turn == 1 : trial->cost[1] <= trial->cost[0];
}

void trial_end(struct trial *trial, bool second, uint32_t bytes, uint64_t since)
{
    uint64_t cost;

    if (since == 0)
        return;
    cost = (((uint64_t)clock_ns() - since) << 20) / bytes;
    trial->cost[second] = cost < UINT32_MAX ? (uint32_t)cost : UINT32_MAX;
}
