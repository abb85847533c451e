/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/plug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/seconds.h"
#include "toolstack/devices.h"
#include "toolstack/identity.h"
#include "toolstack/service.h"

int plug_refuse_itself(struct tool *tool, const struct spec *channel, const char *domain)
{
    tool_complain(tool,
                  "channel \"%s\": key \"backend\": domain \"%s\" would be both ends "
                  "(name another domain)",
                  channel->name, domain);
    return -EINVAL;
}

int plug_find_backend(struct tool *tool, const struct spec *channel, domid_t frontend,
                      domid_t *backend)
{
    const char *key = channel->backend[0] ? "backend" : "backend-uuid";

    if (identity_of_backend(tool, channel, backend) < 0 || !tool_has_domain(tool, *backend)) {
        tool_complain(tool, "channel \"%s\": key \"%s\": there is no domain \"%s\"",
                      channel->name, key,
                      channel->backend[0] ? channel->backend : channel->backend_uuid);
        return -ENOENT;
    }
    if (*backend == frontend) {
        char name[TOOL_NAME_MAX];

        tool_domain_name(tool, frontend, name);
        return plug_refuse_itself(tool, channel, name);
    }
    return 0;
}

/* A device being written. */
struct plug {
    const struct spec *channel;
    struct roster *roster; /* of the frontend */
    struct device_id *id;
    domid_t toolstack;
    char why[DEVICE_NAME_MAX + 128]; /* the reason if fill returns -EEXIST or -ESRCH */
};

/* Writes a series of nodes into a directory. After a failure it does nothing. */
struct writer {
    struct store *store;
    const char *dir;
    int rc;
};

static void put_text(struct writer *writer, const char *key, const char *text)
{
    if (writer->rc == 0)
        writer->rc = store_write_text(writer->store, writer->dir, key, text);
}

static void put_number(struct writer *writer, const char *key, uint32_t value)
{
    if (writer->rc == 0)
        writer->rc = store_write_number(writer->store, writer->dir, key, value);
}

/*
 * Sets the owner of the nodes put next, and of those that others add below. Nodes that neither side
 * has to write belong to the toolstack: a side cannot change them, and they do not count against
 * its quota.
 */
static void put_fixed(struct writer *writer, const struct plug *plug)
{
    const domid_t readers[] = {plug->id->frontend, plug->id->backend};

    if (writer->rc == 0)
        writer->rc = store_make_directory_for(writer->store, writer->dir, plug->toolstack, readers);
}

static void put_owned(struct writer *writer, domid_t owner, domid_t reader)
{
    if (writer->rc == 0)
        writer->rc = store_make_directory(writer->store, writer->dir, owner, reader);
}

/* Writes those fields of the channel that belong in this place. */
static void put_fields(struct writer *writer, enum spec_place place, const struct plug *plug)
{
    if (writer->rc == 0)
        writer->rc = spec_write(writer->store, writer->dir, place, plug->channel);
}

static void put_state(struct writer *writer)
{
    put_number(writer, "state", XenbusStateInitialising);
}

static int write_frontend(struct store *store, const struct plug *plug)
{
    char dir[DEVICE_PATH_MAX], backend[DEVICE_PATH_MAX];
    struct writer writer = {.store = store, .dir = dir};

    device_frontend_path(plug->id, dir);
    device_backend_path(plug->id, backend);
    put_fixed(&writer, plug);
    put_text(&writer, "backend", backend);
    put_number(&writer, "backend-id", plug->id->backend);
    put_fields(&writer, SPEC_AT_SHARED, plug);
    put_owned(&writer, plug->id->frontend, plug->id->backend);
    put_state(&writer);
    return writer.rc;
}

/*
 * Writes how the backend connects the channel: the frontend may not read it, the backend not change
 * it.
 */
static int write_private(struct store *store, const char *parent, const struct plug *plug,
                         domid_t reader)
{
    char dir[DEVICE_PATH_MAX + 16];
    struct writer writer = {.store = store, .dir = dir};

    snprintf(dir, sizeof(dir), "%s/private", parent);
    put_owned(&writer, plug->toolstack, reader);
    put_fields(&writer, SPEC_AT_PRIVATE, plug);
    return writer.rc;
}

/* reader: the domain that may read how the channel is connected. */
static void put_backend(struct writer *writer, const struct plug *plug, domid_t reader)
{
    char frontend[DEVICE_PATH_MAX];

    device_frontend_path(plug->id, frontend);
    put_text(writer, "frontend", frontend);
    put_number(writer, "frontend-id", plug->id->frontend);
    put_number(writer, "online", 1);
    put_fields(writer, SPEC_AT_BACKEND, plug);
    put_fields(writer, SPEC_AT_SHARED, plug);
    if (writer->rc == 0)
        writer->rc = write_private(writer->store, writer->dir, plug, reader);
}

static int write_backend(struct store *store, const struct plug *plug)
{
    char dir[DEVICE_PATH_MAX];
    struct writer writer = {.store = store, .dir = dir};

    device_backend_path(plug->id, dir);
    put_fixed(&writer, plug);
    put_backend(&writer, plug, plug->id->backend);
    put_owned(&writer, plug->id->backend, plug->id->frontend);
    put_state(&writer);
    return writer.rc;
}

