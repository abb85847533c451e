/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/endpoint-own.h"
#include "state/error.h"
#include "state/lock.h"

/*
 * A peer that keeps rewriting its state gets this many answers in one go; the rest must wait until
 * the owner looks again.
 */
#define STEPS_MAX (2 * MACHINE_STEPS_MAX)

static const char *backend_dir(const struct endpoint *endpoint)
{
    return endpoint->role == MACHINE_BACKEND ? endpoint->own_dir : endpoint->peer_dir;
}

/* A frontend cannot decide this: only the backend offers. */
static bool can_offer(const struct endpoint *endpoint)
{
    return endpoint->role == MACHINE_FRONTEND || endpoint->ops->reattaches;
}

/* ---- refreshing the view ---- */

/*
 * What cannot be read now (xenstored is busy or gone) stays unchanged; an invalid state counts as
 * nonsense. If nobody may read the parent directory, xenstored answers EACCES even for a missing
 * node.
 */
static void see_state(struct endpoint *endpoint, const char *dir, enum xenbus_state nonsense,
                      enum xenbus_state *state)
{
    enum xenbus_state seen;
    int rc = store_read_state(endpoint->store, dir, &seen);

    if (rc == 0)
        *state = seen;
    else if (rc == -EACCES)
        *state = XenbusStateUnknown;
    else if (rc == -EINVAL)
        *state = nonsense;
}

static void see_states(struct endpoint *endpoint)
{
    struct machine_view *view = &endpoint->view;
    uint32_t online = 0;
    /*
     * Read before the states: if the directory is removed in between, the state goes with it, and
     * we see a removal rather than an unplug.
     */
    int rc = store_read_number(endpoint->store, backend_dir(endpoint), "online", 1, &online);

    /* What an earlier process had mapped is mapped first: its bytes are to be delivered. */
    if (rc == 0 || rc == -ENOENT || rc == -EACCES || rc == -EINVAL || rc == -ERANGE)
        view->online = online && (!endpoint->ending || endpoint->asking == MACHINE_REATTACH);
    /* An invalid own state is rewritten; an invalid peer state counts as missing. */
    see_state(endpoint, endpoint->own_dir, XenbusStateClosed, &view->own);
    see_state(endpoint, endpoint->peer_dir, XenbusStateUnknown, &view->peer);
}

/*
 * Whether the peer has released the rings, by its state. Its live byte shows that, too, if its
 * process died, but not if its domain was destroyed.
 */
static bool peer_let_go(const struct machine_view *view)
{
    return view->peer == XenbusStateUnknown || view->peer == XenbusStateInitialising ||
           view->peer == XenbusStateInitWait || view->peer == XenbusStateClosed;
}

/*
 * Whether the backend offers that another process takes over if one dies. What cannot be read now
 * stays unchanged.
 */
static void see_offer(struct endpoint *endpoint)
{
    uint32_t offered = 0;
    int rc = store_read_number(endpoint->store, backend_dir(endpoint), ENDPOINT_OFFER, 1, &offered);

    if (rc == 0 || rc == -ENOENT || rc == -EINVAL || rc == -ERANGE)
        endpoint->view.reattach = offered && can_offer(endpoint);
    if (endpoint->view.held)
        endpoint->rings->ops->set_resumable(
            endpoint->rings, endpoint->role == MACHINE_FRONTEND && endpoint->view.reattach);
}

static bool peer_process_gone(const struct endpoint *endpoint)
{
    return endpoint->view.held && endpoint->rings->ops->peer_died(endpoint->rings);
}

