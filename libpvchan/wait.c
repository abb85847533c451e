/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for the events of one handle.
 */
#include <errno.h>

#include "libpvchan/handle.h"

#define EVENTS_TO_AWAIT                                                                            \
    (unsigned int)(PVCHAN_READABLE | PVCHAN_WRITABLE | PVCHAN_ENDED | PVCHAN_STATE_CHANGED)

EXPORT int pvchan_set_timeout(struct pvchan *handle, int timeout_ms)
{
    if (timeout_ms < -1)
        return -EINVAL;
    handle->timeout_ms = timeout_ms;
    return 0;
}

/* Polls only for what a read or write would look for; for other events it sleeps at once. */
static void spin(struct pvchan *handle, unsigned int events)
{
    if (events == PVCHAN_READABLE)
        handle_spin(handle, CHANNEL_READ, 1);
    else if (events == PVCHAN_WRITABLE)
        handle_spin(handle, CHANNEL_WRITE, 1);
}

EXPORT int pvchan_wait(struct pvchan *handle, unsigned int events, int timeout_ms)
{
    int64_t deadline = handle_deadline(timeout_ms);
    int rc = 0;

    if (!handle->group->alone || events == 0 || (events & ~EVENTS_TO_AWAIT))
        return -EINVAL;
    if (timeout_ms == 0) /* 0: it will not wait for anything that only xenstore can show */
        rc = pvchan_dispatch(handle);
    if (rc < 0)
        return rc;
    for (;;) {
        unsigned int found;

        if (timeout_ms != 0)
            spin(handle, events);
        found = handle_events(handle) & events;
        handle_set_reported(handle, found);
        if (found)
            return (int)found;
        rc = handle_wait(handle, deadline);
        if (rc == -ETIMEDOUT)
            return 0;
        if (rc < 0)
            return rc;
    }
}
