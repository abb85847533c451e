/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "state/device.h"
#include "state/machine.h"
#include "unikernel/channel.h"
#include "unikernel/console.h"
#include "unikernel/event.h"
#include "unikernel/memory.h"
#include "unikernel/platform.h"
#include "unikernel/store.h"
#include "unikernel/text.h"

#define DEVICES    "device/vchan"
#define TOKEN_OWN  "frontend"
#define TOKEN_PEER "backend"

/*
 * The position of the devid in a path below each of the two watches: device/vchan/N, and
 * /local/domain/B/backend/vchan/US/N, whose first part, before the first /, is empty.
 */
#define OWN_DEPTH  2
#define PEER_DEPTH 7

/*
 * A peer that keeps rewriting its state gets this many answers in one go; then others are served.
 */
#define STEPS_MAX (2 * MACHINE_STEPS_MAX)

/* A channel that ended starts over, but not in a tight loop. */
#define TICKS_AFTER_END     1
#define TICKS_AFTER_FAILURE (1000 / TICK_MS)

struct device {
    struct device *next;
    uint32_t devid;
    bool look; /* its nodes may have changed */
    bool opened;
    domid_t peer;
    struct ring_orders orders;
    struct machine_view view;
    struct channel *channel;
    bool connected;    /* bytes may flow */
    bool over;         /* all bytes were moved */
    bool lost;         /* its last connection failed or ended badly */
    unsigned int rest; /* ticks before it starts over */
    char own_dir[STORE_PATH_MAX];
    char peer_dir[STORE_PATH_MAX];
    char name[DEVICE_NAME_MAX + 1];
    char reason[192];
};

_Static_assert(sizeof(struct device) <= PAGE_SIZE, "a device takes a page");

static struct device *devices;
static domid_t own_domid;

/* ---- the reason of a failure ---- */

static int state_is_there(struct device *device)
{
    char state[16];

    return store_read_text(device->own_dir, "state", state, sizeof(state));
}

static int fill_reason(void *arg)
{
    struct device *device = arg;
    int rc = state_is_there(device);

    return rc < 0 ? rc : store_write_text(device->own_dir, "error", device->reason);
}

/* Reports a reason once, on the console and in F/error. */
static void __attribute__((format(printf, 2, 3)))
explain(struct device *device, const char *format, ...)
{
    char reason[sizeof(device->reason)];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    device->lost = true;
    if (strcmp(reason, device->reason) == 0)
        return;
    memcpy(device->reason, reason, sizeof(reason));
    console_line("channel %u (%s): %s", device->devid, device->name, reason);
    store_transaction(fill_reason, device);
}

static void forget_reason(struct device *device)
{
    device->reason[0] = '\0';
    store_remove(device->own_dir, "error");
}

/* ---- the list of devices ---- */

static struct device *device_find(uint32_t devid)
{
    struct device *device = devices;

    while (device && device->devid != devid)
        device = device->next;
    return device;
}

/* Marks a device, known or not, to be looked at. */
static void device_note(const char *number)
{
    struct device *device;
    uint32_t devid;

    if (number_parse(number, DEVICE_ID_MAX, &devid) < 0)
        return;
    device = device_find(devid);
    if (!device) {
        device = page_alloc(1);
        if (!device) {
            console_line("channel %u: out of memory (raise memory= in the xl config)", devid);
            return;
        }
        device->devid = devid;
        snprintf(device->own_dir, sizeof(device->own_dir), DEVICES "/%u", devid);
        device->next = devices;
        devices = device;
    }
    device->look = true;
}

/* Copies part number index of a path. */
static bool path_part(const char *path, unsigned int index, char part[], size_t size)
{
    size_t length = 0;

    for (; index > 0 && path; index--) {
        path = strchr(path, '/');
        path = path ? path + 1 : NULL;
    }
    if (!path)
        return false;
    while (path[length] && path[length] != '/' && length + 1 < size) {
        part[length] = path[length];
        length++;
    }
    part[length] = '\0';
    return true;
}