static void refresh(struct endpoint *endpoint)
{
    struct machine_view *view = &endpoint->view;
    enum xenbus_state own = view->own;

    /*
     * Before the states: a peer that leaves cleanly writes xenstore first, and must not be mistaken
     * for a crash.
     */
    view->lost = peer_process_gone(endpoint);
    see_states(endpoint);
    /* Only the toolstack writes Initialising there: it has plugged a new device. */
    endpoint->replaced |= own > XenbusStateInitialising && view->own == XenbusStateInitialising;
    if (endpoint->replaced)
        view->own = XenbusStateUnknown; /* ours is removed */
    if (view->held || !view->begun)
        see_offer(endpoint);
    view->kept = !view->begun && endpoint->ops->kept &&
                 endpoint->ops->kept(endpoint->arg, &endpoint->kept);
    if (!view->held && view->own == XenbusStateClosed)
        view->failed = false; /* that connection is over; the next may succeed */
}

/* ---- the loop ---- */

static void tell_moved(struct endpoint *endpoint, enum xenbus_state own, enum xenbus_state peer)
{
    bool news = endpoint->told || own != endpoint->view.own || peer != endpoint->view.peer;

    endpoint->told = false;
    if (news && endpoint->ops->moved)
        endpoint->ops->moved(endpoint->arg);
}

static void now_connected(struct endpoint *endpoint)
{
    endpoint->connected = true;
    if (endpoint->view.own == XenbusStateConnected)
        endpoint_forget_reason(endpoint);
    if (endpoint->ops->connected)
        endpoint->ops->connected(endpoint->arg);
}

/*
 * An earlier process had reached Closing, or the toolstack wants us there. Connected will not be
 * reached any more, but what the peer sent is still to be delivered.
 */
static void resume(struct endpoint *endpoint)
{
    const struct machine_view *view = &endpoint->view;
    bool over = view->own == XenbusStateClosing || view->draining;

    if (endpoint->resumed && view->ready && !endpoint->connected && over)
        now_connected(endpoint);
}

/* Whether a restarted frontend is about to grant new rings, or has done so. */
static bool frontend_started_over(struct store *store, const struct endpoint *endpoint)
{
    enum xenbus_state state;
    struct read_keys now;

    if (store_read_state(store, endpoint->peer_dir, &state) < 0)
        return false;
    if (state != XenbusStateInitialised || !endpoint->has_tried)
        return state == XenbusStateInitialising || state == XenbusStateInitialised;
    endpoint_read_keys(store, endpoint, &now);
    return now.keys.ring_ref != endpoint->tried.keys.ring_ref ||
           now.keys.port != endpoint->tried.keys.port;
}

/*
 * Returns 0 or -ENOENT. Each state is written in the transaction that finds our own as it was seen:
 * the device may have been removed meanwhile, and another one plugged in its place.
 */
static int check_own_state(struct store *store, const struct endpoint *endpoint)
{
    enum xenbus_state state;
    int rc = store_read_state(store, endpoint->own_dir, &state);

    if (rc < 0)
        return rc;
    return state == endpoint->view.own && state != XenbusStateUnknown ? 0 : -ENOENT;
}

/*
 * Checks the frontend in the same transaction, because a restarted one may have granted new rings
 * meanwhile, and Connected must not apply to those. (Found by tests/model/explore.c.)
 */
static int fill_connected(struct store *store, void *arg)
{
    struct endpoint *endpoint = arg;
    enum xenbus_state state;
    int rc = check_own_state(store, endpoint);

    if (rc < 0)
        return rc;
    rc = store_read_state(store, endpoint->peer_dir, &state);
    if (rc < 0 || peer_process_gone(endpoint) || frontend_started_over(store, endpoint))
        return -ENOENT;
    return store_write_number(store, endpoint->own_dir, "state", XenbusStateConnected);
}

/*
 * Closed answers the frontend that granted the rings just tried. A restarted one must not take it
 * as an answer to its own.
 */
static int fill_refusal(struct store *store, void *arg)
{
    struct endpoint *endpoint = arg;
    int rc = check_own_state(store, endpoint);

    if (rc < 0)
        return rc;
    if (frontend_started_over(store, endpoint))
        return -ESTALE;
    return store_write_number(store, endpoint->own_dir, "state", XenbusStateClosed);
}

