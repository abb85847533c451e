/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "state/claims.h"
#include "state/endpoint-own.h"
#include "state/error.h"

/* What this backend offers: RING_SIZE_MAX. */
#define MAX_RING_TEXT "1048576"

/* The version of streams that this side speaks. */
#define STREAMS_VERSION_TEXT "1"

/* ---- the reason of a failure ---- */

void endpoint_explain_args(struct endpoint *endpoint, int error, const char *format, va_list args)
{
    char reason[sizeof(endpoint->reason)];

    vsnprintf(reason, sizeof(reason), format, args);
    endpoint->error = error;
    if (strcmp(reason, endpoint->reason) == 0)
        return; /* writing it again would only fire our own watch */
    memcpy(endpoint->reason, reason, sizeof(reason));
    endpoint->told = true;
    if (endpoint->replaced)
        return;
    store_write_device(endpoint->store, endpoint->own_dir, "error", endpoint->reason);
}

void endpoint_explain(struct endpoint *endpoint, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    endpoint_explain_args(endpoint, error, format, args);
    va_end(args);
}

static void remove_own(const struct endpoint *endpoint, const char *key)
{
    char path[STORE_PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/%s", endpoint->own_dir, key);
    store_remove(endpoint->store, path);
}

void endpoint_forget_reason(struct endpoint *endpoint)
{
    endpoint->reason[0] = '\0';
    endpoint->error = 0;
    if (endpoint->replaced)
        return;
    remove_own(endpoint, "error");
}

/* ---- actions: each returns 0, or a negative errno after endpoint_explain() ---- */

static int write_offers(struct endpoint *endpoint)
{
    int rc = store_write_device(endpoint->store, endpoint->own_dir, "max-ring", MAX_RING_TEXT);

    if (rc == 0)
        rc = store_write_device(endpoint->store, endpoint->own_dir, ENDPOINT_OFFER,
                                endpoint->ops->reattaches ? "1" : "0");
    if (rc < 0)
        endpoint_explain(endpoint, rc, "cannot write max-ring and feature-reattach: %s",
                         error_text(rc));
    return rc;
}

static bool carries_streams(const struct endpoint *endpoint)
{
    return endpoint->declared_streams && endpoint->ops->carries_streams &&
           endpoint->ops->carries_streams(endpoint->arg);
}

/* Tells the peer that this side carries streams, as many as declared. */
static int write_streams(struct endpoint *endpoint)
{
    char most[16];
    int rc;

    if (!endpoint->declared_streams)
        return 0;
    if (!carries_streams(endpoint)) {
        remove_own(endpoint, "feature-streams"); /* another program of this side could */
        return 0;
    }
    snprintf(most, sizeof(most), "%u", endpoint->declared_streams);
    rc = store_write_device(endpoint->store, endpoint->own_dir, "max-streams", most);
    if (rc == 0)
        rc = store_write_device(endpoint->store, endpoint->own_dir, "feature-streams",
                                STREAMS_VERSION_TEXT);
    if (rc < 0)
        endpoint_explain(endpoint, rc, "cannot write max-streams and feature-streams: %s",
                         error_text(rc));
    return rc;
}

static int act_begin(struct endpoint *endpoint)
{
    int rc = 0;

    if (endpoint->view.own >= XenbusStateConnected && endpoint->view.own != XenbusStateClosed)
        endpoint_explain(endpoint, 0,
                         "the previous process of this side died"); /* not fatal: go on */
    else
        endpoint_forget_reason(endpoint);
    if (endpoint->role == MACHINE_BACKEND)
        rc = write_offers(endpoint);
    if (rc == 0)
        rc = write_streams(endpoint);
    endpoint->view.begun = rc == 0;
    return rc;
}

static int read_peer_number(struct store *store, const struct endpoint *endpoint, const char *key,
                            uint32_t *value);

/* How many streams the peer carries at once; 0: it cannot carry any. */
static uint32_t read_peer_streams(const struct endpoint *endpoint)
{
    uint32_t version, most;

    read_peer_number(endpoint->store, endpoint, "feature-streams", &version);
    read_peer_number(endpoint->store, endpoint, "max-streams", &most);
    return version == 0 || most < STREAMS_MIN || most > STREAMS_MAX ? 0 : most;
}

static int refuse_streams(struct endpoint *endpoint, const char *who)
{
    endpoint->streams = 0;
    endpoint_explain(endpoint, -EOPNOTSUPP,
                     "the channel is declared with streams, which %s cannot carry", who);
    return -EOPNOTSUPP;
}

/*
 * Finds out how many streams both sides carry. Two sides that disagree must not connect, since one
 * would take the other's frames for bytes. If an earlier process agreed, the frontend's nodes may be
 * gone with its domain, or cannot be read now.
 */
static int agree_on_streams(struct endpoint *endpoint, bool agreed)
{
    uint32_t declared = endpoint->declared_streams;
    uint32_t most = declared ? read_peer_streams(endpoint) : 0;

    endpoint->streams = most < declared ? most : declared;
    if (!declared)
        return 0;
    if (!carries_streams(endpoint))
        return refuse_streams(endpoint, "this side");
    if (most == 0 && agreed)
        endpoint->streams = declared;
    else if (most == 0)
        return refuse_streams(endpoint,
                              endpoint->role == MACHINE_BACKEND ? "the frontend" : "the backend");
    return 0;
}

/* Rings just granted, and the directory to write their keys to. */
struct granted {
    const char *dir;
    struct rings_keys keys;
};

static int fill_ring_keys(struct store *store, void *arg)
{
    const struct granted *granted = arg;
    int rc;

    if (!store_exists(store, granted->dir, "state"))
        return -ENOENT;
    rc = store_write_number(store, granted->dir, "ring-ref", granted->keys.ring_ref);
    if (rc < 0)
        return rc;
    return store_write_number(store, granted->dir, "event-channel", granted->keys.port);
}

static const char *grant_advice(int rc)
{
    switch (rc) {
    case -ENOSPC:
        return " (raise /sys/module/xen_gntalloc/parameters/limit, or use smaller rings)";
    case -ENODEV:
        return " (modprobe xen-gntalloc)";
    default:
        return "";
    }
}

static int act_grant(struct endpoint *endpoint)
{
    struct granted granted = {.dir = endpoint->own_dir};
    int rc = endpoint->asking ? 0 : agree_on_streams(endpoint, false);

    if (rc < 0)
        return rc;
    rc = endpoint->rings->ops->grant(endpoint->rings, endpoint->peer, &endpoint->orders,
                                     &granted.keys);
    if (rc == -EINPROGRESS)
        return rc;
    if (rc < 0) {
        endpoint_explain(endpoint, rc, "cannot grant rings of %u and %u bytes: %s%s",
                         1u << endpoint->orders.read, 1u << endpoint->orders.write,
                         error_text(rc), grant_advice(rc));
        return rc;
    }
    rc = store_transaction(endpoint->store, fill_ring_keys, &granted);
    if (rc < 0) {
        endpoint_explain(endpoint, rc, "cannot write ring-ref and event-channel: %s",
                         error_text(rc));
        endpoint->rings->ops->release(endpoint->rings);
    }
    return rc;
}

/* Reads a number that the peer wrote. Missing or invalid: 0. */
static int read_peer_number(struct store *store, const struct endpoint *endpoint, const char *key,
                            uint32_t *value)
{
    int rc = store_read_number(store, endpoint->peer_dir, key, INT32_MAX, value);

    if (rc < 0)
        *value = 0;
    return rc;
}

static int explain_number(struct endpoint *endpoint, const char *key, int rc)
{
    if (rc < 0)
        endpoint_explain(endpoint, rc, "%s/%s: %s", endpoint->peer_dir, key,
                         rc == -EINVAL || rc == -ERANGE ? "not a number" : strerror(-rc));
    return rc;
}

void endpoint_read_keys(struct store *store, const struct endpoint *endpoint,
                        struct read_keys *read)
{
    read->ring_ref_error = read_peer_number(store, endpoint, "ring-ref", &read->keys.ring_ref);
    read->port_error = read_peer_number(store, endpoint, "event-channel", &read->keys.port);
}

static const char *join_error(int rc)
{
    switch (rc) {
    case -EBUSY:
        return "its event channel is not for this domain, or another client has bound it";
    case -ENODEV:
        return "No such device (modprobe xen-gntdev)";
    case -E2BIG:
        return "they are larger than declared";
    case -EPROTO:
        return "its shared page is invalid (ring orders, grants or indices)";
    default:
        return error_text(rc);
    }
}

/* Reads the keys once, so that what is checked is what is mapped. */
static int read_tried(struct endpoint *endpoint)
{
    struct read_keys *tried = &endpoint->tried;
    int rc;

    endpoint_read_keys(endpoint->store, endpoint, tried);
    endpoint->has_tried = true;
    rc = explain_number(endpoint, "ring-ref", tried->ring_ref_error);
    return rc < 0 ? rc : explain_number(endpoint, "event-channel", tried->port_error);
}

static int map_tried(struct endpoint *endpoint)
{
    const struct rings_keys *keys = &endpoint->tried.keys;
    int rc = endpoint->rings->ops->map(endpoint->rings, endpoint->peer, keys, &endpoint->orders);

    if (rc == -E2BIG)
        endpoint_explain(endpoint, rc, "cannot map its rings: they are larger than declared "
                         "(read-ring %u, write-ring %u)",
                         1u << endpoint->orders.read, 1u << endpoint->orders.write);
    else if (rc < 0 && rc != -EINPROGRESS)
        endpoint_explain(endpoint, rc, "cannot map %s/ring-ref %u with event-channel %u: %s",
                         endpoint->peer_dir, keys->ring_ref, keys->port, join_error(rc));
    return rc;
}

static int act_map(struct endpoint *endpoint)
{
    int rc = endpoint->asking ? 0 : read_tried(endpoint);

    if (rc == 0 && !endpoint->asking)
        rc = agree_on_streams(endpoint, false);
    return rc < 0 ? rc : map_tried(endpoint);
}

/* Splits a device's directory into its parent and the devid. */
static int split_dir(const char *dir, char parent[STORE_PATH_MAX], uint32_t *devid)
{
    const char *slash = strrchr(dir, '/');

    if (!slash)
        return -EINVAL;
    snprintf(parent, STORE_PATH_MAX, "%.*s", (int)(slash - dir), dir);
    return parse_number(slash + 1, DEVICE_ID_MAX, devid);
}

/*
 * A dead frontend leaves its keys behind, and another channel of its domain may have got the same
 * port since. Taking the port would break that channel. (Without a port the grants are not mapped.)
 */
static int check_claims(struct endpoint *endpoint, uint32_t port)
{
    struct claims own = {0}, *claims = endpoint->claims ? endpoint->claims : &own;
    char frontends[STORE_PATH_MAX], backends[STORE_PATH_MAX];
    uint32_t devid;
    int rc = split_dir(endpoint->peer_dir, frontends, &devid);

    if (rc == 0)
        rc = split_dir(endpoint->own_dir, backends, &devid);
    if (rc == 0)
        rc = claims_check(claims, endpoint->store, frontends, backends, devid, port);
    claims_forget(&own);
    return rc;
}

/* Reads and checks the keys of a frontend that waits for us. */
static int check_tried(struct endpoint *endpoint)
{
    int rc = read_tried(endpoint);

    if (rc < 0)
        return rc;
    rc = check_claims(endpoint, endpoint->tried.keys.port);
    if (rc < 0) {
        endpoint_explain(endpoint, rc, "cannot resume %s: event channel %u %s%s",
                         endpoint->peer_dir, endpoint->tried.keys.port,
                         rc == -EBUSY ? "is also claimed by another channel"
                                      : "cannot be checked: ",
                         rc == -EBUSY ? "" : error_text(rc));
    }
    return rc;
}

/* Maps the rings named by the keys of a frontend that waits for us. */
static int resume_tried(struct endpoint *endpoint)
{
    int rc = endpoint->asking ? 0 : check_tried(endpoint);

    return rc < 0 ? rc : map_tried(endpoint);
}

/* Whether an error of map() is this side's own. Any other may mean that the frontend has gone. */
static bool is_own_error(int rc)
{
    return rc == -EPIPE || rc == -ENOMEM || rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE;
}

/*
 * Maps rings that were mapped before. If the frontend has gone, joins without a port, to read what
 * it wrote. first: nothing was asked for yet.
 */
static int map_again(struct endpoint *endpoint, bool first)
{
    const struct rings_ops *ops = endpoint->rings->ops;
    const struct rings_keys *keys = &endpoint->tried.keys;
    int rc = -EBUSY;

    if (first)
        endpoint->adopting = check_claims(endpoint, keys->port) < 0;
    if (!endpoint->adopting)
        rc = ops->map(endpoint->rings, endpoint->peer, keys, &endpoint->orders);
    if (rc < 0 && rc != -EINPROGRESS && !is_own_error(rc)) {
        endpoint->adopting = true;
        rc = ops->adopt(endpoint->rings, endpoint->peer, keys->ring_ref, &endpoint->orders);
    }
    if (rc < 0 && rc != -EINPROGRESS)
        endpoint_explain(endpoint, rc, "cannot map the previous process's rings again: %s",
                         join_error(rc));
    return rc;
}

int endpoint_remap(struct endpoint *endpoint)
{
    int rc = map_again(endpoint, !endpoint->remapping);

    endpoint->remapping = rc == -EINPROGRESS;
    return rc;
}

static int resume_kept(struct endpoint *endpoint)
{
    const struct endpoint_rings *kept = &endpoint->kept;

    if (!endpoint->asking)
        endpoint->tried =
            (struct read_keys){.keys = {.ring_ref = kept->ring_ref, .port = kept->port}};
    return map_again(endpoint, !endpoint->asking);
}

/*
 * Begins, and maps what an earlier process had mapped. The previous error stays until Connected,
 * since it concerns the connection that goes on.
 */
static int act_reattach(struct endpoint *endpoint)
{
    int rc = endpoint->asking ? 0 : write_offers(endpoint);

    if (rc == 0 && !endpoint->asking)
        rc = write_streams(endpoint);
    if (rc == 0 && !endpoint->asking)
        rc = agree_on_streams(endpoint, true);
    if (rc == 0)
        rc = endpoint->view.kept ? resume_kept(endpoint) : resume_tried(endpoint);
    endpoint->view.begun = rc != -EINPROGRESS;
    return rc;
}

/* Whether the peer's error only repeats ours: "the backend reported: out of memory". */
static bool is_echo(const struct endpoint *endpoint, const char *error)
{
    const char *said = strstr(error, " reported: ");

    return said && endpoint->reason[0] &&
           strcmp(said + strlen(" reported: "), endpoint->reason) == 0;
}

/* After reading the peer's error; EACCES if its directory has gone meanwhile (see see_state()). */
static bool shows_no_error(int rc)
{
    return rc == -ENOENT || rc == -EACCES;
}

/* The peer ended without closing cleanly: find a reason. */
static void explain_loss(struct endpoint *endpoint)
{
    const struct machine_view *view = &endpoint->view;
    char error[sizeof(endpoint->reason) - 32];
    int rc = store_read_text(endpoint->store, endpoint->peer_dir, "error", error, sizeof(error));

    if (rc == 0 && is_echo(endpoint, error))
        endpoint->error = -ECONNRESET;
    else if (rc == 0)
        endpoint_explain(endpoint, -ECONNRESET, "the %s reported: %s", endpoint_peer_word(endpoint),
                         error);
    else if (view->peer == XenbusStateUnknown)
        endpoint_explain(endpoint, -ECONNRESET,
                         "the %s's directory is gone (destroyed or detached by force)",
                         endpoint_peer_word(endpoint));
    else if (view->lost)
        endpoint_explain(endpoint, -ECONNRESET, "the %s's process died",
                         endpoint_peer_word(endpoint));
    else if (!shows_no_error(rc) && !store_is_nothing(rc))
        endpoint_explain(endpoint, -ECONNRESET, "cannot read whether the %s reported an error: %s",
                         endpoint_peer_word(endpoint), error_text(rc));
    else
        endpoint_explain(endpoint, -ECONNRESET, "the %s went from Connected to %s",
                         endpoint_peer_word(endpoint), xenbus_state_name(view->peer));
}

void endpoint_stir(struct endpoint *endpoint)
{
    if (endpoint->connected && endpoint->ops->stirred)
        endpoint->ops->stirred(endpoint->arg);
}

/*
 * A peer ends cleanly if it is at its end or being unplugged, and is known to have written no
 * error. (The state alone does not show this: a backend that was killed and restarted is Closed,
 * too.)
 */
static bool peer_ended_well(const struct endpoint *endpoint)
{
    const struct machine_view *view = &endpoint->view;
    bool at_end = view->peer == XenbusStateClosing || view->peer == XenbusStateClosed ||
                  (!view->online && view->peer != XenbusStateUnknown);
    char error[1];

    return at_end && shows_no_error(store_read_text(endpoint->store, endpoint->peer_dir, "error",
                                                    error, sizeof(error)));
}

static int act_drain(struct endpoint *endpoint)
{
    struct machine_view *view = &endpoint->view;

    view->draining = true;
    if (!endpoint->connected && !(endpoint->resumed && view->online))
        view->drained = true; /* nothing was ever read, and nobody will read it */
    endpoint->ended_well = peer_ended_well(endpoint);
    if (!endpoint->ended_well)
        explain_loss(endpoint);
    endpoint->rings->ops->set_ended(endpoint->rings);
    endpoint_stir(endpoint);
    return 0;
}

static void remove_ring_keys(struct endpoint *endpoint)
{
    remove_own(endpoint, "ring-ref");
    remove_own(endpoint, "event-channel");
}

void endpoint_release_rings(struct endpoint *endpoint)
{
    struct machine_view *view = &endpoint->view;

    if (endpoint->ops->releasing)
        endpoint->ops->releasing(endpoint->arg);
    endpoint->rings->ops->release(endpoint->rings);
    endpoint->remapping = false;
    endpoint->connected = endpoint->gone = endpoint->resumed = false;
    view->held = view->ready = view->draining = view->drained = view->finished = false;
}

static int act_release(struct endpoint *endpoint)
{
    if (endpoint->role == MACHINE_FRONTEND)
        remove_ring_keys(endpoint);
    endpoint_release_rings(endpoint);
    return 0;
}

/*
 * The rings are held from here on, so the owner plugs in its connection. An earlier process that
 * reached Closing had no more to send.
 */
static void now_held(struct endpoint *endpoint, bool resumed)
{
    endpoint->view.held = true;
    endpoint->resumed = resumed;
    endpoint->view.finished = resumed && endpoint->view.own == XenbusStateClosing;
    endpoint->ended_well = false;
    if (endpoint->ops->held)
        endpoint->ops->held(endpoint->arg);
    else
        endpoint->view.ready = true;
}

void endpoint_stop_asking(struct endpoint *endpoint)
{
    endpoint->rings->ops->release(endpoint->rings);
    endpoint->asking = MACHINE_WAIT;
}

static bool takes_rings(enum machine_action action)
{
    return action == MACHINE_GRANT || action == MACHINE_MAP || action == MACHINE_REATTACH;
}

int endpoint_act(struct endpoint *endpoint, enum machine_action action)
{
    static int (*const actions[])(struct endpoint *) = {
        [MACHINE_BEGIN] = act_begin, [MACHINE_GRANT] = act_grant,
        [MACHINE_MAP] = act_map,     [MACHINE_REATTACH] = act_reattach,
        [MACHINE_DRAIN] = act_drain, [MACHINE_RELEASE] = act_release,
    };
    int rc = actions[action] ? actions[action](endpoint) : 0;

    endpoint->asking = rc == -EINPROGRESS ? action : MACHINE_WAIT;
    if (rc == 0 && takes_rings(action))
        now_held(endpoint, action == MACHINE_REATTACH);
    return rc;
}