/* Writes the toolstack's copy of the backend's keys. */
static int write_libxl(struct store *store, const struct plug *plug)
{
    char dir[DEVICE_PATH_MAX], backend[DEVICE_PATH_MAX];
    struct writer writer = {.store = store, .dir = dir};

    device_libxl_path(plug->id, dir);
    device_backend_path(plug->id, backend);
    put_owned(&writer, plug->toolstack, STORE_NOBODY);
    put_backend(&writer, plug, STORE_NOBODY);
    put_state(&writer);
    put_text(&writer, "backend", backend);
    put_number(&writer, "backend-id", plug->id->backend);
    return writer.rc;
}

/* A domain that is destroyed meanwhile must not reappear as a few nodes of ours. */
static int check_domain(struct store *store, struct plug *plug, domid_t domid)
{
    char path[DEVICE_PATH_MAX];
    int rc;

    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    rc = store_has(store, NULL, path);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    snprintf(plug->why, sizeof(plug->why), "domain %u went away", domid);
    return -ESRCH;
}

static int check_name(struct store *store, struct plug *plug)
{
    int rc = roster_update(plug->roster, store);

    if (rc < 0 || !roster_has_name(plug->roster, plug->channel->name))
        return rc;
    snprintf(plug->why, sizeof(plug->why), "the domain already has a channel of that name");
    return -EEXIST;
}

/* Returns 1, 0, or a negative errno: what cannot be read does not count as a different channel. */
static int is_other_side(struct store *store, const struct plug *plug,
                         const struct device_id *other)
{
    char dir[DEVICE_PATH_MAX], name[DEVICE_NAME_MAX + 1];
    domid_t backend;
    int rc = device_read_backend(store, other->frontend, other->devid, &backend);

    if (rc < 0 || backend != other->backend)
        return rc;
    device_libxl_path(other, dir);
    rc = store_read_text(store, dir, "name", name, sizeof(name));
    if (rc == 0)
        return strcmp(name, plug->channel->name) == 0;
    return store_is_nothing(rc) ? 0 : rc;
}

/*
 * Refuses the same channel declared from the other side, too: two programs would wait for each
 * other. Only a few domains are backends of their own backends.
 */
static int check_other_side(struct store *store, struct plug *plug)
{
    struct device_id other = {.frontend = plug->id->backend, .backend = plug->id->frontend};
    char dir[DEVICE_PATH_MAX];
    uint32_t *devids;
    size_t count;
    int rc;

    snprintf(dir, sizeof(dir), "/local/domain/%u/backend/vchan/%u", other.backend, other.frontend);
    rc = store_list_numbers(store, dir, DEVICE_ID_MAX, &devids, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        other.devid = devids[i];
        rc = is_other_side(store, plug, &other);
    }
    free(devids);
    if (rc > 0)
        snprintf(plug->why, sizeof(plug->why),
                 "domain %u already has it, with domain %u as its backend "
                 "(declare it on one side only)",
                 other.frontend, plug->id->frontend);
    return rc > 0 ? -EEXIST : rc;
}

/* Whether T or F exists; a leftover B alone does not count. Returns 1, 0 or a negative errno. */
static int devid_taken(struct store *store, const struct device_id *id)
{
    char libxl[DEVICE_PATH_MAX], frontend[DEVICE_PATH_MAX];
    int rc;

    device_libxl_path(id, libxl);
    device_frontend_path(id, frontend);
    rc = store_has(store, NULL, libxl);
    return rc == 0 ? store_has(store, NULL, frontend) : rc;
}

static int check_devid(struct store *store, struct plug *plug)
{
    char name[DEVICE_NAME_MAX + 1];
    int rc = devid_taken(store, plug->id);

    if (rc <= 0)
        return rc;
    if (device_name_of(store, plug->id, name) < 0)
        snprintf(name, sizeof(name), "?");
    snprintf(plug->why, sizeof(plug->why), "devid %u is taken by channel \"%s\"", plug->id->devid,
             name);
    return -EEXIST;
}

/* Picks the first devid without even leftovers. */
static int pick_devid(struct store *store, struct plug *plug)
{
    struct device_id *id = plug->id;
    char backend[DEVICE_PATH_MAX];
    int rc;

    for (id->devid = 0; (id->devid = roster_free_devid(plug->roster, id->devid)) <= DEVICE_ID_MAX;
         id->devid++) {
        device_backend_path(id, backend);
        rc = devid_taken(store, id);
        if (rc == 0)
            rc = store_has(store, NULL, backend);
        if (rc <= 0)
            return rc;
    }
    snprintf(plug->why, sizeof(plug->why), "every devid is taken");
    return -EEXIST;
}

static int choose_devid(struct store *store, struct plug *plug)
{
    if (plug->channel->devid == SPEC_DEVID_ANY)
        return pick_devid(store, plug);
    plug->id->devid = plug->channel->devid;
    return check_devid(store, plug);
}

