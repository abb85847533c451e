/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvchan_open(): a channel by its name, from either side.
 */
#include <errno.h>
#include <stdlib.h>

#include "libpvchan/channels.h"
#include "libpvchan/handle.h"

#define EXPORT __attribute__((visibility("default")))

/*
 * A frontend that is Closed was refused; a backend may be told so by its frontend, which starts
 * over.
 */
static int refused(const struct pvchan *handle)
{
    const struct endpoint *endpoint = handle->endpoint;

    if (!endpoint_present(endpoint))
        return -ENOENT;
    if (endpoint_error(endpoint))
        return endpoint_error(endpoint);
    if (endpoint_own_state(endpoint) != XenbusStateClosed)
        return 0;
    return handle->role == MACHINE_FRONTEND ? -ECONNREFUSED : 0;
}

/*
 * A frontend still at Initialised has not seen us; if we came and went now, it would take that for
 * a no.
 */
static bool both_connected(const struct endpoint *endpoint)
{
    return endpoint_is_connected(endpoint) &&
           endpoint_peer_state(endpoint) != XenbusStateInitialised;
}

static int connect_now(struct pvchan *handle)
{
    int rc;

    if (both_connected(handle->endpoint))
        return 0;
    rc = refused(handle);
    return rc < 0 ? rc : -EINPROGRESS;
}

/*
 * A handle is one connection: a backend's side would take the next frontend, and mix the two.
 * (Before it was connected there is nothing to mix.)
 */
static void end_of_life(void *arg)
{
    struct pvchan *handle = arg;

    if (endpoint_is_connected(handle->endpoint))
        endpoint_set_leaving(handle->endpoint);
}

static void look_again(void *arg)
{
    struct pvchan *handle = arg;

    handle->look = true;
    handle_tell(handle);
}

/* Xenstore or the peer has something that the program may want to look at. */
static void stirred(void *arg)
{
    handle_tell(arg);
}

/*
 * All that concerns a frontend shows at the backend's side: its state, an unplug, a removal by
 * force. A backend has to see the toolstack's unplug on its own side.
 */
static int watch(struct pvchan *handle)
{
    int rc = handle_watch(handle, endpoint_peer_dir(handle->endpoint));

    if (rc == 0 && handle->role == MACHINE_BACKEND)
        rc = handle_watch(handle, endpoint_own_dir(handle->endpoint));
    return rc;
}

static int connect_named(struct pvchan *handle, const char *name)
{
    static const struct endpoint_ops ops = {
        .stirred = stirred, .moved = stirred, .releasing = end_of_life,
        .unfinished = look_again};
    struct pvchan_group *group = handle->group;
    struct channel_view device;
    int rc = channels_look(group->store, &group->names, &group->names_count, name, true, &device);

    channel_rings_init(&handle->rings, group->xen);
    if (rc == 0)
        rc = endpoint_open(group->store, &handle->rings.rings, device.role, device.dir, &ops,
                           handle, &handle->endpoint);
    if (rc < 0)
        return rc;
    handle->role = device.role;
    handle->peer = endpoint_peer_domid(handle->endpoint);
    rc = watch(handle);
    if (rc < 0)
        return rc;
    handle->advance = connect_now;
    endpoint_look(handle->endpoint);
    return 0;
}

EXPORT int pvchan_open(const char *name, int timeout_ms, unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle;
    int rc = handle_make(flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    return handle_open(handle, connect_named(handle, name), timeout_ms, out);
}

EXPORT int pvchan_open_in(struct pvchan_group *group, const char *name, int timeout_ms,
                          unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle;
    int rc = handle_make_in(group, flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    return handle_open(handle, connect_named(handle, name), timeout_ms, out);
}
