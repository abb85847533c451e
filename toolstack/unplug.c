/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/plug.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "state/seconds.h"
#include "toolstack/devices.h"
#include "toolstack/service.h"

/* How long the frontend may take to go down after the backend did. */
#define FRONTEND_MS 2000

/* A device being taken away. */
struct unplug {
    char dir[DEVICE_PATH_MAX];
    enum xenbus_state before; /* of the backend, when it was asked to close */
};

static int fill_offline(struct store *store, void *arg)
{
    struct unplug *unplug = arg;
    int rc = store_read_state(store, unplug->dir, &unplug->before);

    if (rc < 0 && rc != -EINVAL)
        return rc;
    if (rc == 0 && unplug->before == XenbusStateUnknown)
        return 0;
    /*
     * A state that makes no sense is one to close. One that no backend has begun with stays, so
     * that whoever has to finish this for us sees that too; a backend that begins now sees
     * online=0.
     */
    rc = store_write_number(store, unplug->dir, "online", 0);
    if (rc == 0 && unplug->before != XenbusStateClosed && unplug->before != XenbusStateInitialising)
        rc = store_write_number(store, unplug->dir, "state", XenbusStateClosing);
    return rc;
}

/* 1 or 0, or a negative errno: what cannot be read now is not taken for what has gone. */
static int look_closed(struct store *store, void *arg)
{
    const struct unplug *unplug = arg;
    enum xenbus_state state;
    int rc = store_read_state(store, unplug->dir, &state);

    if (rc < 0)
        return rc == -EINVAL ? 0 : rc;
    return state == XenbusStateUnknown || state == XenbusStateClosed;
}

/*
 * What no backend has begun with, or has no backend any more, nobody will close. A service comes
 * again; an application that has gone need not.
 */
static bool closes_by_itself(struct tool *tool, const struct device_id *id,
                             const struct unplug *unplug)
{
    return unplug->before == XenbusStateInitialising || !tool_has_domain(tool, id->backend) ||
           (id->backend == tool->own && service_is_app(tool, id) &&
            service_serves(tool, id) == SERVED_NO);
}

static int ask_to_close(struct tool *tool, const struct device_id *id, const char *name,
                        struct unplug *unplug)
{
    int rc;

    unplug->before = XenbusStateUnknown;
    device_backend_path(id, unplug->dir);
    rc = store_transaction(tool->store, fill_offline, unplug);
    if (rc == 0)
        rc = closes_by_itself(tool, id, unplug) ? 1 : look_closed(tool->store, unplug);
    if (rc < 0)
        tool_complain(tool, "channel \"%s\": %s", name, tool_why(rc));
    return rc;
}

int plug_ask_close(struct tool *tool, const struct device_id *id, const char *name)
{
    struct unplug unplug;

    return ask_to_close(tool, id, name, &unplug);
}

bool plug_is_closed(struct tool *tool, const struct device_id *id)
{
    struct unplug unplug;

    device_backend_path(id, unplug.dir);
    return look_closed(tool->store, &unplug) > 0 || !tool_has_domain(tool, id->backend);
}

static int look_frontend_closed(struct store *store, void *arg)
{
    const char *dir = arg;
    enum xenbus_state state;

    return store_read_state(store, dir, &state) < 0 || state == XenbusStateUnknown ||
           state == XenbusStateInitialising || state == XenbusStateClosed;
}

/*
 * The frontend had the rings too: it sees how it ends, and reads what is still there, before its
 * directory goes. It need not answer: it may be stopped, or dead.
 */
static void let_frontend_finish(struct tool *tool, const struct device_id *id)
{
    char dir[DEVICE_PATH_MAX];
    const char *const paths[] = {dir};

    device_frontend_path(id, dir);
    tool_wait(tool, paths, 1, FRONTEND_MS, look_frontend_closed, dir);
}

