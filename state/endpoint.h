/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side of a device, taken through its life: reads xenstore, asks state/machine.h what to do,
 * and does it. Frontend and backend, services and library use the same code.
 *
 * An endpoint watches nothing and waits for nothing. Its owner has the event loop, and calls
 * endpoint_look() when xenstore reports a change below one of the device's two directories. It does
 * not touch the peer's memory: it asks for rings by state/rings.h. Belongs to one thread. Its calls
 * block only for exchanges with xenstored.
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
 * What is needed to map a frontend's rings: where its page is, and how many pages of its own each
 * ring has.
 */
struct endpoint_rings {
    uint32_t peer; /* all members are uint32_t, so structs can be compared with memcmp() */
    uint32_t ring_ref;
    uint32_t port;
    uint32_t pages;
};

/*
 * Callbacks to the owner; each may be NULL. They may call endpoint_set_…() and use the rings, but
 * not close the endpoint.
 */
struct endpoint_ops {
    /*
     * Backend: offer that rings in use survive this process. If it dies, the next process gets
     * held() with endpoint_resumed(), and continues exactly there. For that, the owner records
     * (channel_record()) each byte that it has delivered, and no other.
     */
    bool reattaches;
    /*
     * Backend: whether rings of an earlier process can still be mapped, even without the frontend.
     * If so, fills in *rings.
     */
    bool (*kept)(void *arg, struct endpoint_rings *rings);
    /*
     * Whether the owner can carry streams (doc/protocol.md, "Streams") through this channel. NULL:
     * it cannot. A channel that is declared with streams then fails.
     */
    bool (*carries_streams)(void *arg);
    /*
     * The owner asks endpoint_is_replaced() after each endpoint_look(). Otherwise a device that is
     * replaced counts as removed.
     */
    bool discards;
    /*
     * Whether the rings may be mapped (backend) or granted (frontend) now. If not, the endpoint
     * waits until the owner calls endpoint_look() again. May call endpoint_set_error().
     */
    bool (*admit)(void *arg);
    /*
     * The rings are held. Open the local connection, then call endpoint_set_ready() (at once or
     * later) or endpoint_fail(). If NULL, the endpoint is ready at once. No byte may move yet.
     */
    void (*held)(void *arg);
    /* This side is Connected: bytes may flow. */
    void (*connected)(void *arg);
    /*
     * After connected: the peer signalled, so there may be bytes, room, or the end. Also called
     * when draining begins.
     */
    void (*stirred)(void *arg);
    /* The rings are about to be released, perhaps before connected: unplug the connection. */
    void (*releasing)(void *arg);
    /* For traces: the next step, before it is carried out. */
    void (*decided)(void *arg, const struct machine_step *step);
    /* There is more to do than one call may do: look again soon, but not from here. */
    void (*unfinished)(void *arg);
    /* A state or the reason has changed. For logs and for programs that wait. */
    void (*moved)(void *arg);
};

/*
 * Takes over one side of a device. own_dir is that side's directory, relative or absolute
 * ("device/vchan/0", "backend/vchan/5/0"). A lock ensures that one process only plays it. A backend
 * refuses rings larger than its directory declares (read-ring, write-ring; default
 * RING_SIZE_DEFAULT). Does nothing more until endpoint_look().
 *
 * -ENOENT: no such device; -EBUSY: another process has it; -EINVAL: its nodes are invalid; -ELOOP:
 * both ends are in the same domain. On failure *endpoint is NULL. store, rings and ops stay the
 * caller's, and must outlive the endpoint.
 */
int endpoint_open(struct store *store, struct rings *rings, enum machine_role role,
                  const char *own_dir, const struct endpoint_ops *ops, void *arg,
                  struct endpoint **endpoint);

/*
 * Leaves cleanly (Closing, then Closed), releases everything and frees. The peer can still read
 * what was written into the ring. NULL is allowed.
 */
void endpoint_close(struct endpoint *endpoint);

/*
 * Releases everything and frees without writing to xenstore: the device was removed, and another
 * one may be in its place.
 */
void endpoint_discard(struct endpoint *endpoint);

/*
 * Backend: shares a list of the frontend's claims among the endpoints of one domain, so that each
 * does not list them anew. The caller owns claims, which must outlive the endpoint, and calls
 * claims_forget() before it waits for anything. Without this call the endpoint lists them itself.
 */
void endpoint_set_claims(struct endpoint *endpoint, struct claims *claims);