static void note_all(void)
{
    for (struct device *device = devices; device; device = device->next)
        device->look = true;
}

static bool listing; /* the directory itself changed, or we have just begun */

bool devices_changed(const char *path, const char *token)
{
    bool own = strcmp(token, TOKEN_OWN) == 0;
    char number[16];

    if (!own && strcmp(token, TOKEN_PEER) != 0)
        return false;
    if (path_part(path, own ? OWN_DEPTH : PEER_DEPTH, number, sizeof(number)))
        device_note(number);
    else if (own)
        listing = true;
    else
        note_all();
    return true;
}

int devices_init(domid_t self)
{
    own_domid = self;
    return store_watch(DEVICES, TOKEN_OWN);
}

static void devices_list(void)
{
    listing = false;
    note_all();
    store_list(DEVICES, device_note);
}

/* ---- opening ---- */

static int missing(struct device *device, const char *key, int rc)
{
    explain(device, "%s/%s: %s", device->own_dir, key, error_name(rc));
    return rc;
}

static int read_rings(struct device *device)
{
    uint32_t read_size = 0, write_size = 0;
    int rc = store_read_number(device->own_dir, "read-ring", RING_SIZE_MAX, &read_size);

    if (rc < 0)
        return missing(device, "read-ring", rc);
    rc = store_read_number(device->own_dir, "write-ring", RING_SIZE_MAX, &write_size);
    if (rc < 0)
        return missing(device, "write-ring", rc);
    return ring_orders_for(read_size, write_size, &device->orders);
}

static int read_peer(struct device *device)
{
    uint32_t peer = 0;
    int rc =
        store_read_text(device->own_dir, "backend", device->peer_dir, sizeof(device->peer_dir));

    if (rc < 0)
        return missing(device, "backend", rc);
    rc = store_read_number(device->own_dir, "backend-id", DOMID_FIRST_RESERVED - 1, &peer);
    if (rc < 0)
        return missing(device, "backend-id", rc);
    device->peer = (domid_t)peer;
    return 0;
}

/* One watch for all devices with the same backend domain: a guest has 128 of them. */
static int watch_peer(struct device *device)
{
    char path[STORE_PATH_MAX];
    int rc;

    snprintf(path, sizeof(path), "/local/domain/%u/backend/vchan/%u", device->peer, own_domid);
    if (strncmp(device->peer_dir, path, strlen(path)) != 0)
        return missing(device, "backend", -EINVAL);
    rc = store_watch(path, TOKEN_PEER);
    if (rc < 0)
        explain(device, "cannot watch %s: %s", path, error_name(rc));
    return rc;
}

static void device_open(struct device *device)
{
    if (state_is_there(device) == -ENOENT)
        return; /* it was removed */
    if (store_read_text(device->own_dir, "name", device->name, sizeof(device->name)) < 0)
        device->name[0] = '\0';
    device->opened = read_peer(device) == 0 && read_rings(device) == 0 && watch_peer(device) == 0;
}

/* ---- refreshing the view ---- */

static void see_state(const char *dir, enum xenbus_state nonsense, enum xenbus_state *state)
{
    if (store_read_state(dir, state) == -EINVAL)
        *state = nonsense;
}

static void see_states(struct device *device)
{
    struct machine_view *view = &device->view;
    uint32_t online = 0;

    see_state(device->own_dir, XenbusStateClosed, &view->own);
    see_state(device->peer_dir, XenbusStateUnknown, &view->peer);
    store_read_number(device->peer_dir, "online", 1, &online);
    view->online = online;
}

/*
 * The live byte shows that, too, if the peer's process died, but not if its domain was destroyed.
 */
static bool peer_let_go(const struct machine_view *view)
{
    return view->peer == XenbusStateUnknown || view->peer == XenbusStateInitialising ||
           view->peer == XenbusStateInitWait || view->peer == XenbusStateClosed;
}

