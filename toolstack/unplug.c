/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/plug.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "state/seconds.h"
#include "toolstack/devices.h"
#include "toolstack/service.h"

/* How long the frontend may take to close after the backend, in milliseconds. */
#define FRONTEND_MS 5000

/* A device being removed. */
struct unplug {
    char dir[DEVICE_PATH_MAX];
    enum xenbus_state before; /* of the backend when it was asked to close */
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
     * An invalid state is set to Closing. A device that no backend has taken keeps its state, so
     * that a later attempt to finish this sees that, too; a backend that takes it now sees
     * online=0.
     */
    rc = store_write_number(store, unplug->dir, "online", 0);
    if (rc == 0 && unplug->before != XenbusStateClosed && unplug->before != XenbusStateInitialising)
        rc = store_write_number(store, unplug->dir, "state", XenbusStateClosing);
    return rc;
}

/* Returns 1, 0, or a negative errno: what cannot be read now does not count as gone. */
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
 * Whether a backend may still close it: not if none has taken it, or its domain is gone. A service
 * comes back; an application may not.
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
 * Before its directory goes, lets the frontend see the end and read what is left in the rings. It
 * may not answer, being stopped or dead.
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

/* A device that is offline already is not wanted any more. */
static int fill_online(struct store *store, void *arg)
{
    int rc = store_has(store, arg, "state");

    return rc > 0 ? store_write_number(store, arg, "online", 1) : rc;
}

int plug_cancel_close(struct tool *tool, const struct device_id *id, const char *name)
{
    char dir[DEVICE_PATH_MAX];
    int rc;

    device_backend_path(id, dir);
    rc = store_transaction(tool->store, fill_online, dir);
    if (rc < 0)
        tool_complain(tool, "channel \"%s\": cannot keep it: %s", name, tool_why(rc));
    return rc;
}

/* Removes F and T. A guest has the parent directories from libxl, domain 0 perhaps from us. */
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

/*
 * If T or F names another backend, B is left from an earlier domain of that id, and the others
 * belong to its successor.
 */
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
