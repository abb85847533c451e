/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/xenbus.h"

#include <stddef.h>
#include <strings.h>

static const char *const names[] = {
    [XenbusStateUnknown] = "Unknown",
    [XenbusStateInitialising] = "Initialising",
    [XenbusStateInitWait] = "InitWait",
    [XenbusStateInitialised] = "Initialised",
    [XenbusStateConnected] = "Connected",
    [XenbusStateClosing] = "Closing",
    [XenbusStateClosed] = "Closed",
    [XenbusStateReconfiguring] = "Reconfiguring",
    [XenbusStateReconfigured] = "Reconfigured",
};

static const size_t count = sizeof(names) / sizeof(names[0]);

const char *xenbus_state_name(enum xenbus_state state)
{
    return (size_t)state < count ? names[state] : "?";
}

bool xenbus_state_by_name(const char *name, enum xenbus_state *state)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            *state = (enum xenbus_state)i;
            return true;
        }
    }
    return false;
}
