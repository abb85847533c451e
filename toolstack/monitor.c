/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "state/clock.h"
#include "toolstack/identity.h"
#include "toolstack/service.h"

/* Milliseconds between checks whether a channel with the right states is also served. */
#define SERVED_PERIOD 500

static void (*const side_path[MONITOR_SIDES])(const struct device_id *, char[DEVICE_PATH_MAX]) = {
    [MONITOR_FRONTEND] = device_frontend_path,
    [MONITOR_BACKEND] = device_backend_path,
};

/* Reports a side's state if it changed. */
static void tell_state(struct monitor *monitor, struct monitored *channel, enum monitor_side side,
                       enum xenbus_state before)
{
    struct monitor_change change = {.channel = channel, .side = side, .from = before};

    if (channel->states[side] == before)
        return;
    channel->since = clock_ms();
    channel->changes += change.from != XenbusStateUnknown;
    clock_gettime(CLOCK_REALTIME, &change.when);
    if (monitor->changed)
        monitor->changed(&change, monitor->arg);
}

/* An invalid state counts as none. A state that cannot be read now does not count as gone. */
static enum xenbus_state read_side(struct monitor *monitor, const struct monitored *channel,
                                   enum monitor_side side)
{
    char dir[DEVICE_PATH_MAX];
    enum xenbus_state state;
    int rc;

    side_path[side](&channel->id, dir);
    rc = store_read_state(monitor->tool->store, dir, &state);
    if (rc == 0 || rc == -EINVAL)
        return state;
    monitor->failed = rc;
    return channel->states[side];
}

static void look_side(struct monitor *monitor, struct monitored *channel, enum monitor_side side)
{
    enum xenbus_state before = channel->states[side];

    channel->states[side] = read_side(monitor, channel, side);
    tell_state(monitor, channel, side, before);
}

/* Sets both states before reporting either, so that callbacks see both as they are. */
static void set_states(struct monitor *monitor, struct monitored *channel,
                       const enum xenbus_state now[MONITOR_SIDES])
{
    enum xenbus_state before[MONITOR_SIDES];

    memcpy(before, channel->states, sizeof(before));
    memcpy(channel->states, now, sizeof(before));
    for (enum monitor_side side = 0; side < MONITOR_SIDES; side++)
        tell_state(monitor, channel, side, before[side]);
}

static void look_sides(struct monitor *monitor, struct monitored *channel)
{
    const enum xenbus_state now[MONITOR_SIDES] = {
        [MONITOR_FRONTEND] = read_side(monitor, channel, MONITOR_FRONTEND),
        [MONITOR_BACKEND] = read_side(monitor, channel, MONITOR_BACKEND),
    };

    set_states(monitor, channel, now);
}

/* --- traffic --- */

/*
 * How often a service writes statistics at most, and after what silence nothing moves; in
 * milliseconds.
 */
#define TRAFFIC_PERIOD  2500
#define TRAFFIC_SILENCE 5000

/* The counts restart with the service. */
static uint64_t rate_of(uint64_t before, uint64_t after, int64_t milliseconds)
{
    uint64_t moved = after >= before ? after - before : after;

    return moved / (uint64_t)milliseconds * 1000 +
           moved % (uint64_t)milliseconds * 1000 / (uint64_t)milliseconds;
}

/* Bytes that moved after a pause did not take the whole pause. */
static void look_traffic(struct monitor *monitor, struct monitored *channel)
{
    int64_t now = clock_ms(), took = now - channel->sampled;
    struct traffic before = channel->traffic;

    traffic_read(monitor->tool->store, &channel->id, &channel->traffic);
    took = took < 1 ? 1 : took > TRAFFIC_PERIOD ? TRAFFIC_PERIOD : took;
    for (enum traffic_count i = TRAFFIC_RECEIVED; i <= TRAFFIC_SENT && channel->sampled; i++)
        channel->rates[i] = rate_of(before.counts[i], channel->traffic.counts[i], took);
    channel->sampled = now;
}

