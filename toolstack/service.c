/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/service.h"

#include <stdio.h>
#include <string.h>

#include "state/lock.h"
#include "toolstack/devices.h"
#include "toolstack/event-channel.h"
#include "toolstack/traffic.h"

/* The service's name, and its lock's. */
#define PROGRAM "vchan-backend"

/* Whether a process is stopped until it gets SIGCONT. */
static bool is_stopped(unsigned int pid)
{
    char path[32], line[512] = "", *state;
    FILE *stat;

    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    stat = fopen(path, "re");
    if (!stat)
        return false;
    if (!fgets(line, sizeof(line), stat))
        line[0] = '\0';
    fclose(stat);
    state = strrchr(line, ')'); /* the end of its name */
    return state && strncmp(state, ") T ", 4) == 0;
}

/* In another domain, only a service's statistics are visible here. */
static enum service_state look_elsewhere(struct tool *tool, domid_t domid)
{
    char path[DEVICE_PATH_MAX];

    if (tool_query_domain(tool, domid) != TOOL_DOMAIN_RUNS)
        return SERVICE_STOPPED;
    snprintf(path, sizeof(path), "/local/domain/%u/" TRAFFIC_DIR, domid);
    return store_exists(tool->store, NULL, path) ? SERVICE_UNKNOWN : SERVICE_UNSEEN;
}

enum service_state service_query(struct tool *tool, domid_t domid)
{
    unsigned int pid;

    if (domid != tool->own)
        return look_elsewhere(tool, domid);
    pid = lock_service_pid(PROGRAM);
    if (pid == 0)
        return SERVICE_DOWN;
    return is_stopped(pid) ? SERVICE_STOPPED : SERVICE_UP;
}

bool service_states_up(enum xenbus_state frontend, enum xenbus_state backend)
{
    return (backend == XenbusStateConnected || backend == XenbusStateReconfiguring) &&
           (frontend == XenbusStateInitialised || frontend == XenbusStateConnected ||
            frontend == XenbusStateClosing);
}

bool service_is_app(struct tool *tool, const struct device_id *id)
{
    char dir[DEVICE_PATH_MAX], connection[16];

    device_backend_path(id, dir);
    return store_read_text(tool->store, dir, "connection", connection, sizeof(connection)) == 0 &&
           strcmp(connection, "app") == 0;
}

/* Whether a process of this domain plays the backend's side. */
static bool backend_is_played(const struct device_id *id)
{
    return lock_side_is_taken(device_side_number(id->frontend, id->devid));
}

static bool is_up(struct tool *tool, const struct device_id *id, const char *frontend_dir)
{
    enum xenbus_state frontend, backend;
    char backend_dir[DEVICE_PATH_MAX];

    device_backend_path(id, backend_dir);
    return store_read_state(tool->store, frontend_dir, &frontend) == 0 &&
           store_read_state(tool->store, backend_dir, &backend) == 0 &&
           service_states_up(frontend, backend);
}

/* Asks Xen about the event channel of a device that is up. */
static enum event_channel_use use_of_port(struct tool *tool, const struct device_id *id)
{
    struct event_channel port = {.use = EVENT_CHANNEL_UNKNOWN};
    char dir[DEVICE_PATH_MAX];
    uint32_t number;

    device_frontend_path(id, dir);
    if (is_up(tool, id, dir) &&
        store_read_number(tool->store, dir, "event-channel", UINT32_MAX, &number) == 0)
        event_channel_query(tool, id->frontend, number, &port);
    return port.use;
}

/* Whether a signal or its domain has stopped it. */
static bool is_held_up(struct tool *tool, const struct device_id *id)
{
    if (id->backend != tool->own)
        return tool_query_domain(tool, id->backend) != TOOL_DOMAIN_RUNS;
    return !service_is_app(tool, id) && service_query(tool, id->backend) == SERVICE_STOPPED;
}

enum served service_serves(struct tool *tool, const struct device_id *id)
{
    enum event_channel_use use;

    if (id->backend == DEVICE_BACKEND_UNKNOWN)
        return SERVED_UNKNOWN;
    if (is_held_up(tool, id))
        return SERVED_NO;
    use = use_of_port(tool, id);
    if (use != EVENT_CHANNEL_UNKNOWN)
        return use == EVENT_CHANNEL_BOUND ? SERVED_YES : SERVED_NO;
    if (id->backend != tool->own)
        return SERVED_UNKNOWN;
    return backend_is_played(id) ? SERVED_YES : SERVED_NO;
}

/* Explains why it does nothing. */
static void stopped_words(struct tool *tool, domid_t domid, const char *domain,
                          char words[SERVICE_WORDS_MAX])
{
    if (domid == tool->own)
        snprintf(words, SERVICE_WORDS_MAX, "vchan-backend in %s is stopped (kill -CONT %u)", domain,
                 lock_service_pid(PROGRAM));
    else if (tool_query_domain(tool, domid) == TOOL_DOMAIN_PAUSED)
        snprintf(words, SERVICE_WORDS_MAX, "%s is paused (xl unpause %u)", domain, domid);
    else
        snprintf(words, SERVICE_WORDS_MAX, "%s is no longer running (xl destroy %u)", domain,
                 domid);
}

void service_words(struct tool *tool, domid_t domid, char words[SERVICE_WORDS_MAX])
{
    static const struct {
        const char *before, *after;
    } texts[] = {
        [SERVICE_UNKNOWN] = {"is vchan-backend running in ", "?"},
        [SERVICE_UNSEEN] = {"no vchan-backend seems to run in ",
                            " (systemctl start vchan-backend there)"},
        [SERVICE_DOWN] = {"no vchan-backend runs in ", " (systemctl start vchan-backend)"},
        [SERVICE_UP] = {"vchan-backend in ", " has not reacted yet (see its log)"},
    };
    enum service_state state = service_query(tool, domid);
    char domain[TOOL_NAME_MAX];

    tool_domain_name(tool, domid, domain);
    if (state == SERVICE_STOPPED)
        stopped_words(tool, domid, domain, words);
    else
        snprintf(words, SERVICE_WORDS_MAX, "%s%s%s", texts[state].before, domain,
                 texts[state].after);
}
