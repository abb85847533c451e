/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side of a device, taken through its life: reads what xenstore says, asks state/machine.h what
 * to do, and does it. The same code for frontend and backend, service and library.
 *
 * An endpoint watches nothing and waits for nothing: its owner has the event loop, and calls
 * endpoint_look() when xenstore said that something below the device's two directories changed. It
 * has no memory of the peer's: it asks for that by state/rings.h.
 * Belongs to one thread. None of its calls blocks but for exchanges with xenstored.
 */
#ifndef STATE_ENDPOINT_H
#define STATE_ENDPOINT_H

#include <stdbool.h>

#include "state/machine.h"
#include "state/rings.h"
#include "state/store.h"

struct claims;
struct endpoint;

/*
 * What it takes to map a frontend's rings: where its page is, and how many pages of their own the
 * rings have.
 */
struct endpoint_rings {
    uint32_t peer; /* all of one size: compared as they lie in memory */
    uint32_t ring_ref;
    uint32_t port;
    uint32_t pages;
};

/*
 * What the owner is told; each may be NULL. They may call endpoint_set_…() and use the rings, but
 * not close the endpoint.
 */
struct endpoint_ops {
    /*
     * As backend: offer that rings in use survive the process. If it dies, the next one is told
     * held with endpoint_resumed(), and goes on where this one was: each byte that is delivered has
     * been consumed and recorded (channel_record()), and none that is not.
     */
    bool reattaches;
    /*
     * Backend: whether the rings that an earlier process had can still be mapped, whatever became
     * of the frontend, and which these are.
     */
    bool (*kept)(void *arg, struct endpoint_rings *rings);
    /* The owner asks endpoint_is_replaced() after each endpoint_look(). */
    bool discards;
    /*
     * Whether the rings may be mapped now, or a frontend's be granted. If not, the endpoint stays
     * where it is until the owner has it look again. It may call endpoint_set_error().
     */
    bool (*admit)(void *arg);
    /*
     * The rings are there. Open what is plugged in, then call endpoint_set_ready() (at once or
     * later), or endpoint_fail(). Without it the endpoint is ready at once. No byte may be moved
     * yet.
     */
    void (*held)(void *arg);
    /* Our side is Connected: bytes may flow. */
    void (*connected)(void *arg);
    /*
     * Since connected: the peer signalled, there may be bytes, room, or the end. Also when draining
     * begins.
     */
    void (*stirred)(void *arg);
    /*
     * The rings go, maybe before we were connected: unplug. They are released once this returns.
     */
    void (*releasing)(void *arg);
    /* What is to be done next, before it is: for a trace. */
    void (*decided)(void *arg, const struct machine_step *step);
    /* There is more to do than is done in one go: the owner is to look again, soon, but not here. */
    void (*unfinished)(void *arg);
    /* One of the two states, or why they are as they are, changed. For logs and for who waits. */
    void (*moved)(void *arg);
};

/*
 * Takes over one side of a device. own_dir is the directory of that side, relative or absolute
 * ("device/vchan/0", "backend/vchan/5/0"). A lock makes sure that one process only plays it.
 * A backend maps no rings that are larger than its directory declares (read-ring, write-ring; where
 * they are missing, RING_SIZE_DEFAULT). -ENOENT: there is no such device; -EBUSY: another process
 * has it; -EINVAL: its nodes make no sense; -ELOOP: both ends are the same domain. It does nothing
 * more until endpoint_look(). On failure *endpoint is NULL. store, rings and ops are the caller's,
 * and outlive the endpoint.
 */
int endpoint_open(struct store *store, struct rings *rings, enum machine_role role,
                  const char *own_dir, const struct endpoint_ops *ops, void *arg,
                  struct endpoint **endpoint);

/*
 * Leaves in order (Closing, then Closed), gives everything back and frees. What was written into
 * the ring stays readable for the peer. NULL is allowed.
 */
void endpoint_close(struct endpoint *endpoint);

/*
 * Gives everything back and frees, but writes nothing: the device was taken away, and what is in
 * its place by now is another.
 */
void endpoint_discard(struct endpoint *endpoint);