static void program_words(struct tool *tool, domid_t domid, char words[SERVICE_WORDS_MAX])
{
    char domain[TOOL_NAME_MAX];

    tool_domain_name(tool, domid, domain);
    snprintf(words, SERVICE_WORDS_MAX, "the program in %s that has it open has not reacted yet",
             domain);
}

static void complain_open(struct tool *tool, const struct device_id *id, const char *name, int ms)
{
    char words[SERVICE_WORDS_MAX], seconds[SECONDS_TEXT_MAX];

    format_seconds(ms, seconds);
    if (service_is_app(tool, id))
        program_words(tool, id->backend, words);
    else
        service_words(tool, id->backend, words);
    tool_complain(tool,
                  "channel \"%s\": the backend did not close it within %s s: %s; "
                  "--force removes it anyway",
                  name, seconds, words);
}

int plug_close(struct tool *tool, const struct device_id *id, const char *name, int ms)
{
    struct unplug unplug;
    const char *const paths[] = {unplug.dir};
    int rc = ask_to_close(tool, id, name, &unplug);

    if (rc)
        return rc < 0 ? rc : 0;
    rc = tool_wait(tool, paths, 1, ms, look_closed, &unplug);
    if (rc == -ETIMEDOUT)
        complain_open(tool, id, name, ms);
    else if (rc < 0)
        tool_complain(tool, "channel \"%s\": %s", name, tool_why(rc));
    else
        let_frontend_finish(tool, id);
    return rc < 0 ? rc : 0;
}

/* What is not online any more is not wanted. */
static int fill_online(struct store *store, void *arg)
{
    int rc = store_has(store, arg, "state");

    return rc > 0 ? store_write_number(store, arg, "online", 1) : rc;
}

int plug_keep(struct tool *tool, const struct device_id *id, const char *name)
{
    char dir[DEVICE_PATH_MAX];
    int rc;

    device_backend_path(id, dir);
    rc = store_transaction(tool->store, fill_online, dir);
    if (rc < 0)
        tool_complain(tool, "channel \"%s\": cannot keep it: %s", name, tool_why(rc));
    return rc;
}

/* F and T. A guest has the directories above from libxl; domain 0 may have them from us. */
static int remove_frontend(struct store *store, const struct device_id *id)
{
    char path[DEVICE_PATH_MAX], stop[DEVICE_PATH_MAX];
    bool guest = id->frontend != 0;
    int rc;

    device_frontend_path(id, path);
    snprintf(stop, sizeof(stop), "/local/domain/%u%s", id->frontend, guest ? "/device" : "");
    rc = store_remove_upward(store, path, stop);
    if (rc < 0)
        return rc;
    device_libxl_path(id, path);
    if (guest)
        snprintf(stop, sizeof(stop), "/libxl/%u/device", id->frontend);
    else
        snprintf(stop, sizeof(stop), "/libxl");
    return store_remove_upward(store, path, stop);
}

/* What is left in B may be of an earlier domain of that id, whose successor has a device there with
 * another backend. */
static int fill_removal(struct store *store, void *arg)
{
    const struct device_id *id = arg;
    char path[DEVICE_PATH_MAX], stop[DEVICE_PATH_MAX];
    domid_t backend;
    int rc = device_read_backend(store, id->frontend, id->devid, &backend);

    if (rc < 0)
        return rc;
    if (backend == id->backend || backend == DEVICE_BACKEND_UNKNOWN)
        rc = remove_frontend(store, id);
    device_backend_path(id, path);
    snprintf(stop, sizeof(stop), "/local/domain/%u", id->backend);
    return rc == 0 ? store_remove_upward(store, path, stop) : rc;
}

int plug_remove(struct tool *tool, const struct device_id *id, const char *name)
{
    struct device_id copy = *id;
    int rc = store_transaction(tool->store, fill_removal, &copy);

    if (rc < 0)
        tool_complain(tool, "channel \"%s\": cannot remove it: %s", name, tool_why(rc));
    return rc;
}