/* Whether Closed is written because of what the frontend did, rather than because of an unplug. */
static bool is_answer(const struct endpoint *endpoint)
{
    const struct machine_view *view = &endpoint->view;

    return view->online && !view->leaving && (endpoint->has_tried || !view->failed);
}

struct state_write {
    const struct endpoint *endpoint;
    enum xenbus_state next;
};

static int fill_state(struct store *store, void *arg)
{
    const struct state_write *write = arg;
    int rc = check_own_state(store, write->endpoint);

    return rc < 0 ? rc
                  : store_write_number(store, write->endpoint->own_dir, "state", write->next);
}

static int write_state(struct endpoint *endpoint, enum xenbus_state next)
{
    bool offers = endpoint->role == MACHINE_BACKEND && endpoint->view.own == XenbusStateInitWait;
    struct state_write write = {.endpoint = endpoint, .next = next};

    if (offers && next == XenbusStateConnected)
        return store_transaction(endpoint->store, fill_connected, endpoint);
    if (offers && next == XenbusStateClosed && is_answer(endpoint))
        return store_transaction(endpoint->store, fill_refusal, endpoint);
    return store_transaction(endpoint->store, fill_state, &write);
}

/* The failure concerned the previous frontend. */
static void offer_again(struct endpoint *endpoint)
{
    endpoint->view.failed = false;
    endpoint_forget_reason(endpoint);
}

/* Returns false if writing failed, since trying again at once would fail, too. */
static bool publish(struct endpoint *endpoint, enum xenbus_state next)
{
    int rc;

    if (endpoint->view.own == next)
        return true;
    rc = write_state(endpoint, next);
    if (rc == -ESTALE)
        offer_again(endpoint);
    if (rc == -ESTALE || rc == -ENOENT)
        return true; /* removed, or its frontend died or restarted: the next look sees that */
    if (rc < 0) {
        endpoint_explain(endpoint, rc, "cannot write the state %s: %s", xenbus_state_name(next),
                         error_text(rc));
        return false;
    }
    endpoint->view.own = next;
    endpoint->has_tried = false;
    if (next == XenbusStateConnected)
        now_connected(endpoint);
    return true;
}

static bool begins_connection(enum machine_action action)
{
    return action == MACHINE_MAP || action == MACHINE_GRANT;
}

/* Returns whether it may be done now. */
static bool begin_step(struct endpoint *endpoint, const struct machine_step *step)
{
    if (begins_connection(step->action) && endpoint->ops->admit &&
        !endpoint->ops->admit(endpoint->arg))
        return false;
    if (endpoint->ops->decided)
        endpoint->ops->decided(endpoint->arg, step);
    return true;
}

/* Returns whether there may be more to do. */
static bool take_step(struct endpoint *endpoint)
{
    struct machine_step step = machine_step(endpoint->role, &endpoint->view);
    int rc;

    if (endpoint->asking && step.action != endpoint->asking)
        endpoint_stop_asking(endpoint);
    if (step.action == MACHINE_WAIT)
        return false;
    if (!endpoint->asking && !begin_step(endpoint, &step))
        return false;
    rc = endpoint_act(endpoint, step.action);
    if (rc == 0)
        return publish(endpoint, step.next);
    if (rc == -EINPROGRESS)
        return false;
    endpoint->view.failed = true;
    return true;
}

/* The peer no longer signals, so an owner that sleeps on the rings must be woken. */
static void pass_on_loss(struct endpoint *endpoint)
{
    if (endpoint->gone || !endpoint->connected || !peer_let_go(&endpoint->view))
        return;
    endpoint->gone = true;
    endpoint->rings->ops->set_gone(endpoint->rings);
    endpoint_stir(endpoint);
}

/* The owner lets go of it (endpoint_is_replaced()), and nothing is read or written until then. */
static bool is_to_be_discarded(const struct endpoint *endpoint)
{
    return endpoint->replaced && endpoint->ops->discards;
}