/*
 * As backend: what the frontend's domain claims, shared with the endpoints of its other devices, so
 * that each does not list them anew. The caller's, who keeps it as long as the endpoint, and
 * forgets what is in it before it waits for anything. Without it the endpoint lists them itself.
 */
void endpoint_set_claims(struct endpoint *endpoint, struct claims *claims);

/* Looks at xenstore and does all that is to be done now. */
void endpoint_look(struct endpoint *endpoint);

/*
 * The connection is open: the endpoint may go to Connected. This and the two below concern the
 * rings that are held now: between releasing and held they do nothing.
 */
void endpoint_set_ready(struct endpoint *endpoint);

/* The endpoint wants to end, for good: it goes to Closed in order, and connects no more. */
void endpoint_set_leaving(struct endpoint *endpoint);

/*
 * Ends it for good as an unplug does: what the peer has sent is delivered, then the endpoint goes
 * to Closed, and stays there.
 */
void endpoint_set_ending(struct endpoint *endpoint);

/* Nothing more will be written into the channel: half-close. */
void endpoint_set_finished(struct endpoint *endpoint);

/* The channel was read to its end (0 bytes), and all was delivered. */
void endpoint_set_drained(struct endpoint *endpoint);

/*
 * Gives the connection up for a reason, an errno and one line for a person, which is written to
 * own_dir/error: the endpoint goes to Closed, and may be connected again from there.
 */
void endpoint_fail(struct endpoint *endpoint, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, because the peer wrote nonsense into the ring (-EPROTO). */
void endpoint_fail_corrupt(struct endpoint *endpoint);

/*
 * The end that is to come is not one in order: says why, as endpoint_fail() does, but the endpoint
 * goes on, to deliver what is under way. To be called before endpoint_set_finished(), so that the
 * peer, when it has read all, learns that something went wrong.
 */
void endpoint_set_error(struct endpoint *endpoint, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What went wrong is mended, and the end that is to come may be one in order again. */
void endpoint_clear_error(struct endpoint *endpoint);

/*
 * Whether bytes may flow: from connected to releasing.
 *
 * A backend that dies before it is Connected has moved no byte, so that the next process can map
 * the same rings from the start (tests/model/explore.c found that it will).
 */
bool endpoint_is_connected(const struct endpoint *endpoint);

/*
 * From held to releasing: whether the rings are those of an earlier process of this side that died,
 * so that the connection is one to be gone on with, and not a new one.
 */
bool endpoint_resumed(const struct endpoint *endpoint);

/*
 * Whether the peer has left rings that may hold bytes of its: those that are connected, or have
 * been in an earlier process.
 */
bool endpoint_is_deserted(const struct endpoint *endpoint);

/* Backend: the rings that are mapped, for ops->kept in a later process. From held to releasing. */
void endpoint_rings(const struct endpoint *endpoint, struct endpoint_rings *rings);

/*
 * What of the frontend's memory is mapped once, in bytes: the shared page and the rings' own. From
 * held to releasing, and 0 otherwise.
 */
uint32_t endpoint_ring_bytes(const struct endpoint *endpoint);

/* The two states, as last seen. */
enum xenbus_state endpoint_own_state(const struct endpoint *endpoint);
enum xenbus_state endpoint_peer_state(const struct endpoint *endpoint);

/* Whether the peer, having come to its end, did so in order: no crash, nothing torn away. */
bool endpoint_ended_well(const struct endpoint *endpoint);

/*
 * Whether the device was taken away, and another put in its place: the endpoint does nothing any
 * more, and is to be given to endpoint_discard(). Only with ops->discards.
 */
bool endpoint_is_replaced(const struct endpoint *endpoint);

/* Whether the device is still there, in xenstore. */
bool endpoint_present(const struct endpoint *endpoint);

/* Who and where: for watches and logs. Owned by the endpoint. */
const char *endpoint_own_dir(const struct endpoint *endpoint);
const char *endpoint_peer_dir(const struct endpoint *endpoint);
domid_t endpoint_peer_domid(const struct endpoint *endpoint);

/* Why the endpoint last failed or lost its peer, one line, or "". Kept until it connects again. */
const char *endpoint_reason(const struct endpoint *endpoint);

/* The negative errno that belongs to the reason, or 0. */
int endpoint_error(const struct endpoint *endpoint);

#endif
