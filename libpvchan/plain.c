/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pvchan_open_server() and pvchan_open_client(): a channel by a xenstore path, without a device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpvchan/handle.h"
#include "state/error.h"

/* A signal says nothing more: the caller tries to read and write after every event. */
static void fired(struct channel *channel, void *arg)
{
    (void)channel;
    handle_queue(arg);
}

/* Mapping one's own grants has crashed kernels. */
static int refuse_self(struct pvchan *handle)
{
    domid_t own;
    int rc = store_own_domid(handle->group->store, &own);

    if (rc < 0 || own != handle->peer)
        return rc;
    handle_explain(handle, "the peer, domain %u, is this domain", handle->peer);
    return -ELOOP;
}

static int set_peer(struct pvchan *handle, unsigned int peer)
{
    if (peer >= DOMID_FIRST_RESERVED) {
        handle_explain(handle, "%u is not a domain id", peer);
        return -EINVAL;
    }
    handle->peer = peer;
    return refuse_self(handle);
}

/* ---- server ---- */

/* Writes one key, readable by the peer and nobody else, as libxenvchan does. */
static int write_key(struct pvchan *handle, domid_t own, const char *key, uint32_t value)
{
    char path[STORE_PATH_MAX];
    int rc = 0;

    if (snprintf(path, sizeof(path), "%s/%s", handle->path, key) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    rc = store_make_directory(handle->group->store, path, own, (domid_t)handle->peer);
    return rc < 0 ? rc : store_write_number(handle->group->store, NULL, path, value);
}

/* The length of the part of a path that exists. */
static size_t length_there(struct store *store, const char *path)
{
    char dir[STORE_PATH_MAX];

    snprintf(dir, sizeof(dir), "%s", path);
    while (dir[0] && !store_exists(store, NULL, dir)) {
        char *slash = strrchr(dir, '/');

        *(slash ? slash : dir) = '\0';
    }
    return strlen(dir);
}

static int fill_keys(struct store *store, void *arg)
{
    struct pvchan *handle = arg;
    domid_t own;
    int rc = store_own_domid(store, &own);

    handle->path_above = length_there(store, handle->path);
    if (rc == 0)
        rc = write_key(handle, own, "ring-ref", channel_ring_ref(handle->plain));
    if (rc == 0)
        rc = write_key(handle, own, "event-channel", channel_port(handle->plain));
    return rc;
}

static bool key_is(struct store *store, const char *dir, const char *key, uint32_t value)
{
    uint32_t found;

    return store_read_number(store, dir, key, UINT32_MAX, &found) == 0 && found == value;
}

/*
 * Removes the keys only if they are still ours: a successor may have taken the path over. Then
 * removes the directories made for them, if empty.
 */
static int remove_keys(struct store *store, void *arg)
{
    struct pvchan *handle = arg;
    char path[STORE_PATH_MAX], above[STORE_PATH_MAX];

    if (!key_is(store, handle->path, "ring-ref", channel_ring_ref(handle->plain)) ||
        !key_is(store, handle->path, "event-channel", channel_port(handle->plain)))
        return 0;
    snprintf(path, sizeof(path), "%s/ring-ref", handle->path);
    store_remove(store, path);
    snprintf(path, sizeof(path), "%s/event-channel", handle->path);
    snprintf(above, sizeof(above), "%.*s", (int)handle->path_above, handle->path);
    return store_remove_upward(store, path, above);
}

static void withdraw(struct pvchan *handle)
{
    if (handle->path)
        store_transaction(handle->group->store, remove_keys, handle);
}

/* Grants rings of at least these sizes, as this side sees them. */
static int grant(struct pvchan *handle, size_t read_size, size_t write_size)
{
    struct channel_owner owner = {.fired = fired, .arg = handle};
    struct ring_orders orders;
    int rc = ring_orders_for(read_size, write_size, &orders);

    if (rc < 0) {
        handle_explain(handle, "a ring holds at most %u bytes, not %zu", PVCHAN_RING_MAX,
                       read_size > write_size ? read_size : write_size);
        return rc;
    }
    rc = channel_serve(handle->group->xen, (domid_t)handle->peer, &orders, owner, &handle->plain);
    if (rc < 0)
        handle_explain(handle, "cannot grant rings to domain %u: %s%s", handle->peer,
                       error_text(rc),
                       rc == -ENOSPC ? " (raise /sys/module/xen_gntalloc/parameters/limit)" : "");
    return rc;
}

static int serve(struct pvchan *handle, unsigned int peer, const char *path, size_t read_size,
                 size_t write_size)
{
    int rc = set_peer(handle, peer);

    if (rc == 0)
        rc = grant(handle, read_size, write_size);
    if (rc < 0)
        return rc;
    handle->withdraw = withdraw;
    handle->path = strdup(path);
    if (!handle->path)
        return -ENOMEM;
    rc = store_transaction(handle->group->store, fill_keys, handle);
    if (rc < 0)
        handle_explain(handle, "cannot write the keys below %s: %s", path, error_text(rc));
    return rc;
}

static int open_server(struct pvchan_group *group, unsigned int peer, const char *path,
                       size_t read_size, size_t write_size, unsigned int flags,
                       struct pvchan **out)
{
    struct pvchan *handle;
    int rc = handle_make(group, flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    return handle_open(handle, serve(handle, peer, path, read_size, write_size), -1, out);
}

EXPORT int pvchan_open_server(unsigned int peer, const char *path, size_t read_size,
                              size_t write_size, unsigned int flags, struct pvchan **out)
{
    return open_server(NULL, peer, path, read_size, write_size, flags, out);
}

EXPORT int pvchan_group_add_server(struct pvchan_group *group, unsigned int peer, const char *path,
                                   size_t read_size, size_t write_size, unsigned int flags,
                                   struct pvchan **out)
{
    return open_server(group, peer, path, read_size, write_size, flags, out);
}

/* ---- client ---- */

static void explain_join(struct pvchan *handle, int rc)
{
    switch (rc) {
    case -EBUSY:
        handle_explain(handle, "another client is connected to %s, or the server is gone and left "
                       "its keys", handle->path);
        break;
    case -EINVAL:
        handle_explain(handle, "the page of %s is not granted to this domain", handle->path);
        break;
    case -EPROTO:
        handle_explain(handle, "the shared page of %s is invalid", handle->path);
        break;
    default:
        handle_explain(handle, "cannot connect to domain %u at %s: %s", handle->peer,
                       handle->path, error_text(rc));
    }
}

static int read_key(struct pvchan *handle, const char *key, uint32_t *value)
{
    int rc = store_read_number(handle->group->store, handle->path, key, INT32_MAX, value);

    if (rc == -EINVAL || rc == -ERANGE)
        handle_explain(handle, "%s/%s is not a valid number", handle->path, key);
    else if (rc < 0)
        handle_explain(handle, "cannot read %s/%s: %s", handle->path, key, error_text(rc));
    return rc == -ERANGE ? -EINVAL : rc;
}

static int join(struct pvchan *handle)
{
    struct channel_owner owner = {.fired = fired, .arg = handle};
    uint32_t ring_ref, port;
    int rc = read_key(handle, "ring-ref", &ring_ref);

    if (rc == 0)
        rc = read_key(handle, "event-channel", &port);
    if (rc == 0) {
        rc = channel_join(handle->group->xen, (domid_t)handle->peer, ring_ref, port, NULL, owner,
                          &handle->plain);
        if (rc < 0)
            explain_join(handle, rc);
    }
    handle_unwatch(handle);
    return rc;
}

/* event-channel is written last, and may be the only key that we may read. */
static int join_when_offered(struct pvchan *handle)
{
    char leaf[STORE_PATH_MAX];
    int rc;

    if (snprintf(leaf, sizeof(leaf), "%s/event-channel", handle->path) >= (int)sizeof(leaf))
        return -ENAMETOOLONG;
    if (store_exists(handle->group->store, NULL, leaf))
        return join(handle);
    if (handle->places[0].parent)
        return -EINPROGRESS;
    rc = handle_watch(handle, leaf);
    if (rc < 0)
        handle_explain(handle, "cannot watch %s: %s", leaf, error_text(rc));
    if (rc == 0 && store_exists(handle->group->store, NULL, leaf)) /* it has just been written */
        return join(handle);
    return rc < 0 ? rc : -EINPROGRESS;
}

static int await_server(struct pvchan *handle, unsigned int peer, const char *path)
{
    int rc = set_peer(handle, peer);

    if (rc < 0)
        return rc;
    handle->path = strdup(path);
    handle->advance = join_when_offered;
    return handle->path ? 0 : -ENOMEM;
}

static int open_client(struct pvchan_group *group, unsigned int peer, const char *path,
                       int timeout_ms, unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle;
    int rc = handle_make(group, flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    return handle_open(handle, await_server(handle, peer, path), timeout_ms, out);
}

EXPORT int pvchan_open_client(unsigned int peer, const char *path, int timeout_ms,
                              unsigned int flags, struct pvchan **out)
{
    return open_client(NULL, peer, path, timeout_ms, flags, out);
}

EXPORT int pvchan_group_add_client(struct pvchan_group *group, unsigned int peer, const char *path,
                                   int timeout_ms, unsigned int flags, struct pvchan **out)
{
    return open_client(group, peer, path, timeout_ms, flags, out);
}
