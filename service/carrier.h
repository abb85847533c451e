/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Has the channel's worker move bytes between the channel and a connection's descriptors, and
 * reports how the two directions end. All kinds of connections that have descriptors, and echo, use
 * it.
 *
 * All functions belong to the thread of the event loop, and none blocks.
 */
#ifndef SERVICE_CARRIER_H
#define SERVICE_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "service/connection.h"
#include "service/handover/journal-kit.h"

/* How far the two directions have come. */
struct carrier_ends {
    bool source_done; /* end of file or an error: nothing more is sent to the peer */
    bool hung_up;     /* source_done, and the source's other end takes no bytes either */
    bool sink_done;   /* the peer's last byte is delivered, or delivery failed */
    int source_error; /* negative errno, 0 for end of file */
    int sink_error;
    int ring_error; /* -EPIPE: the peer left before it took all; -EPROTO: a corrupt ring */
};

/* What becomes of a stream that the peer opens. */
enum carrier_answer {
    CARRIER_ASKS, /* see carrier_streams() */
    CARRIER_ECHOES,
    CARRIER_REFUSES,
};

struct carrier {
    struct connection *connection;
    struct journal_kit journal; /* none: no other worker can continue */
    bool on;
    bool echoes;      /* from ring to ring, without descriptors */
    uint32_t starts;  /* how many workers were told to carry streams */
    uint32_t streams; /* how many at once; 0: the channel has one connection */
    enum carrier_answer answer;
    bool resumes; /* the next start continues what an earlier process began */
    int source, sink;
    uint32_t ends_request; /* the request from which on the worker's ends are the current ones */
    bool pausing;          /* a worker that an earlier process started was sent PAUSE */
    struct carrier_ends ends;
    bool source_told; /* carrier_pass_ends() has passed the end on */
    bool sink_told;
    void (*ends_changed)(void *arg);
    void (*streams_changed)(void *arg);
    void *arg;
};

/* A descriptor of a connection, and what it is in the fdstore. */
struct carrier_end {
    enum fdstore_item item;
    int fd; /* -1: none */
};

/* Initialises a carrier, off. connection must outlive it. */
void carrier_init(struct carrier *carrier, struct connection *connection);

/*
 * For a kind's open(), before connection_take(): takes over what an earlier process was moving, for
 * the connection that still exists or for the next one. The carrier stays off; carrier_stop() drops
 * those bytes.
 */
void carrier_open(struct carrier *carrier);

/*
 * Turns the carrier on. The descriptors stay the caller's, are non-blocking, and must stay open
 * until it is off. sink may be -1 (carrier_divert()). ends_changed(arg) is called when
 * carrier->ends has changed, but not from within carrier_kick(). Continues, byte for byte, where an
 * earlier process of the service was killed.
 *
 * ends lists count descriptors to keep for a later process, so that it can do the same. If the
 * manager has no room for all of them, they outlive only a process that replaces itself. The last
 * one is stored last: if it is there, all are. So drop it first (fdstore_drop()).
 *
 * Returns 0, or a negative errno with the carrier off. A later failure fails the endpoint.
 */
int carrier_start(struct carrier *carrier, int source, int sink, const struct carrier_end *ends,
                  unsigned int count, void (*ends_changed)(void *arg), void *arg);

/* Turns the carrier on without descriptors: sends back what the guest sends. */
void carrier_start_echo(struct carrier *carrier, void (*ends_changed)(void *arg), void *arg);

/*
 * Turns the carrier on for streams, that many at once. streams_changed(arg) is called when
 * carrier_streams() or carrier_can_connect() may have changed, but not from within the calls below.
 * If the worker dies, its streams end with an error, and a new worker carries those that come
 * after.
 */
void carrier_start_streams(struct carrier *carrier, uint32_t streams, enum carrier_answer answer,
                           void (*ends_changed)(void *arg), void (*streams_changed)(void *arg),
                           void *arg);

/* Whether carrier_connect() may be called now. */
bool carrier_can_connect(const struct carrier *carrier);

/* Opens a stream, once one is free, and plugs it into fd, which the worker owns from now on. */
void carrier_connect(struct carrier *carrier, int fd);

/*
 * What the worker last said of its streams (asked, failures and last_reason); NULL: nothing yet. A
 * stream that was answered, or that the peer has ended, vanishes from asked.
 */
const struct worker_status *carrier_streams(const struct carrier *carrier);

/* Plugs a stream that was asked for into fd, which the worker owns from now on. */
void carrier_accept(struct carrier *carrier, uint32_t stream, int fd);

void carrier_refuse(struct carrier *carrier, uint32_t stream, enum stream_reason reason);

bool carrier_is_on(const struct carrier *carrier);

/* Has the worker look for an end that the service itself has caused, by shutdown() for example. */
void carrier_kick(struct carrier *carrier);

/*
 * For ends_changed(), if source and sink are one socket: passes the end of each direction on to the
 * other side, and fails the endpoint after an error. peer names the socket's other end in errors.
 * May turn the carrier off.
 */
void carrier_pass_ends(struct carrier *carrier, const char *peer);

/*
 * Replaces the sink, after which the caller may close the old one. The new one must always be
 * writable (/dev/null); -1: the rest stays in the ring.
 */
void carrier_divert(struct carrier *carrier, int sink);

/* Turns the carrier off, and drops undelivered bytes. Allowed in ends_changed(), and if off. */
void carrier_stop(struct carrier *carrier);

/* Turns the carrier off, and keeps undelivered bytes for the next connection of this channel. */
void carrier_pause(struct carrier *carrier);

/*
 * While off: returns how many bytes of the peer's wait for a connection; 0: none, and none will
 * come; -EAGAIN: none yet; -EPROTO: a corrupt ring; -EINPROGRESS: not known yet, the kind's stir()
 * is called when it is.
 */
int carrier_undelivered(struct carrier *carrier);

/* While off: returns how many bytes of an earlier connection are not in the channel yet. */
uint32_t carrier_unsent(const struct carrier *carrier);

/* Whether an earlier process had begun, and this one can continue (by the same worker or a new
 * one). */
bool carrier_has_begun(const struct carrier *carrier);

#endif