static void refresh(struct device *device)
{
    struct machine_view *view = &device->view;

    /*
     * Before the states: a peer that leaves cleanly writes xenstore first, and must not be mistaken
     * for a crash.
     */
    view->lost = device->channel && channel_peer_left(device->channel);
    see_states(device);
    view->ready = view->held; /* an echo needs no other connection */
    if (!view->held && view->own == XenbusStateClosed)
        view->failed = false; /* that connection is over; the next may succeed */
}

/* ---- actions: each returns 0, or a negative errno after explain() ---- */

static int act_begin(struct device *device)
{
    device->view.begun = true;
    return 0;
}

static int fill_keys(void *arg)
{
    struct device *device = arg;
    int rc = state_is_there(device);

    if (rc == 0)
        rc = store_write_number(device->own_dir, "ring-ref", channel_ring_ref(device->channel));
    if (rc == 0)
        rc = store_write_number(device->own_dir, "event-channel", channel_port(device->channel));
    return rc;
}

static int act_grant(struct device *device)
{
    int rc = channel_serve(device->peer, &device->orders, &device->channel);

    if (rc < 0) {
        explain(device, "cannot grant rings of %u and %u bytes: %s%s", 1u << device->orders.read,
                1u << device->orders.write, error_name(rc),
                rc == -ENOMEM ? " (raise memory= in the xl config)" : "");
        return rc;
    }
    rc = store_transaction(fill_keys, device);
    if (rc < 0) {
        explain(device, "cannot write ring-ref and event-channel: %s", error_name(rc));
        channel_close(device->channel);
        device->channel = NULL;
        return rc;
    }
    device->view.held = true;
    return 0;
}

/* The peer ended: cleanly, if it is at its end or being unplugged and has not written an error. */
static void explain_end(struct device *device)
{
    const struct machine_view *view = &device->view;
    bool at_end = view->peer == XenbusStateClosing || view->peer == XenbusStateClosed ||
                  (!view->online && view->peer != XenbusStateUnknown);
    char error[128];

    if (store_read_text(device->peer_dir, "error", error, sizeof(error)) == 0)
        explain(device, "the backend reported: %s", error);
    else if (view->peer == XenbusStateUnknown)
        explain(device, "the backend's directory is gone (destroyed or detached by force)");
    else if (!at_end && view->lost)
        explain(device, "the backend's process died");
    else if (!at_end)
        explain(device, "the backend went from Connected to %s", xenbus_state_name(view->peer));
}

static int act_drain(struct device *device)
{
    struct machine_view *view = &device->view;

    view->draining = true;
    view->drained = device->over || !device->connected;
    explain_end(device);
    channel_set_ended(device->channel);
    return 0;
}

static int act_release(struct device *device)
{
    struct machine_view *view = &device->view;

    store_remove(device->own_dir, "ring-ref");
    store_remove(device->own_dir, "event-channel");
    if (device->connected)
        console_line("channel %u (%s): closed after %lu bytes", device->devid, device->name,
                     channel_bytes(device->channel));
    channel_close(device->channel);
    device->channel = NULL;
    device->connected = device->over = false;
    view->held = view->ready = view->draining = view->drained = view->finished = false;
    return 0;
}

static int act(struct device *device, enum machine_action action)
{
    static int (*const actions[])(struct device *) = {
        [MACHINE_BEGIN] = act_begin,
        [MACHINE_GRANT] = act_grant,
        [MACHINE_DRAIN] = act_drain,
        [MACHINE_RELEASE] = act_release,
    };

    return actions[action] ? actions[action](device) : 0;
}

/* ---- the life of a device ---- */

static void now_connected(struct device *device)
{
    device->connected = true;
    device->lost = false;
    forget_reason(device);
    console_line("channel %u (%s): connected to domain %u, rings of %u and %u bytes", device->devid,
                 device->name, device->peer, 1u << device->orders.read, 1u << device->orders.write);
}