static bool endpoint_step(struct endpoint *endpoint)
{
    enum xenbus_state own = endpoint->view.own, peer = endpoint->view.peer;
    bool more;

    refresh(endpoint);
    if (is_to_be_discarded(endpoint))
        return false;
    more = take_step(endpoint);
    resume(endpoint);
    pass_on_loss(endpoint);
    tell_moved(endpoint, own, peer);
    return more;
}

static void endpoint_run(struct endpoint *endpoint)
{
    bool more = true;

    if (is_to_be_discarded(endpoint))
        return;
    if (endpoint->running) {
        endpoint->again = true;
        return;
    }
    endpoint->running = true;
    for (int steps = 0; more && steps < STEPS_MAX; steps++) {
        endpoint->again = false;
        more = endpoint_step(endpoint);
        more |= endpoint->again;
    }
    endpoint->running = false;
    if (more && endpoint->ops->unfinished)
        endpoint->ops->unfinished(endpoint->arg);
}

/*
 * While the rest is delivered, the peer's process does not matter. Otherwise a peer that flips its
 * live byte could make us ask xenstored endlessly.
 */
static bool minds_loss(const struct endpoint *endpoint)
{
    return !endpoint->view.draining || endpoint->view.drained;
}

/* Maps lost rings again, or fails. */
static void remap(struct endpoint *endpoint)
{
    int rc = endpoint_remap(endpoint);

    if (rc == 0 || rc == -EINPROGRESS)
        return;
    endpoint->view.failed = true;
    endpoint_run(endpoint);
}

/* rings->fired: the peer signalled, or what is in progress has an answer. */
static void heed_signal(void *arg)
{
    struct endpoint *endpoint = arg;

    if (endpoint->remapping)
        remap(endpoint);
    if (endpoint->asking ||
        (peer_process_gone(endpoint) != endpoint->view.lost && minds_loss(endpoint)))
        endpoint_run(endpoint);
    endpoint_stir(endpoint);
}

/* ---- opening and closing ---- */

/* A backend without declared sizes uses the default, as a config without them means. */
static int read_ring(const struct endpoint *endpoint, const char *key, uint32_t *size)
{
    int rc = store_read_number(endpoint->store, endpoint->own_dir, key, RING_SIZE_MAX, size);

    if (rc != -ENOENT || endpoint->role == MACHINE_FRONTEND)
        return rc;
    *size = RING_SIZE_DEFAULT;
    return 0;
}

static int read_rings(struct endpoint *endpoint)
{
    uint32_t read_size, write_size;
    int rc = read_ring(endpoint, "read-ring", &read_size);

    if (rc == 0)
        rc = read_ring(endpoint, "write-ring", &write_size);
    if (rc == 0)
        rc = ring_orders_for(read_size, write_size, &endpoint->orders);
    return rc;
}

static int read_streams(struct endpoint *endpoint)
{
    int rc = store_read_number(endpoint->store, endpoint->own_dir, "streams", STREAMS_MAX,
                               &endpoint->declared_streams);

    if (rc == -ENOENT) {
        endpoint->declared_streams = 0;
        return 0;
    }
    return rc == 0 && endpoint->declared_streams < STREAMS_MIN ? -EINVAL : rc;
}