uint64_t monitor_rate(const struct monitored *channel, enum traffic_count direction)
{
    return channel->unserved || clock_ms() - channel->sampled > TRAFFIC_SILENCE
               ? 0
               : channel->rates[direction];
}

/* --- all that there is --- */

static struct monitored *monitored_find(struct monitor *monitor, const struct device_id *id)
{
    for (size_t i = 0; i < monitor->count; i++)
        if (memcmp(&monitor->channels[i].id, id, sizeof(*id)) == 0)
            return &monitor->channels[i];
    return NULL;
}

/* Domains are renamed as they migrate. A domain that is gone keeps its name here. */
static void look_domains(struct monitor *monitor, struct monitored *channel)
{
    tool_domain_key(monitor->tool, channel->id.frontend, channel->key);
    tool_domain_name(monitor->tool, channel->id.frontend, channel->domain);
    if (channel->id.backend != DEVICE_BACKEND_UNKNOWN)
        tool_domain_name(monitor->tool, channel->id.backend, channel->backend);
}

static struct monitored *monitored_add(struct monitor *monitor, const struct device_id *id)
{
    struct monitored *grown =
        reallocarray(monitor->channels, monitor->count + 1, sizeof(*monitor->channels));
    struct monitored *channel;

    if (!grown)
        return NULL;
    monitor->channels = grown;
    channel = &grown[monitor->count++];
    *channel = (struct monitored){.id = *id};
    look_domains(monitor, channel);
    memcpy(channel->first, channel->key, sizeof(channel->first));
    return channel;
}

/* The channel may be another one by now. It keeps its name here after it is gone. */
static void look_name(struct monitor *monitor, struct monitored *channel)
{
    char name[DEVICE_NAME_MAX + 1];

    if (device_name_of(monitor->tool->store, &channel->id, name) == 0)
        memcpy(channel->name, name, sizeof(name));
}

static int look_device(struct monitor *monitor, const struct device_id *id)
{
    struct monitored *channel = monitored_find(monitor, id);

    if (!channel)
        channel = monitored_add(monitor, id);
    if (!channel)
        return -ENOMEM;
    channel->found = true;
    look_name(monitor, channel);
    look_sides(monitor, channel);
    if (monitor->with_traffic && !channel->sampled)
        look_traffic(monitor, channel);
    return 0;
}

static void drop_lost(struct monitor *monitor)
{
    static const enum xenbus_state gone[MONITOR_SIDES] = {XenbusStateUnknown, XenbusStateUnknown};
    size_t kept = 0;

    for (size_t i = 0; i < monitor->count; i++) {
        struct monitored *channel = &monitor->channels[i];

        if (!channel->found)
            set_states(monitor, channel, gone);
        if (channel->found)
            monitor->channels[kept++] = *channel;
    }
    monitor->count = kept;
}

static int scan_devices(struct monitor *monitor)
{
    struct devices devices;
    int rc = devices_scan(monitor->tool->store, &devices);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < monitor->count; i++)
        monitor->channels[i].found = false;
    for (size_t i = 0; i < devices.count && rc == 0; i++)
        rc = look_device(monitor, &devices.ids[i]);
    devices_free(&devices);
    if (rc == 0)
        drop_lost(monitor);
    return rc;
}

/* --- watches --- */

/* Directories with states come first. */
static const char *const directories[] = {"device/vchan", "backend/vchan", "name", TRAFFIC_DIR};

static int watch_domain(struct monitor *monitor, domid_t domid, bool on)
{
    size_t count = monitor->with_traffic ? 4 : 3;
    char path[DEVICE_PATH_MAX];
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, directories[i]);
        rc = on ? store_watch(monitor->tool->store, path, "monitor")
                : store_unwatch(monitor->tool->store, path, "monitor");
    }
    return rc;
}

static bool has(const uint32_t *domids, size_t count, uint32_t domid)
{
    for (size_t i = 0; i < count; i++)
        if (domids[i] == domid)
            return true;
    return false;
}