static int fill_state(void *arg)
{
    struct device *device = arg;
    int rc = state_is_there(device);

    return rc < 0 ? rc : store_write_number(device->own_dir, "state", device->view.own);
}

/* Returns false if writing failed, since trying again at once would fail, too. */
static bool publish(struct device *device, enum xenbus_state next)
{
    int rc;

    if (device->view.own == next)
        return true;
    device->view.own = next;
    rc = store_transaction(fill_state, device);
    if (rc == -ENOENT)
        return true; /* it was removed meanwhile: the next look sees that */
    if (rc < 0) {
        explain(device, "cannot write the state %s: %s", xenbus_state_name(next), error_name(rc));
        return false;
    }
    if (next == XenbusStateConnected)
        now_connected(device);
    if (next == XenbusStateClosed)
        device->rest = device->lost ? TICKS_AFTER_FAILURE : TICKS_AFTER_END;
    return true;
}

/* Returns whether there may be more to do. */
static bool device_step(struct device *device)
{
    struct machine_step step;

    refresh(device);
    step = machine_step(MACHINE_FRONTEND, &device->view);
    if (step.action == MACHINE_WAIT)
        return false;
    if (act(device, step.action) == 0)
        return publish(device, step.next);
    device->view.failed = true;
    return true;
}

static void device_look(struct device *device)
{
    device->look = false;
    if (!device->opened)
        device_open(device);
    for (int steps = 0; device->opened && steps < STEPS_MAX; steps++)
        if (!device_step(device))
            break;
    if (device->channel && device->connected && peer_let_go(&device->view))
        channel_set_gone(device->channel);
}

/* Decides what the end of the echo means for the device. */
static void device_over(struct device *device, enum echo echo)
{
    device->over = true;
    device->look = true;
    if (echo == ECHO_CORRUPT) {
        explain(device, "the backend corrupted the ring");
        device->view.failed = true;
    }
    device->view.drained = device->view.finished = true;
}

static bool device_echo(struct device *device)
{
    enum echo echo;

    if (port_fired(channel_port(device->channel)) && channel_peer_left(device->channel))
        device->look = true;
    if (!device->connected || device->over)
        return false;
    echo = channel_echo(device->channel);
    if (echo > ECHO_MORE)
        device_over(device, echo);
    return echo != ECHO_WAIT;
}

/* A Closed device starts over if its backend is there and wants it. */
static bool may_restart(const struct device *device)
{
    const struct machine_view *view = &device->view;

    return device->opened && view->begun && view->own == XenbusStateClosed && view->online &&
           view->peer != XenbusStateUnknown && !view->leaving;
}

static void device_rest(struct device *device)
{
    if (!may_restart(device) || device->rest == 0 || --device->rest > 0)
        return;
    device->view.begun = false;
    device->look = true;
}

static bool device_run(struct device *device, bool tick)
{
    bool more;

    if (tick)
        device_rest(device);
    if (device->look)
        device_look(device);
    more = device->channel && device_echo(device);
    return more || device->look;
}

/* Whether it was removed and can be forgotten. */
static bool device_is_gone(const struct device *device)
{
    return !device->channel && !device->look && device->view.own == XenbusStateUnknown;
}

bool devices_run(bool tick)
{
    struct device **at = &devices;
    bool more = false;

    if (listing)
        devices_list();
    while (*at) {
        struct device *device = *at;

        more |= device_run(device, tick);
        if (device_is_gone(device)) {
            *at = device->next;
            page_free(device, 1);
        } else {
            at = &device->next;
        }
    }
    return more;
}

bool devices_wait(void)
{
    bool waiting = false;

    for (const struct device *device = devices; device; device = device->next)
        waiting |= may_restart(device) && device->rest > 0;
    return waiting;
}

void devices_close(void)
{
    for (struct device *device = devices; device; device = device->next) {
        device->view.leaving = true;
        device_look(device);
    }
}