static int check_plug(struct store *store, struct plug *plug)
{
    int rc = check_domain(store, plug, plug->id->frontend);

    if (rc == 0)
        rc = check_domain(store, plug, plug->id->backend);
    if (rc == 0)
        rc = check_name(store, plug);
    if (rc == 0)
        rc = check_other_side(store, plug);
    return rc == 0 ? choose_devid(store, plug) : rc;
}

static int fill_device(struct store *store, void *arg)
{
    struct plug *plug = arg;
    char backend[DEVICE_PATH_MAX];
    int rc = check_plug(store, plug);

    if (rc == 0)
        rc = write_frontend(store, plug);
    device_backend_path(plug->id, backend);
    if (rc == 0)
        rc = store_remove(store, backend);
    if (rc == 0)
        rc = write_backend(store, plug);
    return rc == 0 ? write_libxl(store, plug) : rc;
}

int plug_write(struct tool *tool, const struct spec *channel, struct roster *roster,
               domid_t backend, struct device_id *id)
{
    struct plug plug = {.channel = channel, .roster = roster, .id = id, .toolstack = tool->own};
    domid_t frontend = roster->frontend;
    int rc;

    *id = (struct device_id){.frontend = frontend, .backend = backend};
    rc = store_transaction(tool->store, fill_device, &plug);
    /* xenstored's error for a domain that just went away is misleading: check for that first. */
    if (rc < 0 && plug.why[0] == '\0' && check_domain(tool->store, &plug, frontend) == 0)
        check_domain(tool->store, &plug, backend);
    if (rc < 0)
        tool_complain(tool, "channel \"%s\": %s", channel->name,
                      plug.why[0] ? plug.why : tool_why(rc));
    return rc;
}

/* Returns 1 once the backend has taken the device, for as long as it exists. */
static int look_taken(struct store *store, void *arg)
{
    char libxl[DEVICE_PATH_MAX], backend[DEVICE_PATH_MAX];
    enum xenbus_state state;
    int rc;

    device_libxl_path(arg, libxl);
    device_backend_path(arg, backend);
    rc = store_has(store, libxl, "name");
    if (rc <= 0)
        return rc < 0 ? rc : -ESRCH;
    rc = store_read_state(store, backend, &state);
    if (rc == -EINVAL)
        return 0; /* an invalid state is no answer */
    if (rc < 0 || state == XenbusStateUnknown)
        return rc < 0 ? rc : -ESRCH;
    if (state == XenbusStateInitialising)
        return 0;
    rc = store_has(store, backend, "error");
    return rc < 0 ? rc : rc > 0 ? -ECONNREFUSED : 1;
}

static void complain_untaken(struct tool *tool, const char *name, const struct device_id *id,
                             int ms, int rc)
{
    char backend[DEVICE_PATH_MAX], domain[TOOL_NAME_MAX], error[256] = "?";
    char words[SERVICE_WORDS_MAX], seconds[SECONDS_TEXT_MAX];

    format_seconds(ms, seconds);
    device_backend_path(id, backend);
    tool_domain_name(tool, id->backend, domain);
    store_read_text(tool->store, backend, "error", error, sizeof(error));
    service_words(tool, id->backend, words);
    if (rc == -ETIMEDOUT)
        tool_complain(tool, "channel \"%s\": no backend took it within %s s: %s", name, seconds,
                      words);
    else if (rc == -ECONNREFUSED)
        tool_complain(tool, "channel \"%s\": the backend in %s refuses it: %s", name, domain,
                      error);
    else if (rc == -ESRCH)
        tool_complain(tool, "channel \"%s\": it or its domain has been removed", name);
    else
        tool_complain(tool, "channel \"%s\": %s", name, tool_why(rc));
}

/* Warns if waiting looks futile now; an administrator may still start the service in time. */
static void warn_unserved(struct tool *tool, const struct spec *channel, domid_t backend,
                          int ms)
{
    enum service_state state = service_query(tool, backend);
    char words[SERVICE_WORDS_MAX], seconds[SECONDS_TEXT_MAX];

    if (ms == 0 || (state != SERVICE_DOWN && state != SERVICE_STOPPED))
        return;
    service_words(tool, backend, words);
    format_seconds(ms, seconds);
    tool_complain(tool, "channel \"%s\": waiting up to %s s: %s", channel->name, seconds, words);
}

int plug_await(struct tool *tool, const struct spec *channel, const struct device_id *id,
               int ms)
{
    char libxl[DEVICE_PATH_MAX], backend[DEVICE_PATH_MAX];
    const char *const paths[] = {libxl, backend};
    struct device_id copy = *id;
    int rc;

    if (spec_is_app(channel))
        return 0;
    device_libxl_path(id, libxl);
    device_backend_path(id, backend);
    warn_unserved(tool, channel, id->backend, ms);
    rc = tool_wait(tool, paths, 2, ms, look_taken, &copy);
    if (rc < 0)
        complain_untaken(tool, channel->name, id, ms, rc);
    return rc < 0 ? rc : 0;
}
