/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/device.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/backoff.h"
#include "service/handover/ring-holder.h"
#include "service/log.h"
#include "service/timer.h"
#include "state/claims.h"
#include "state/device.h"

/* How long the connection may take to accept the last bytes of a peer that has gone. */
#define DELIVERY_SECONDS 10

struct device {
    const struct loop *loop;
    enum machine_role role;
    char dir[DEVICE_PATH_MAX]; /* our directory, relative */
    char id[32];               /* "5/0" */
    struct endpoint *endpoint; /* NULL: not taken over */
    struct claims *claims;     /* the frontend domain's; NULL if our side is the frontend */
    struct connection connection;
    enum xenbus_state own; /* as last logged */
    enum xenbus_state peer;
    char complaint[CONNECTION_WHY_MAX]; /* as last logged */
    bool reason_logged;                 /* the log says why the device is closing */
    struct event
        *delivery_timer;    /* pending: the peer has gone, but not all of its bytes are delivered */
    struct backoff backoff; /* until device_retry() */
    bool retry_wanted;      /* device_retry() must look at it */
    bool app;               /* connection=app: an application serves it */
    struct event *look_timer; /* pending: device_look() is called then */
    struct event *restart_timer; /* pending: another worker is to be started */
    bool ending;              /* device_end() was called */
    bool connect_reserved;    /* the quota allows one connect when look_timer fires */
    bool opened;              /* the kind's open() was called, and close() not yet */
    uint32_t ring_bytes;      /* taken from the quota */
    bool connected;           /* was Connected since it began or started over */
    bool moved_bytes;         /* the last connection moved bytes */
    bool retrying;            /* it did not connect last time, so less is logged */
};

/* Returns the name of the other side, which is also the key of its directory. */
static const char *peer_name(const struct device *device)
{
    return device->role == MACHINE_BACKEND ? "frontend" : "backend";
}

/* ---- the last bytes of a peer that has gone ---- */

static void on_delivery_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct device *device = arg;

    (void)fd, (void)what;
    endpoint_fail(device->endpoint, -ETIMEDOUT,
                  "cannot deliver the %s's last bytes: the connection did not take them in %d s",
                  peer_name(device), DELIVERY_SECONDS);
}

static void start_delivery_timer(struct device *device)
{
    static const struct timeval limit = {.tv_sec = DELIVERY_SECONDS};

    if (endpoint_is_deserted(device->endpoint) &&
        !event_pending(device->delivery_timer, EV_TIMEOUT, NULL))
        event_add(device->delivery_timer, &limit);
}

/* ---- retries ---- */

/*
 * Plans the next device_retry(): soon if the last connection moved bytes, otherwise after growing
 * pauses.
 */
static void plan_retry(struct device *device)
{
    if (device->endpoint && device->moved_bytes && endpoint_ended_well(device->endpoint))
        backoff_reset(&device->backoff);
    backoff_start(&device->backoff);
}

/* ---- the endpoint's callbacks ---- */

/*
 * A guest that connects too often must wait. Its place in the schedule is reserved, so whatever it
 * does meanwhile does not delay it further.
 */
static bool device_admit(void *arg)
{
    struct device *device = arg;
    int64_t wait;

    if (event_pending(device->look_timer, EV_TIMEOUT, NULL))
        return false;
    wait = device->connect_reserved ? 0 : quota_take_connect(device->connection.quota);
    device->connect_reserved = wait > 0;
    if (wait == 0)
        return true;
    timer_start(device->look_timer, wait);
    endpoint_set_error(device->endpoint, -EAGAIN,
                       device->role == MACHINE_BACKEND
                           ? "waiting: its domain connects more than %u times a minute "
                             "(--max-connects)"
                           : "waiting: more than %u connects to the backend's domain in a minute",
                       device->connection.quota->limits->connects);
    return false;
}

static void on_look_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    device_look(arg);
}