static int read_device(struct endpoint *endpoint)
{
    bool backend = endpoint->role == MACHINE_BACKEND;
    uint32_t peer = STORE_NOBODY;
    domid_t own;
    int rc =
        store_read_number(endpoint->store, endpoint->own_dir,
                          backend ? "frontend-id" : "backend-id", DOMID_FIRST_RESERVED - 1, &peer);

    if (rc == 0)
        rc = store_read_text(endpoint->store, endpoint->own_dir, endpoint_peer_word(endpoint),
                             endpoint->peer_dir, sizeof(endpoint->peer_dir));
    if (rc == 0)
        rc = store_read_text(endpoint->store, endpoint->own_dir, "name", endpoint->name,
                             sizeof(endpoint->name));
    if (rc == 0)
        rc = read_rings(endpoint);
    if (rc == 0)
        rc = read_streams(endpoint);
    if (rc == 0)
        rc = store_own_domid(endpoint->store, &own);
    if (rc == 0 && (!device_name_valid(endpoint->name) || endpoint->peer_dir[0] != '/'))
        rc = -EINVAL;
    /* cppcheck-suppress uninitvar ; rc is 0 only after own was read */
    if (rc == 0 && own == peer)
        rc = -ELOOP; /* mapping one's own grants has crashed kernels */
    endpoint->peer = (domid_t)peer;
    return rc == -EOVERFLOW || rc == -ERANGE ? -EINVAL : rc;
}

/*
 * Locks by domain and devid, because a directory can be written in two ways (absolute and
 * relative).
 */
static int take_side_lock(struct endpoint *endpoint)
{
    const char *slash = strrchr(endpoint->own_dir, '/');
    domid_t side = endpoint->role == MACHINE_BACKEND ? endpoint->peer : STORE_NOBODY;
    uint32_t devid;
    int rc = parse_number(slash ? slash + 1 : endpoint->own_dir, DEVICE_ID_MAX, &devid);

    if (rc < 0)
        return -EINVAL;
    endpoint->lock = device_side_number(side, devid);
    return lock_side_take(endpoint->lock);
}

int endpoint_open(struct store *store, struct rings *rings, enum machine_role role,
                  const char *own_dir, const struct endpoint_ops *ops, void *arg,
                  struct endpoint **out)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
    int rc;

    *out = NULL;
    if (!endpoint)
        return -ENOMEM;
    endpoint->store = store;
    endpoint->rings = rings;
    endpoint->role = role;
    endpoint->ops = ops;
    endpoint->arg = arg;
    rc = snprintf(endpoint->own_dir, sizeof(endpoint->own_dir), "%s", own_dir) <
                 (int)sizeof(endpoint->own_dir)
             ? read_device(endpoint)
             : -ENAMETOOLONG;
    if (rc == 0)
        rc = take_side_lock(endpoint);
    if (rc < 0) {
        free(endpoint);
        return rc;
    }
    rings->fired = heed_signal;
    rings->arg = endpoint;
    *out = endpoint;
    return 0;
}

void endpoint_close(struct endpoint *endpoint)
{
    if (!endpoint)
        return;
    endpoint_set_leaving(endpoint);
    if (endpoint->view.held) /* xenstore did not answer: release them all the same */
        endpoint_act(endpoint, MACHINE_RELEASE);
    if (endpoint->asking)
        endpoint_stop_asking(endpoint);
    lock_side_release(endpoint->lock);
    free(endpoint);
}

void endpoint_discard(struct endpoint *endpoint)
{
    endpoint->replaced = true; /* whatever the owner calls now, nothing is read or written */
    if (endpoint->view.held)
        endpoint_release_rings(endpoint);
    if (endpoint->asking)
        endpoint_stop_asking(endpoint);
    lock_side_release(endpoint->lock);
    free(endpoint);
}

void endpoint_set_claims(struct endpoint *endpoint, struct claims *claims)
{
    endpoint->claims = claims;
}

void endpoint_look(struct endpoint *endpoint)
{
    endpoint_run(endpoint);
}

void endpoint_lose_rings(struct endpoint *endpoint)
{
    if (!endpoint->view.held)
        return;
    if (endpoint->role == MACHINE_BACKEND && endpoint->ops->reattaches)
        remap(endpoint);
    else
        endpoint_fail(endpoint, -EPIPE, "the process that had its rings died");
}

void endpoint_set_leaving(struct endpoint *endpoint)
{
    endpoint->view.leaving = true;
    endpoint_run(endpoint);
}

