/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvchan_open(): a channel by its name, from either side.
 */
#include <errno.h>
#include <stdlib.h>

#include "frontend/channels.h"
#include "vchan/handle.h"

/* Which of this domain's devices is meant. */
static int find(struct store *store, const char *name, struct channel_view *device)
{
    const struct channel_view *found;
    struct channel_view *views;
    size_t count;
    int rc = channels_list(store, &views, &count);

    if (rc < 0)
        return rc;
    rc = channels_find(views, count, name, true, &found);
    if (rc == 0)
        *device = *found;
    free(views);
    return rc;
}

/* A frontend that is Closed was refused; a backend may be told so by its frontend, which starts over. */
static int refused(const struct pvchan *handle, enum machine_role role)
{
    const struct endpoint *endpoint = handle->endpoint;

    if (!endpoint_present(endpoint))
        return -ENOENT;
    if (endpoint_error(endpoint))
        return endpoint_error(endpoint);
    if (endpoint_own_state(endpoint) != XenbusStateClosed)
        return 0;
    return role == MACHINE_FRONTEND ? -ECONNREFUSED : 0;
}

/* A frontend still at Initialised has not seen us; if we came and went now, it would take that for a no. */
static bool both_connected(const struct endpoint *endpoint)
{
    return endpoint_channel(endpoint) &&
           endpoint_peer_state(endpoint) != XenbusStateInitialised;
}

static int await_connected(struct pvchan *handle, enum machine_role role, int64_t deadline)
{
    int rc = 0;

    endpoint_look(handle->endpoint);
    while (rc == 0 && !both_connected(handle->endpoint)) {
        rc = refused(handle, role);
        if (rc == 0)
            rc = handle_wait(handle, deadline);
    }
    return rc;
}

/*
 * A handle is one connection: a backend's side would take the next frontend, and mix the two. (Before it
 * was connected there is nothing to mix.)
 */
static void end_of_life(void *arg)
{
    struct pvchan *handle = arg;

    if (endpoint_channel(handle->endpoint))
        endpoint_set_leaving(handle->endpoint);
}

static int connect_named(struct pvchan *handle, const char *name, int64_t deadline)
{
    static const struct endpoint_ops ops = {.releasing = end_of_life};
    struct channel_view device;
    int rc = find(handle->store, name, &device);

    if (rc == 0)
        rc = endpoint_open(handle->store, handle->xen, device.role, device.dir, &ops, handle,
                           &handle->endpoint);
    if (rc < 0)
        return rc;
    handle->peer = endpoint_peer_domid(handle->endpoint);
    rc = handle_watch(handle, endpoint_own_dir(handle->endpoint));
    if (rc == 0)
        rc = handle_watch(handle, endpoint_peer_dir(handle->endpoint));
    if (rc == 0)
        rc = await_connected(handle, device.role, deadline);
    if (rc == 0)
        handle_take_sizes(handle);
    return rc;
}

__attribute__((visibility("default"))) int pvchan_open(const char *name, int timeout_ms,
                                                       unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle;
    int rc = handle_make(flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    rc = connect_named(handle, name, handle_deadline(timeout_ms));
    if (rc < 0)
        pvchan_close(handle);
    else
        *out = handle;
    return rc;
}