static void fail_over_limit(const struct device *device, int rc)
{
    const struct quota_limits *limits = device->connection.quota->limits;

    if (rc == -EDQUOT)
        endpoint_fail(device->endpoint, rc, "its domain's rings exceed %" PRIu64 "K (--max-rings)",
                      limits->ring_bytes >> 10);
    else
        endpoint_fail(device->endpoint, rc,
                      "the rings of all domains exceed %" PRIu64 "K (--max-all-rings)",
                      limits->ring_bytes_of_all >> 10);
}

/*
 * How much the guest has granted is known only after mapping. The ring holder maps it once more. A
 * frontend maps no memory of other domains.
 */
static bool take_ring_bytes(struct device *device)
{
    uint32_t bytes = endpoint_ring_bytes(device->endpoint) * (device->loop->ring_holder ? 2 : 1);
    int rc = quota_take_bytes(device->connection.quota, bytes);

    if (rc == 0)
        device->ring_bytes = bytes;
    else
        fail_over_limit(device, rc);
    return rc == 0;
}

static bool device_kept(void *arg, struct endpoint_rings *rings)
{
    const struct device *device = arg;

    return ring_holder_find(device->loop->ring_holder, device->id, rings);
}

/* Called before any byte moves. */
static void device_hold_rings(const struct device *device)
{
    struct endpoint_rings rings;
    int rc;

    endpoint_rings(device->endpoint, &rings);
    rc = ring_holder_add(device->loop->ring_holder, device->id, &rings);
    if (rc < 0)
        connection_log(&device->connection, LOG_ERRORS,
                       RING_HOLDER_NAME
                       " cannot map its rings: %s (bytes are lost if both sides die)",
                       strerror(-rc));
}

static void device_held(void *arg)
{
    struct device *device = arg;

    if (!endpoint_resumed(device->endpoint))
        fdstore_drop_untaken(device->loop->fdstore, device->id);
    if (device->role == MACHINE_BACKEND && !take_ring_bytes(device))
        return;
    device_hold_rings(device);
    start_delivery_timer(device);
    device->opened = true;
    device->connection.kind->open(&device->connection);
}

static void device_connected(void *arg)
{
    struct device *device = arg;

    device->connected = true;
    device->retrying = false;
    statistics_begin(&device->connection.statistics, &device->connection.worker);
    device->connection.kind->start(&device->connection);
}

static void device_stirred(void *arg)
{
    struct device *device = arg;

    device->connection.kind->stir(&device->connection);
}

static bool has_moved_bytes(const struct device *device)
{
    const struct worker_counts counts = worker_counts(&device->connection.worker);

    return counts.channel.received || counts.channel.sent;
}

static void device_releasing(void *arg)
{
    struct device *device = arg;

    if (device->loop->ops->releasing)
        device->loop->ops->releasing(device->loop->service);
    device->moved_bytes = has_moved_bytes(device);
    event_del(device->delivery_timer);
    event_del(device->restart_timer);
    quota_give_bytes(device->connection.quota, device->ring_bytes);
    device->ring_bytes = 0;
    if (device->opened)
        device->connection.kind->close(&device->connection);
    device->opened = false;
    statistics_end(&device->connection.statistics);
    ring_holder_drop(device->loop->ring_holder, device->id);
}

/* " (connect /run/x)", for the log only: B/error may not name it. "" if it is not known. */
struct where {
    char text[512];
};

static struct where connection_text(const struct device *device)
{
    struct where where = {""};
    char what[sizeof(where.text) - sizeof(" ()")];

    connection_describe(&device->connection, what, sizeof(what));
    if (what[0])
        snprintf(where.text, sizeof(where.text), " (%s)", what);
    return where;
}

