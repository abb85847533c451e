/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libpvchan/channels.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/text.h"

static void read_text(struct store *store, const char *dir, const char *key, char *text,
                      size_t size)
{
    if (store_read_text(store, dir, key, text, size) < 0)
        text[0] = '\0';
    text_clean(text); /* it may come from the other domain */
}

/* Views the peer's side, whose directory our own side names. */
static void view_peer(struct store *store, const char *dir, struct channel_view *view)
{
    bool frontend = view->role == MACHINE_FRONTEND;
    char peer_dir[STORE_PATH_MAX];

    if (store_read_text(store, dir, frontend ? "backend" : "frontend", peer_dir, sizeof(peer_dir)) <
        0)
        return;
    store_read_state(store, peer_dir, &view->peer_state);
    read_text(store, peer_dir, "error", frontend ? view->backend_error : view->frontend_error,
              CHANNELS_ERROR_MAX);
}

static void view_fill(struct store *store, const struct channel_name *of, struct channel_view *view)
{
    bool frontend = of->role == MACHINE_FRONTEND;
    const char *dir = of->dir;
    uint32_t peer;

    *view = (struct channel_view){.role = of->role, .devid = of->devid};
    snprintf(view->dir, sizeof(view->dir), "%s", dir);
    read_text(store, dir, "connection", view->connection, sizeof(view->connection));
    view->for_program = frontend || strcmp(view->connection, "app") == 0;
    view->peer = DOMID_INVALID;
    if (store_read_number(store, dir, frontend ? "backend-id" : "frontend-id",
                          DOMID_FIRST_RESERVED - 1, &peer) == 0)
        view->peer = (domid_t)peer;
    read_text(store, dir, "name", view->name, sizeof(view->name));
    store_read_state(store, dir, &view->state);
    read_text(store, dir, "error", frontend ? view->frontend_error : view->backend_error,
              CHANNELS_ERROR_MAX);
    view_peer(store, dir, view);
}

/* ---- names ---- */

struct listing {
    struct store *store;
    struct channel_name *names;
    size_t count, room;
    int error; /* the first one */
};

/* A directory that may not be read counts as empty. */
static void list(struct listing *listing, const char *dir, uint32_t max, uint32_t **numbers,
                 size_t *count)
{
    int rc = store_list_numbers(listing->store, dir, max, numbers, count);

    if (rc < 0 && rc != -EACCES && listing->error == 0)
        listing->error = rc;
}

static void add(struct listing *listing, enum machine_role role, const char *dir, uint32_t devid)
{
    size_t room = listing->room ? 2 * listing->room : 16;
    struct channel_name *names = listing->names;

    if (listing->count == listing->room) {
        names = reallocarray(names, room, sizeof(*names));
        if (!names) {
            listing->error = -ENOMEM;
            return;
        }
        listing->names = names;
        listing->room = room;
    }
    names += listing->count++;
    *names = (struct channel_name){.role = role, .devid = devid};
    snprintf(names->dir, sizeof(names->dir), "%s", dir);
    read_text(listing->store, dir, "name", names->name, sizeof(names->name));
}

static void add_devices(struct listing *listing, enum machine_role role, const char *dir)
{
    char path[DEVICE_PATH_MAX];
    uint32_t *devids;
    size_t count;

    list(listing, dir, DEVICE_ID_MAX, &devids, &count);
    for (size_t i = 0; i < count && listing->error == 0; i++) {
        snprintf(path, sizeof(path), "%s/%" PRIu32, dir, devids[i]);
        add(listing, role, path, devids[i]);
    }
    free(devids);
}

static void add_backends(struct listing *listing)
{
    char dir[DEVICE_PATH_MAX];
    uint32_t *domids;
    size_t count;

    list(listing, "backend/vchan", DOMID_FIRST_RESERVED - 1, &domids, &count);
    for (size_t i = 0; i < count; i++) {
        snprintf(dir, sizeof(dir), "backend/vchan/%" PRIu32, domids[i]);
        add_devices(listing, MACHINE_BACKEND, dir);
    }
    free(domids);
}

