/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvchan_open(): a channel by its name, from either side.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/device.h"
#include "vchan/handle.h"

#define ANY_DOMAIN DOMID_INVALID

/* What is looked for, and what was found so far. */
struct search {
    struct store *store;
    const char *name;
    uint32_t peer; /* or ANY_DOMAIN */
    enum machine_role role;
    char dir[DEVICE_PATH_MAX];
    unsigned int found;
    bool served; /* there is one, but vchan-backend has it */
};

static bool has_name(const struct search *search, const char *dir)
{
    char name[DEVICE_NAME_MAX + 1];

    return store_read_text(search->store, dir, "name", name, sizeof(name)) == 0 &&
           strcmp(name, search->name) == 0;
}

static bool has_peer(const struct search *search, const char *dir, const char *key)
{
    uint32_t peer;

    return search->peer == ANY_DOMAIN ||
           (store_read_number(search->store, dir, key, DOMID_INVALID, &peer) == 0 &&
            peer == search->peer);
}

/* An application opens the backend's side of what is declared for applications only. */
static bool is_for_application(const struct search *search, const char *dir)
{
    char kind[16];
    int rc = store_read_text(search->store, dir, "connection", kind, sizeof(kind));

    return rc == -ENOENT || (rc == 0 && strcmp(kind, "app") == 0);
}

static void found(struct search *search, enum machine_role role, const char *dir)
{
    search->found++;
    search->role = role;
    snprintf(search->dir, sizeof(search->dir), "%s", dir);
}

static void try_frontend(struct search *search, const char *dir)
{
    if (has_name(search, dir) && has_peer(search, dir, "backend-id"))
        found(search, MACHINE_FRONTEND, dir);
}

static void try_backend(struct search *search, const char *dir)
{
    if (!has_name(search, dir) || !has_peer(search, dir, "frontend-id"))
        return;
    if (is_for_application(search, dir))
        found(search, MACHINE_BACKEND, dir);
    else
        search->served = true;
}

/* Calls try for every directory in dir. Directories that we may not list have nothing for us. */
static void for_each(struct search *search, const char *dir,
                     void (*try)(struct search *search, const char *dir))
{
    char path[DEVICE_PATH_MAX];
    char **names;
    unsigned int count;

    if (store_list(search->store, NULL, dir, &names, &count) < 0)
        return;
    for (unsigned int i = 0; i < count; i++) {
        if (snprintf(path, sizeof(path), "%s/%s", dir, names[i]) < (int)sizeof(path))
            try(search, path);
    }
    free(names);
}

static void try_frontends_of(struct search *search, const char *dir)
{
    for_each(search, dir, try_backend);
}

/* "NAME", or "DOMID/NAME" with the domain at the other end. */
static int parse_name(const char *text, struct search *search)
{
    const char *slash = strchr(text, '/');
    char domid[8];

    search->peer = ANY_DOMAIN;
    search->name = slash ? slash + 1 : text;
    if (!device_name_valid(search->name))
        return -EINVAL;
    if (!slash)
        return 0;
    if (snprintf(domid, sizeof(domid), "%.*s", (int)(slash - text), text) >= (int)sizeof(domid))
        return -EINVAL;
    return parse_number(domid, DOMID_FIRST_RESERVED - 1, &search->peer) < 0 ? -EINVAL : 0;
}

static int find(struct store *store, const char *text, struct search *search)
{
    int rc;

    *search = (struct search){.store = store};
    rc = parse_name(text, search);
    if (rc < 0)
        return rc;
    for_each(search, "device/vchan", try_frontend);
    for_each(search, "backend/vchan", try_frontends_of);
    if (search->found > 1)
        return -ENOTUNIQ;
    if (search->found == 0)
        return search->served ? -EBUSY : -ENOENT;
    return 0;
}

/* A frontend that is Closed was refused; a backend may be told so by its frontend, which starts over. */
static int refused(const struct pvchan *handle, enum machine_role role)
{
    const struct endpoint *endpoint = handle->endpoint;

    if (!endpoint_present(endpoint))
        return -ENOENT;
    if (endpoint_own_state(endpoint) != XenbusStateClosed)
        return 0;
    if (endpoint_error(endpoint))
        return endpoint_error(endpoint);
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
    struct search search;
    int rc = find(handle->store, name, &search);

    if (rc == 0)
        rc = endpoint_open(handle->store, handle->xen, search.role, search.dir, &ops, handle,
                           &handle->endpoint);
    if (rc < 0)
        return rc;
    handle->peer = endpoint_peer_domid(handle->endpoint);
    rc = handle_watch(handle, endpoint_own_dir(handle->endpoint));
    if (rc == 0)
        rc = handle_watch(handle, endpoint_peer_dir(handle->endpoint));
    if (rc == 0)
        rc = await_connected(handle, search.role, deadline);
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