/* Logs the new state. Leaves the connection out if the reason was logged, since that names it. */
static void log_own(const struct device *device)
{
    enum log_level level = device->retrying ? LOG_DETAILS : LOG_CHANGES;
    const struct connection *connection = &device->connection;
    const char *state = xenbus_state_name(device->own);

    if (device->own == XenbusStateUnknown)
        connection_log(connection, LOG_CHANGES, "removed");
    else if (device->reason_logged && device->own >= XenbusStateClosing)
        connection_log(connection, level, "%s", state);
    else
        connection_log(connection, level, "%s%s", state, connection_text(device).text);
}

/*
 * Returns the reason for the current state. If the backend refused, it is in the backend's
 * directory.
 */
struct reason {
    char text[CONNECTION_WHY_MAX];
};

static struct reason reason_of(const struct device *device)
{
    const struct endpoint *endpoint = device->endpoint;
    bool refused = device->role == MACHINE_FRONTEND && device->own == XenbusStateClosed;
    struct reason reason;
    char error[sizeof(reason.text) - 32];

    snprintf(reason.text, sizeof(reason.text), "%s", endpoint_reason(endpoint));
    if (refused && !reason.text[0] &&
        store_read_text(device->loop->store, endpoint_peer_dir(endpoint), "error", error,
                        sizeof(error)) == 0)
        snprintf(reason.text, sizeof(reason.text), "the backend reported: %s", error);
    return reason;
}

static void log_reason(struct device *device, const struct reason *reason, bool own_moved)
{
    device->reason_logged = true;
    memcpy(device->complaint, reason->text, sizeof(device->complaint));
    connection_log(&device->connection, LOG_ERRORS, "%s%s%s%s",
                   own_moved ? xenbus_state_name(device->own) : "", own_moved ? ": " : "",
                   device->complaint, connection_text(device).text);
}

static void log_peer(const struct device *device)
{
    connection_log(&device->connection, LOG_DETAILS, "%s %s", peer_name(device),
                   xenbus_state_name(device->peer));
}

/* Whether to log the reason: when it is new, and when the device closes again for the same one. */
static bool must_log_reason(const struct device *device, const struct reason *reason,
                            bool own_moved)
{
    bool closes = own_moved && device->own >= XenbusStateClosing;
    bool again = closes && !device->reason_logged && !device->retrying;

    return reason->text[0] && (again || strcmp(reason->text, device->complaint) != 0);
}

static void log_changes(struct device *device, bool own_moved)
{
    const struct reason reason = reason_of(device);
    bool removed = device->own == XenbusStateUnknown;
    bool reason_is_new = must_log_reason(device, &reason, own_moved);

    if (!reason.text[0] && !device->retrying)
        device->complaint[0] = '\0';
    if (reason_is_new)
        log_reason(device, &reason, own_moved && !removed);
    if (own_moved && (!reason_is_new || removed))
        log_own(device);
}

static void device_decided(void *arg, const struct machine_step *step)
{
    const struct device *device = arg;
    const struct endpoint *endpoint = device->endpoint;

    connection_log(&device->connection, LOG_TRACE, "%s, %s %s: %s, then %s",
                   xenbus_state_name(endpoint_own_state(endpoint)), peer_name(device),
                   xenbus_state_name(endpoint_peer_state(endpoint)),
                   machine_action_name(step->action), xenbus_state_name(step->next));
}

static void device_moved(void *arg)
{
    struct device *device = arg;
    const struct endpoint *endpoint = device->endpoint;
    bool own_moved = endpoint_own_state(endpoint) != device->own;
    bool peer_moved = endpoint_peer_state(endpoint) != device->peer;

    device->own = endpoint_own_state(endpoint);
    device->peer = endpoint_peer_state(endpoint);
    if (own_moved && device->own < XenbusStateClosing)
        device->reason_logged = false;
    start_delivery_timer(device);
    if (peer_moved)
        log_peer(device);
    log_changes(device, own_moved);
    if (own_moved && device->own == XenbusStateClosed && device->role == MACHINE_FRONTEND)
        plan_retry(device);
    if (own_moved)
        loop_state_changed(device->loop);
}