static int scan_domains(struct monitor *monitor)
{
    uint32_t *now;
    size_t count;
    int rc = store_list_numbers(monitor->tool->store, "/local/domain", DOMID_FIRST_RESERVED - 1,
                                &now, &count);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < monitor->watched_count; i++)
        if (!has(now, count, monitor->watched[i]))
            watch_domain(monitor, (domid_t)monitor->watched[i], false);
    for (size_t i = 0; i < count && rc == 0; i++)
        if (!has(monitor->watched, monitor->watched_count, now[i]))
            rc = watch_domain(monitor, (domid_t)now[i], true);
    free(monitor->watched);
    monitor->watched = now;
    monitor->watched_count = count;
    return rc;
}

static int scan(struct monitor *monitor)
{
    int rc = scan_domains(monitor);

    return rc == 0 ? scan_devices(monitor) : rc;
}

/* Whether the event is for a node inside a side of a device; if so, reads its state. */
static bool take_side(struct monitor *monitor, struct monitored *channel, enum monitor_side side,
                      const char *path)
{
    char dir[DEVICE_PATH_MAX];
    size_t length;

    side_path[side](&channel->id, dir);
    length = strlen(dir);
    if (strncmp(path, dir, length) != 0 || path[length] != '/')
        return false;
    if (strcmp(path + length, "/state") == 0)
        look_side(monitor, channel, side);
    return true;
}

static bool take_traffic(struct monitor *monitor, struct monitored *channel, const char *path)
{
    char node[DEVICE_PATH_MAX];

    traffic_path(&channel->id, node);
    if (!monitor->with_traffic || strcmp(path, node) != 0)
        return false;
    look_traffic(monitor, channel);
    return true;
}

/* Whether the event is for a domain's name. If the name is gone, the domain is going, too. */
static bool take_name(struct monitor *monitor, const char *path)
{
    domid_t domid;
    const char *node = store_path_in_domain(path, &domid);

    if (!node || strcmp(node, "name") != 0)
        return false;
    if (!store_exists(monitor->tool->store, NULL, path))
        return true;
    for (size_t i = 0; i < monitor->count; i++) {
        struct monitored *channel = &monitor->channels[i];

        if (channel->id.frontend == domid || channel->id.backend == domid)
            look_domains(monitor, channel);
    }
    return true;
}

/* Whether the event concerns a known device, so that no scan is needed. */
static bool take_known(struct monitor *monitor, const char *path)
{
    bool known = take_name(monitor, path);

    for (size_t i = 0; i < monitor->count; i++) {
        struct monitored *channel = &monitor->channels[i];

        known |= take_side(monitor, channel, MONITOR_FRONTEND, path);
        known |= take_side(monitor, channel, MONITOR_BACKEND, path);
        known |= take_traffic(monitor, channel, path);
    }
    return known;
}

/* Known devices have been tried before: the event is for the directory or for a removed device. */
static bool is_traffic(const char *path)
{
    return strstr(path, "/" TRAFFIC_DIR) != NULL;
}

int monitor_update(struct monitor *monitor)
{
    struct store_event event;
    bool scan_wanted = false;
    int rc;

    while ((rc = store_next_event(monitor->tool->store, &event)) > 0)
        if (!take_known(monitor, event.path) && !is_traffic(event.path))
            scan_wanted = true;
    return rc == 0 && scan_wanted ? scan(monitor) : rc;
}

int monitor_open(struct monitor *monitor, struct tool *tool, bool with_traffic,
                 void (*changed)(const struct monitor_change *change, void *arg), void *arg)
{
    int rc;

    *monitor = (struct monitor){
        .tool = tool, .with_traffic = with_traffic, .changed = changed, .arg = arg};
    rc = store_watch(tool->store, "@introduceDomain", "monitor");
    if (rc == 0)
        rc = store_watch(tool->store, "@releaseDomain", "monitor");
    return rc == 0 ? scan(monitor) : rc;
}

