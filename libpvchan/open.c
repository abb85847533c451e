/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pvchan_open(): opens a channel by its name, from either side. */
#include <errno.h>
#include <stdlib.h>

#include "libpvchan/channels.h"
#include "libpvchan/handle.h"
#include "state/error.h"
#include "state/text.h"

/* Explains with what the backend wrote, if it wrote anything. */
static void explain_refusal(struct pvchan *handle)
{
    const char *dir = endpoint_peer_dir(handle->endpoint);
    char error[CHANNELS_ERROR_MAX];

    if (endpoint_peer_state(handle->endpoint) == XenbusStateUnknown) {
        handle_explain(handle, "its backend, in domain %u, is gone (detach it on the host, and "
                       "attach it again)", handle->peer);
    } else if (store_read_text(handle->group->store, dir, "error", error, sizeof(error)) < 0) {
        handle_explain(handle, "the backend, domain %u, closed it", handle->peer);
    } else {
        text_clean(error);
        handle_explain(handle, "the backend, domain %u, refused: %s", handle->peer, error);
    }
}

/*
 * A Closed frontend was refused. A backend may have been closed by its own frontend, which then
 * starts over.
 */
static int refused(struct pvchan *handle)
{
    const struct endpoint *endpoint = handle->endpoint;

    if (!endpoint_present(endpoint)) {
        handle_explain(handle, "it was detached");
        return -ENOENT;
    }
    if (endpoint_error(endpoint)) {
        handle_explain(handle, "%s", endpoint_reason(endpoint));
        return endpoint_error(endpoint);
    }
    if (endpoint_own_state(endpoint) != XenbusStateClosed || handle->role != MACHINE_FRONTEND)
        return 0;
    explain_refusal(handle);
    return -ECONNREFUSED;
}

/* A frontend still at Initialised has not seen us; leaving now would look like a refusal to it. */
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
 * A handle is one connection. If a backend's side took the next frontend, the two would be mixed
 * up. (Before Connected there is nothing to mix.)
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
    handle_queue(handle);
}

/* Xenstore or the peer may have changed something that concerns the program. */
static void stirred(void *arg)
{
    handle_queue(arg);
}

/*
 * Everything that concerns a frontend shows in the backend's directory: the state, an unplug, a
 * removal by force. A backend must also watch its own, for the toolstack's unplug.
 */
static int watch(struct pvchan *handle)
{
    int rc = handle_watch(handle, endpoint_peer_dir(handle->endpoint));

    if (rc == 0 && handle->role == MACHINE_BACKEND)
        rc = handle_watch(handle, endpoint_own_dir(handle->endpoint));
    return rc;
}

static void explain_name(struct pvchan *handle, const char *name, int rc)
{
    switch (rc) {
    case -EINVAL:
        handle_explain(handle, "\"%s\" is not a channel's name (NAME, or DOMID/NAME)", name);
        break;
    case -ENOENT:
        handle_explain(handle, "this domain has no channel \"%s\"", name);
        break;
    case -ENOTUNIQ:
        handle_explain(handle, "several domains have a channel \"%s\" (name one as DOMID/NAME)",
                       name);
        break;
    case -EBUSY:
        handle_explain(handle, "vchan-backend serves \"%s\" (programs may open it with "
                       "connection=app)", name);
        break;
    default:
        handle_explain(handle, "cannot list this domain's channels: %s", error_text(rc));
    }
}

static void explain_side(struct pvchan *handle, const char *dir, int rc)
{
    switch (rc) {
    case -EBUSY:
        handle_explain(handle, "this or another process has it open (%s)", dir);
        break;
    case -ENOENT:
        handle_explain(handle, "a node is missing in %s", dir);
        break;
    case -EINVAL:
        handle_explain(handle, "invalid name, peer or ring size in %s", dir);
        break;
    case -ELOOP:
        handle_explain(handle, "both ends of %s are this domain", dir);
        break;
    default:
        handle_explain(handle, "cannot take %s: %s", dir, error_text(rc));
    }
}

static int connect_named(struct pvchan *handle, const char *name)
{
    static const struct endpoint_ops ops = {
        .stirred = stirred, .moved = stirred, .releasing = end_of_life,
        .unfinished = look_again};
    struct pvchan_group *group = handle->group;
    struct channel_view device;
    int rc = channels_lookup(group->store, &group->names, &group->names_count, name, true, &device);

    channel_rings_init(&handle->rings, group->xen);
    if (rc < 0) {
        explain_name(handle, name, rc);
        return rc;
    }
    rc = endpoint_open(group->store, &handle->rings.rings, device.role, device.dir, &ops, handle,
                       &handle->endpoint);
    if (rc < 0) {
        explain_side(handle, device.dir, rc);
        return rc;
    }
    handle->role = device.role;
    handle->peer = endpoint_peer_domid(handle->endpoint);
    rc = watch(handle);
    if (rc < 0)
        return rc;
    handle->advance = connect_now;
    endpoint_look(handle->endpoint);
    return 0;
}

static int open_named(struct pvchan_group *group, const char *name, int timeout_ms,
                      unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle;
    int rc = handle_make(group, flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    return handle_open(handle, connect_named(handle, name), timeout_ms, out);
}

EXPORT int pvchan_open(const char *name, int timeout_ms, unsigned int flags, struct pvchan **out)
{
    return open_named(NULL, name, timeout_ms, flags, out);
}

EXPORT int pvchan_group_add_channel(struct pvchan_group *group, const char *name, int timeout_ms,
                                    unsigned int flags, struct pvchan **out)
{
    return open_named(group, name, timeout_ms, flags, out);
}