static void restart_worker(struct device *device)
{
    endpoint_lose_rings(device->endpoint);
    if (device->claims)
        claims_forget(device->claims);
}

static void on_restart_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    restart_worker(arg);
}

/* A guest may have caused it, so its quota can delay this. No byte is lost: the journal remains. */
static void plan_restart(struct device *device)
{
    int64_t wait = quota_take_death(device->connection.quota);

    if (wait == 0)
        restart_worker(device);
    else
        timer_start(device->restart_timer, wait);
}

/* The worker died. resumable: a new one can continue where it stopped. */
static void device_rings_lost(void *arg, bool resumable)
{
    struct device *device = arg;
    uint32_t streams = device->connection.worker.lost_streams;
    char reset[64] = "";

    if (streams > 0)
        snprintf(reset, sizeof(reset), " (%" PRIu32 " streams were reset)", streams);
    connection_log(&device->connection, LOG_CHANGES, WORKER_NAME " died%s%s",
                   resumable && device->role == MACHINE_BACKEND ? "; starting another" : "", reset);
    if (resumable)
        plan_restart(device);
    else
        endpoint_fail(device->endpoint, -EPIPE, "its " WORKER_NAME " process died");
}

/*
 * No well-behaved peer needs so many steps. The pause bounds what a peer costs that changes its
 * state endlessly.
 */
static void device_unfinished(void *arg)
{
    static const struct timeval pause = {.tv_usec = 100000};
    struct device *device = arg;

    if (!event_pending(device->look_timer, EV_TIMEOUT, NULL))
        event_add(device->look_timer, &pause);
}

static bool device_carries_streams(void *arg)
{
    const struct device *device = arg;

    return spec_takes(device->connection.spec.connection, SPEC_STREAMS);
}

static const struct endpoint_ops device_ops = {
    .reattaches = true,
    .discards = true,
    .kept = device_kept,
    .carries_streams = device_carries_streams,
    .admit = device_admit,
    .held = device_held,
    .connected = device_connected,
    .stirred = device_stirred,
    .releasing = device_releasing,
    .decided = device_decided,
    .unfinished = device_unfinished,
    .moved = device_moved,
};

/* ---- a device that cannot be taken over ---- */

static int fill_complaint(struct store *store, void *arg)
{
    const struct device *device = arg;
    int rc;

    if (!store_exists(store, device->dir, "state"))
        return -ENOENT; /* it was removed in the meantime */
    rc = store_write_text(store, device->dir, "error", device->complaint);
    return rc < 0 ? rc : store_write_number(store, device->dir, "state", XenbusStateClosed);
}

/* Whether another try may succeed without a change of the device's own nodes. */
static bool is_retryable(int rc)
{
    return rc != -EINVAL && rc != -ERANGE && rc != -EOVERFLOW && rc != -ENOTSUP && rc != -ELOOP;
}

/*
 * Reports once why the device cannot be taken over, also in xenstore if the device is ours to write
 * to. That write makes our own watch fire, but the same complaint is not written again.
 */
static void device_refuse(struct device *device, int rc, const char *why)
{
    char complaint[sizeof(device->complaint)];

    device->retry_wanted = is_retryable(rc);
    plan_retry(device);
    snprintf(complaint, sizeof(complaint), "%.*s%s", CONNECTION_WHY_MAX - 16, why,
             device->retry_wanted ? " (retrying)" : "");
    if (strcmp(device->complaint, complaint) == 0 ||
        !store_exists(device->loop->store, device->dir, "state"))
        return; /* It was reported before, or has been removed. Removal is not an error. */
    memcpy(device->complaint, complaint, sizeof(complaint));
    if (rc != -EBUSY)
        store_transaction(device->loop->store, fill_complaint, device);
    connection_log(&device->connection, LOG_ERRORS, "%s%s", complaint,
                   connection_text(device).text);
}

