/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/pace.h"

#define WINDOW_MS 10u

bool pace_is_hasty(struct pace *pace, uint64_t ms)
{
    uint64_t window = ms / WINDOW_MS;

    if (window != pace->window)
        *pace = (struct pace){.window = window};
    if (pace->count == PACE_MAX)
        return true;
    pace->count++;
    return false;
}