/* Reads xenstore and does all that is to be done now. */
void endpoint_look(struct endpoint *endpoint);

/*
 * The local connection is open: the endpoint may go to Connected. This and the two calls below
 * concern the rings held now: between releasing and held they do nothing.
 */
void endpoint_set_ready(struct endpoint *endpoint);

/* The owner wants to end for good: the endpoint closes cleanly and does not connect again. */
void endpoint_set_leaving(struct endpoint *endpoint);

/*
 * Ends for good as an unplug does: what the peer has sent is delivered, then the endpoint goes to
 * Closed and stays there.
 */
void endpoint_set_ending(struct endpoint *endpoint);

/* Nothing more will be written into the channel: half-close. */
void endpoint_set_finished(struct endpoint *endpoint);

/* The channel was read to its end (0 bytes), and everything was delivered. */
void endpoint_set_drained(struct endpoint *endpoint);

/*
 * Gives the connection up. error is a negative errno, the text one line for a person, which is
 * written to own_dir/error. The endpoint goes to Closed, and may be connected again from there.
 */
void endpoint_fail(struct endpoint *endpoint, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, because the peer wrote an invalid index (-EPROTO). */
void endpoint_fail_corrupt(struct endpoint *endpoint);

/*
 * Announces that the coming end is not a clean one: sets the reason as endpoint_fail() does, but
 * goes on to deliver what is under way. Call it before endpoint_set_finished(), so that the peer,
 * when it has read everything, learns that something went wrong.
 */
void endpoint_set_error(struct endpoint *endpoint, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The failure has been remedied, so the coming end may be a clean one again. */
void endpoint_clear_error(struct endpoint *endpoint);

/*
 * The rings that are held are lost: the process that had them died. A backend that reattaches maps
 * them again, and goes on; otherwise the endpoint fails.
 */
void endpoint_lose_rings(struct endpoint *endpoint);

/*
 * Whether bytes may flow: from connected to releasing.
 *
 * A backend that dies before it is Connected has moved no byte, so the next process can map the
 * same rings from the start. (tests/model/explore.c checks this.)
 */
bool endpoint_is_connected(const struct endpoint *endpoint);

/*
 * From held to releasing: whether the rings were mapped by an earlier process of this side that
 * died, so that the connection continues rather than begins.
 */
bool endpoint_resumed(const struct endpoint *endpoint);

/*
 * Whether the peer has left rings that may still hold its bytes: rings that are connected, or were
 * so in an earlier process.
 */
bool endpoint_is_deserted(const struct endpoint *endpoint);

/* From held to releasing: how many streams both sides carry at once; 0: the channel has none. */
uint32_t endpoint_streams(const struct endpoint *endpoint);

/* Backend, from held to releasing: the mapped rings, for ops->kept in a later process. */
void endpoint_rings(const struct endpoint *endpoint, struct endpoint_rings *rings);

/* Whether the rings' owner has been asked for rings, and has not answered yet. */
bool endpoint_is_asking(const struct endpoint *endpoint);

/*
 * Bytes of the frontend's memory that are mapped: the shared page and the rings' own pages. 0
 * unless between held and releasing.
 */
uint32_t endpoint_ring_bytes(const struct endpoint *endpoint);

/* The two states, as last read. */
enum xenbus_state endpoint_own_state(const struct endpoint *endpoint);
enum xenbus_state endpoint_peer_state(const struct endpoint *endpoint);

/* Whether the peer ended cleanly: no crash, no removal. */
bool endpoint_ended_well(const struct endpoint *endpoint);

/*
 * Whether the device was removed and another put in its place. The endpoint then does nothing more;
 * call endpoint_discard(). Only with ops->discards.
 */
bool endpoint_is_replaced(const struct endpoint *endpoint);

/* Whether the device still exists in xenstore. */
bool endpoint_present(const struct endpoint *endpoint);

/* Names and paths, for watches and logs. Owned by the endpoint. */
const char *endpoint_own_dir(const struct endpoint *endpoint);
const char *endpoint_peer_dir(const struct endpoint *endpoint);
domid_t endpoint_peer_domid(const struct endpoint *endpoint);

/* Why the endpoint last failed or lost its peer: one line, or "". Kept until it connects again. */
const char *endpoint_reason(const struct endpoint *endpoint);

/* The negative errno of the reason, or 0. */
int endpoint_error(const struct endpoint *endpoint);

#endif