/* ---- taking over ---- */

static void set_label(struct device *device)
{
    struct connection *connection = &device->connection;
    char name[DEVICE_NAME_MAX + 1];
    bool named =
        store_read_text(device->loop->store, device->dir, "name", name, sizeof(name)) == 0 &&
        device_name_valid(name);

    snprintf(connection->label, sizeof(connection->label), "%s%s%s", device->id, named ? " " : "",
             named ? name : "");
}

static void explain_open(const struct device *device, int rc, char why[CONNECTION_WHY_MAX])
{
    const char *peer = peer_name(device);

    if (rc == -EBUSY)
        snprintf(why, CONNECTION_WHY_MAX, "cannot serve: another process serves it");
    else if (rc == -EINVAL || rc == -ENOENT)
        snprintf(why, CONNECTION_WHY_MAX,
                 "cannot serve: invalid name, %s, %s-id, read-ring, write-ring or streams node",
                 peer, peer);
    else if (rc == -ELOOP)
        snprintf(why, CONNECTION_WHY_MAX, "cannot serve: both ends are this domain");
    else
        snprintf(why, CONNECTION_WHY_MAX, "cannot serve: %s", strerror(-rc));
}

static int device_open(struct device *device, char why[CONNECTION_WHY_MAX])
{
    struct worker *worker = &device->connection.worker;
    int rc;

    worker_init(worker, device->loop->workers, device->id, device->connection.quota,
                device_rings_lost, device);
    rc = endpoint_open(device->loop->store, &worker->rings, device->role, device->dir, &device_ops,
                       device, &device->endpoint);
    device->connection.endpoint = device->endpoint;
    if (rc < 0)
        explain_open(device, rc, why);
    else
        endpoint_set_claims(device->endpoint, device->claims);
    return rc;
}

static int device_plug(struct device *device, char why[CONNECTION_WHY_MAX])
{
    struct connection *connection = &device->connection;
    int rc = connection->kind->plug(connection, why);

    if (rc < 0)
        return rc;
    rc = device_open(device, why);
    if (rc < 0) {
        connection->kind->unplug(connection);
        return rc;
    }
    statistics_open(&connection->statistics, device->loop->ledger, device->id);
    return 0;
}

/*
 * Whether the peer's directory, which our side names, has no device, or none yet, and the ring
 * holder has none of its rings.
 */
static bool peer_is_gone(const struct device *device)
{
    struct store *store = device->loop->store;
    char dir[STORE_PATH_MAX], state[2];
    struct endpoint_rings rings;
    int rc = store_read_text(store, device->dir, peer_name(device), dir, sizeof(dir));

    if (rc < 0 || ring_holder_find(device->loop->ring_holder, device->id, &rings))
        return false;
    rc = store_read_text(store, dir, "state", state, sizeof(state));
    return rc == -ENOENT || rc == -EACCES; /* what a driver domain gets for a missing node */
}

/* Chooses the kind of connection, by a backend's nodes or by the spec of a frontend's device. */
static int device_choose(struct device *device, char why[CONNECTION_WHY_MAX])
{
    struct connection *connection = &device->connection;
    char reason[SPEC_WHY_MAX];
    int rc = 0;

    connection->kind = NULL;
    if (device->role == MACHINE_BACKEND)
        rc = spec_read_connection(device->loop->store, device->dir, &connection->spec, reason);
    if (rc == 0)
        return connection_choose(connection, why);
    snprintf(why, CONNECTION_WHY_MAX, "%.*s", CONNECTION_WHY_MAX - 1, reason);
    return rc;
}

