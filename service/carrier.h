/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes between a connection's descriptors and its channel, moved by the channel's worker: the part
 * that all connections with descriptors have in common. Its ends are told, and whether one is an
 * end in order.
 */
#ifndef SERVICE_CARRIER_H
#define SERVICE_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "service/connection.h"
#include "service/handover/journal.h"

/* How far the two directions have come. */
struct carrier_ends {
    bool source_done; /* end of file or an error: nothing more is sent */
    bool hung_up;     /* and nobody takes anything there any more */
    bool sink_done;   /* the peer's last byte is delivered, or delivery failed */
    int source_error; /* negative errno, 0 for end of file */
    int sink_error;
    int ring_error; /* -EPIPE: the peer left before it took all; -EPROTO: a corrupt ring */
};

struct carrier {
    struct connection *connection;
    struct journal_kit journal; /* none: it goes on with no other worker */
    bool on;
    bool echoes;  /* from ring to ring, without descriptors */
    bool goes_on; /* an earlier process had begun */
    int source, sink;
    uint32_t since; /* the number of the request that began it */
    bool halting;   /* what an earlier process had begun is to stop */
    struct carrier_ends ends;
    bool source_told; /* carrier_pass_ends() has passed it on */
    bool sink_told;
    void (*stepped)(void *arg);
    void *arg;
};

/* A descriptor of a connection, and what it is called while it is kept. */
struct carrier_end {
    const char *what;
    int fd; /* -1: there is none */
};

/* With the device: it is off. */
void carrier_init(struct carrier *carrier, struct connection *connection);

/*
 * For a kind's open(), before connection_take(): what an earlier process had under way is for the
 * connection that is there, or for the next one. It is off; carrier_stop() gives it up.
 */
void carrier_open(struct carrier *carrier);

/*
 * Turns it on; sink may be -1 (carrier_divert()). The descriptors stay the caller's, are
 * non-blocking, and open until it is off. stepped() is called when carrier_ends() are others, and
 * carrier_kick() does not do that at once. Goes on, byte for byte, where the connection's earlier
 * process was killed, and makes it such that a later process can do so, with all of the ends (count
 * of them); or, where the manager has no room for all, with none: then they outlive only a process
 * that replaces itself. The last one tells the next process that all are there: it is kept last,
 * and to be dropped first (fdstore_drop()). 0 or -errno; on failure it is off. What fails later
 * fails the endpoint.
 */
int carrier_start(struct carrier *carrier, int source, int sink, const struct carrier_end *ends,
                  unsigned int count, void (*stepped)(void *arg), void *arg);

/* Turns it on without descriptors: what the guest sends goes back to it. */
void carrier_start_echo(struct carrier *carrier, void (*stepped)(void *arg), void *arg);

bool carrier_is_on(const struct carrier *carrier);

/* Has an end looked for that the service itself has made of a descriptor. */
void carrier_kick(struct carrier *carrier);

/*
 * For stepped(), over one socket: passes the ends of the two directions on, each to the other side;
 * peer names the socket's other end in errors. It may be off after it.
 */
void carrier_pass_ends(struct carrier *carrier, const char *peer);

/*
 * Gives the sink up, which may be closed then: the rest goes to another descriptor, one that is
 * always writable, or nowhere (-1).
 */
void carrier_divert(struct carrier *carrier, int sink);

/* Turns it off. Allowed in stepped(), and if it is off. */
void carrier_stop(struct carrier *carrier);

/*
 * The same, but what the connection has not been given yet is for the next one, over the same
 * channel.
 */
void carrier_pause(struct carrier *carrier);

/*
 * While it is off: what waits for a connection, in bytes; 0: nothing, and nothing will come;
 * -EAGAIN: nothing yet; -EPROTO: a corrupt ring; -EINPROGRESS: that is not known, and the kind's
 * stir() comes when it is.
 */
int carrier_waits(struct carrier *carrier);

/* While it is off: how many bytes of an earlier connection's the channel has not taken. */
uint32_t carrier_brings(const struct carrier *carrier);

/* Whether an earlier process had begun, and the worker goes on with it, or another one can. */
bool carrier_has_begun(const struct carrier *carrier);

#endif