int channels_names(struct store *store, struct channel_name **names, size_t *count)
{
    struct listing listing = {.store = store};

    add_devices(&listing, MACHINE_FRONTEND, "device/vchan");
    add_backends(&listing);
    *names = listing.names;
    *count = listing.count;
    if (listing.error) {
        free(listing.names);
        *names = NULL;
        *count = 0;
    }
    return listing.error;
}

/* Splits "DOMID/NAME"; without DOMID, *peer is DOMID_INVALID. -EINVAL: neither form. */
static int split_name(const char *text, const char **name, uint32_t *peer)
{
    const char *slash = strchr(text, '/');
    char domid[8];

    *peer = DOMID_INVALID;
    *name = slash ? slash + 1 : text;
    if (!device_name_valid(*name))
        return -EINVAL;
    if (!slash)
        return 0;
    if (snprintf(domid, sizeof(domid), "%.*s", (int)(slash - text), text) >= (int)sizeof(domid))
        return -EINVAL;
    return parse_number(domid, DOMID_FIRST_RESERVED - 1, peer) < 0 ? -EINVAL : 0;
}

/* ---- views ---- */

int channels_view(struct store *store, const struct channel_name *names, size_t names_count,
                  const char *name, struct channel_view **out, size_t *count)
{
    struct channel_view *views = NULL, *grown;
    uint32_t peer;

    *out = NULL;
    *count = 0;
    if (name && split_name(name, &name, &peer) < 0)
        return -EINVAL;
    for (size_t i = 0; i < names_count; i++) {
        if (name && strcmp(names[i].name, name) != 0)
            continue;
        grown = reallocarray(views, *count + 1, sizeof(*views));
        if (!grown) {
            free(views);
            *count = 0;
            return -ENOMEM;
        }
        views = grown;
        view_fill(store, &names[i], &views[(*count)++]);
    }
    *out = views;
    return 0;
}

int channels_list(struct store *store, struct channel_view **views, size_t *count)
{
    struct channel_name *names;
    size_t names_count;
    int rc = channels_names(store, &names, &names_count);

    *views = NULL;
    *count = 0;
    if (rc == 0)
        rc = channels_view(store, names, names_count, NULL, views, count);
    free(names);
    return rc;
}

bool channels_name_valid(const char *name)
{
    uint32_t peer;

    return split_name(name, &name, &peer) == 0;
}

int channels_find(const struct channel_view *views, size_t count, const char *name, bool to_open,
                  const struct channel_view **found)
{
    int none = -ENOENT;
    uint32_t peer;

    *found = NULL;
    if (split_name(name, &name, &peer) < 0)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(views[i].name, name) != 0 || (peer != DOMID_INVALID && views[i].peer != peer))
            continue;
        if (to_open && !views[i].for_program) {
            none = -EBUSY;
            continue;
        }
        if (*found)
            return -ENOTUNIQ;
        *found = &views[i];
    }
    return *found ? 0 : none;
}

/* Views the channels of that name as they are now, and picks one. Returns as channels_find(). */
static int pick(struct store *store, const struct channel_name *names, size_t names_count,
                const char *name, bool to_open, struct channel_view *view)
{
    const struct channel_view *found;
    struct channel_view *views;
    size_t count;
    int rc = channels_view(store, names, names_count, name, &views, &count);

    if (rc < 0)
        return rc;
    rc = channels_find(views, count, name, to_open, &found);
    if (rc == 0)
        *view = *found;
    free(views);
    return rc;
}

int channels_lookup(struct store *store, struct channel_name **names, size_t *names_count,
                  const char *name, bool to_open, struct channel_view *view)
{
    int rc = *names ? pick(store, *names, *names_count, name, to_open, view) : -ENOENT;

    if (rc != -ENOENT)
        return rc;
    free(*names);
    rc = channels_names(store, names, names_count);
    return rc < 0 ? rc : pick(store, *names, *names_count, name, to_open, view);
}