/* Accepts only the guest's own directory for this device as the frontend's. */
static int check_peer(const struct device *device, char why[CONNECTION_WHY_MAX])
{
    char dir[STORE_PATH_MAX], wanted[DEVICE_PATH_MAX];
    const char *id = strchr(device->id, '/');
    int rc = 0;

    if (device->role == MACHINE_BACKEND) {
        snprintf(wanted, sizeof(wanted), "/local/domain/%.*s/device/vchan%s",
                 (int)(id - device->id), device->id, id);
        rc = store_read_text(device->loop->store, device->dir, "frontend", dir, sizeof(dir));
        if (rc < 0 || strcmp(dir, wanted) != 0)
            rc = -EINVAL;
    }
    if (rc < 0)
        explain_open(device, rc, why);
    return rc;
}

static int plug_within_quota(struct device *device, char why[CONNECTION_WHY_MAX])
{
    struct quota *quota = device->connection.quota;
    int rc;

    if (!quota_take_channel(quota)) {
        snprintf(why, CONNECTION_WHY_MAX, "its domain has more than %u channels here",
                 quota->limits->channels);
        return -ENOSPC;
    }
    rc = device_plug(device, why);
    if (rc < 0)
        quota_give_channel(quota);
    return rc;
}

static domid_t read_peer(const struct device *device)
{
    uint32_t peer;

    if (device->role == MACHINE_BACKEND)
        return (domid_t)strtoul(device->id, NULL, 10);
    return store_read_number(device->loop->store, device->dir, "backend-id",
                             DOMID_FIRST_RESERVED - 1, &peer) < 0
               ? DOMID_INVALID
               : (domid_t)peer;
}

static void device_take_over(struct device *device)
{
    struct connection *connection = &device->connection;
    char why[CONNECTION_WHY_MAX];
    int rc = store_has(device->loop->store, device->dir, "state");

    if (rc < 0 && rc != -EACCES) { /* nobody says when it can be read: look again */
        device->retry_wanted = true;
        plan_retry(device);
    }
    if (rc <= 0 || peer_is_gone(device))
        return;
    set_label(device);
    connection->store = device->loop->store;
    connection->peer = read_peer(device);
    connection->base = device->loop->base;
    connection->fdstore = device->loop->fdstore;
    connection->id = device->id;
    rc = device_choose(device, why);
    device->app = rc == 0 && !connection_is_served(connection);
    if (device->app)
        return;
    if (rc == 0)
        rc = check_peer(device, why);
    if (rc == 0)
        rc = plug_within_quota(device, why);
    if (rc < 0)
        device_refuse(device, rc, why);
}

/*
 * Tries to take the device over. A guest can cause looks endlessly, and a try costs more than a
 * look, so a backend waits between tries.
 */
static void device_try(struct device *device)
{
    if (device->role == MACHINE_BACKEND && backoff_is_on(&device->backoff)) {
        device->retry_wanted = true;
        return;
    }
    device_take_over(device);
    if (device->endpoint)
        endpoint_look(device->endpoint);
}

/* Called after the endpoint was freed. */
static void device_unplug(struct device *device)
{
    device->endpoint = device->connection.endpoint = NULL;
    event_del(device->look_timer);
    device->connect_reserved = false;
    device->connection.kind->unplug(&device->connection);
    statistics_close(&device->connection.statistics);
    quota_give_channel(device->connection.quota);
}

static void device_drop(struct device *device)
{
    if (!device->endpoint)
        return;
    endpoint_close(device->endpoint);
    device_unplug(device);
}

/* The device was removed, and another is in its place, which the old endpoint must not close. */
static void device_discard(struct device *device)
{
    endpoint_discard(device->endpoint);
    device_unplug(device);
    device->own = device->peer = XenbusStateUnknown;
    log_own(device);
}

/* Starts a frontend's device over, with the same connection. */
static void device_start_over(struct device *device)
{
    char why[CONNECTION_WHY_MAX];
    int rc;

    device->retrying = !device->connected;
    device->connected = device->moved_bytes = false;
    endpoint_close(device->endpoint);
    rc = device_open(device, why);
    if (rc == 0)
        return;
    device_unplug(device);
    device_refuse(device, rc, why);
}