void endpoint_set_ending(struct endpoint *endpoint)
{
    endpoint->ending = true;
    endpoint_run(endpoint);
}

void endpoint_set_ready(struct endpoint *endpoint)
{
    endpoint->view.ready = endpoint->view.held;
    endpoint_run(endpoint);
}

void endpoint_set_finished(struct endpoint *endpoint)
{
    endpoint->view.finished = endpoint->view.held;
    endpoint_run(endpoint);
}

void endpoint_set_drained(struct endpoint *endpoint)
{
    endpoint->view.drained = endpoint->view.held;
    endpoint_run(endpoint);
}

void endpoint_fail(struct endpoint *endpoint, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    endpoint_explain_args(endpoint, error, format, args);
    va_end(args);
    endpoint->view.failed = true;
    endpoint_run(endpoint);
}

void endpoint_fail_corrupt(struct endpoint *endpoint)
{
    endpoint_fail(endpoint, -EPROTO, "the %s corrupted the ring", endpoint_peer_word(endpoint));
}

void endpoint_set_error(struct endpoint *endpoint, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    endpoint_explain_args(endpoint, error, format, args);
    va_end(args);
    endpoint_run(endpoint);
}

void endpoint_clear_error(struct endpoint *endpoint)
{
    if (endpoint->reason[0])
        endpoint_forget_reason(endpoint);
}

bool endpoint_is_connected(const struct endpoint *endpoint)
{
    return endpoint->connected;
}

bool endpoint_resumed(const struct endpoint *endpoint)
{
    return endpoint->resumed;
}

bool endpoint_is_deserted(const struct endpoint *endpoint)
{
    bool used = endpoint->connected || endpoint->resumed;

    return used && (endpoint->rings->ops->peer_left(endpoint->rings) ||
                    endpoint->view.peer == XenbusStateUnknown);
}

void endpoint_rings(const struct endpoint *endpoint, struct endpoint_rings *rings)
{
    *rings = (struct endpoint_rings){
        .peer = endpoint->peer,
        .ring_ref = endpoint->tried.keys.ring_ref,
        .port = endpoint->tried.keys.port,
        .pages = endpoint->rings->ops->pages(endpoint->rings),
    };
}

uint32_t endpoint_streams(const struct endpoint *endpoint)
{
    return endpoint->view.held ? endpoint->streams : 0;
}

bool endpoint_is_asking(const struct endpoint *endpoint)
{
    return endpoint->asking != MACHINE_WAIT;
}

uint32_t endpoint_ring_bytes(const struct endpoint *endpoint)
{
    uint32_t pages = endpoint->view.held ? 1 + endpoint->rings->ops->pages(endpoint->rings) : 0;

    return pages << RING_ORDER_PAGE;
}

enum xenbus_state endpoint_own_state(const struct endpoint *endpoint)
{
    return endpoint->view.own;
}

enum xenbus_state endpoint_peer_state(const struct endpoint *endpoint)
{
    return endpoint->view.peer;
}

bool endpoint_ended_well(const struct endpoint *endpoint)
{
    return endpoint->ended_well;
}

bool endpoint_is_replaced(const struct endpoint *endpoint)
{
    return endpoint->replaced;
}

bool endpoint_present(const struct endpoint *endpoint)
{
    return endpoint->view.own != XenbusStateUnknown;
}

const char *endpoint_own_dir(const struct endpoint *endpoint)
{
    return endpoint->own_dir;
}

const char *endpoint_peer_dir(const struct endpoint *endpoint)
{
    return endpoint->peer_dir;
}

domid_t endpoint_peer_domid(const struct endpoint *endpoint)
{
    return endpoint->peer;
}

const char *endpoint_reason(const struct endpoint *endpoint)
{
    return endpoint->reason;
}

int endpoint_error(const struct endpoint *endpoint)
{
    return endpoint->error;
}