void monitor_close(struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->watched_count; i++)
        watch_domain(monitor, (domid_t)monitor->watched[i], false);
    store_unwatch(monitor->tool->store, "@introduceDomain", "monitor");
    store_unwatch(monitor->tool->store, "@releaseDomain", "monitor");
    free(monitor->watched);
    free(monitor->channels);
}

/* --- goals --- */

static bool number_is(const char *text, uint32_t number)
{
    uint32_t value;

    return parse_number(text, UINT32_MAX, &value) == 0 && value == number;
}

bool monitor_matches(const struct monitored *channel, const struct monitor_filter *filter)
{
    const char *domain = filter->domain;

    if (domain && identity_is_id(domain) && !number_is(domain, channel->id.frontend))
        return false;
    if (domain && !identity_is_id(domain) && strcmp(domain, channel->key) != 0 &&
        strcmp(domain, channel->first) != 0)
        return false;
    return !filter->name || strcmp(filter->name, channel->name) == 0 ||
           number_is(filter->name, channel->id.devid);
}

bool monitor_goal_parse(const char *text, struct monitor_goal *goal)
{
    goal->state = XenbusStateUnknown;
    return strcasecmp(text, "gone") == 0 ||
           (xenbus_state_by_name(text, &goal->state) && goal->state != XenbusStateUnknown);
}

static bool has_state(const struct monitored *channel, enum xenbus_state state)
{
    bool backend_only = state == XenbusStateInitWait || state == XenbusStateReconfiguring;

    return (channel->states[MONITOR_FRONTEND] == state || backend_only) &&
           (channel->states[MONITOR_BACKEND] == state || state == XenbusStateInitialised);
}

static bool states_reached(const struct monitor *monitor, const struct monitor_filter *filter,
                           const struct monitor_goal *goal)
{
    bool any = false;

    for (size_t i = 0; i < monitor->count; i++) {
        if (!monitor_matches(&monitor->channels[i], filter))
            continue;
        any = true;
        if (!has_state(&monitor->channels[i], goal->state))
            return false;
    }
    return any || goal->state == XenbusStateUnknown;
}

static bool all_served(const struct monitor *monitor, const struct monitor_filter *filter)
{
    for (size_t i = 0; i < monitor->count; i++)
        if (monitor_matches(&monitor->channels[i], filter) &&
            service_serves(monitor->tool, &monitor->channels[i].id) == SERVED_NO)
            return false;
    return true;
}

bool monitor_reached(const struct monitor *monitor, const struct monitor_filter *filter,
                     const struct monitor_goal *goal)
{
    return states_reached(monitor, filter, goal) &&
           (goal->state != XenbusStateConnected || all_served(monitor, filter));
}

/* When to look again at the latest: no event shows that a stopped process runs again. */
static int64_t next_look(const struct monitor *monitor, const struct monitor_filter *filter,
                         const struct monitor_goal *goal, int64_t deadline)
{
    int64_t soon = clock_ms() + SERVED_PERIOD;

    if (!goal || !states_reached(monitor, filter, goal))
        return deadline;
    return deadline >= 0 && deadline < soon ? deadline : soon;
}

int monitor_run(struct monitor *monitor, const struct monitor_filter *filter,
                const struct monitor_goal *goal, int64_t milliseconds)
{
    int64_t deadline = milliseconds < 0 ? -1 : clock_ms() + milliseconds;
    int rc;

    while ((rc = monitor->failed) == 0 && !(goal && monitor_reached(monitor, filter, goal))) {
        int64_t next = next_look(monitor, filter, goal, deadline);

        rc = tool_await(monitor->tool, next);
        if (rc == -ETIMEDOUT && next != deadline)
            rc = 0;
        if (rc == 0)
            rc = monitor_update(monitor);
        if (rc < 0)
            break;
    }
    return rc < 0 ? rc : 1;
}