static void device_retry(void *arg)
{
    struct device *device = arg;
    bool wanted = device->retry_wanted || device->role == MACHINE_FRONTEND;

    device->retry_wanted = false;
    if (device->ending || !wanted)
        return;
    if (device->endpoint && device->own == XenbusStateClosed) /* it may have started over already */
        device_start_over(device);
    device_look(device);
}

/* ---- for the service ---- */

static struct device *device_new(const struct loop *loop, enum machine_role role)
{
    struct device *device = calloc(1, sizeof(*device));

    if (!device)
        return NULL;
    device->loop = loop;
    device->role = role;
    device->delivery_timer = evtimer_new(loop->base, on_delivery_timeout, device);
    device->look_timer = evtimer_new(loop->base, on_look_timer, device);
    device->restart_timer = evtimer_new(loop->base, on_restart_timer, device);
    if (device->delivery_timer && device->look_timer && device->restart_timer &&
        backoff_open(&device->backoff, loop->base, device_retry, device) == 0)
        return device;
    device_free(device);
    return NULL;
}

struct device *device_new_backend(const struct loop *loop, struct quota *quota,
                                  struct claims *claims, domid_t frontend, uint32_t devid)
{
    struct device *device = device_new(loop, MACHINE_BACKEND);

    if (!device)
        return NULL;
    device->connection.quota = quota;
    device->claims = claims;
    snprintf(device->dir, sizeof(device->dir), "backend/vchan/%u/%" PRIu32, frontend, devid);
    snprintf(device->id, sizeof(device->id), "%u/%" PRIu32, frontend, devid);
    return device;
}

struct device *device_new_frontend(const struct loop *loop, struct quota *quota, uint32_t devid,
                                   const struct spec *spec)
{
    struct device *device = device_new(loop, MACHINE_FRONTEND);

    if (!device)
        return NULL;
    device->connection.quota = quota;
    device->connection.spec = *spec;
    snprintf(device->dir, sizeof(device->dir), "device/vchan/%" PRIu32, devid);
    snprintf(device->id, sizeof(device->id), "%" PRIu32, devid);
    return device;
}

/*
 * Whether the peer's domain is gone and all that it sent is delivered. Then the device is let go
 * of, since the domain's successor may need its path. The toolstack removes the nodes.
 */
static bool device_is_orphan(const struct device *device)
{
    return device->peer == XenbusStateUnknown && !device_has_rings(device) && peer_is_gone(device);
}

bool device_is_taken(const struct device *device)
{
    return device->endpoint != NULL;
}

bool device_is_app(const struct device *device)
{
    return device->app;
}

bool device_is_connected(const struct device *device)
{
    return device->endpoint && endpoint_is_connected(device->endpoint);
}

void device_end(struct device *device)
{
    device->ending = true;
    if (device->endpoint)
        endpoint_set_ending(device->endpoint);
}

bool device_is_asking(const struct device *device)
{
    return device->endpoint && endpoint_is_asking(device->endpoint);
}

bool device_has_rings(const struct device *device)
{
    return device_is_asking(device) ||
           (device->endpoint && endpoint_ring_bytes(device->endpoint) > 0);
}

void device_look(struct device *device)
{
    if (device->endpoint)
        endpoint_look(device->endpoint);
    if (device->endpoint && endpoint_is_replaced(device->endpoint))
        device_discard(device);
    if (!device->endpoint && !device->ending)
        device_try(device);
    if (device->endpoint && device_is_orphan(device))
        device_drop(device);
}

void device_free(struct device *device)
{
    device_drop(device);
    if (device->delivery_timer)
        event_free(device->delivery_timer);
    backoff_close(&device->backoff);
    if (device->look_timer)
        event_free(device->look_timer);
    if (device->restart_timer)
        event_free(device->restart_timer);
    free(device);
}
