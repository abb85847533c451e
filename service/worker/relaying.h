/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay (vchan/relay.h) that libevent drives: the part that all connections with file descriptors
 * have in common.
 *
 * The descriptors are watched edge-triggered, for as long as the stream is on: an edge, like the
 * peer's signal, means "step", and a step goes on until it would block. So waiting costs no system
 * call.
 */
#ifndef SERVICE_STREAM_H
#define SERVICE_STREAM_H

#include <stdbool.h>

#include "service/connection.h"
#include "state/endpoint.h"
#include "vchan/relay.h"

struct event;
struct event_base;
struct journal;

struct stream {
    struct relay relay;
    struct event *source; /* NULL while the stream is off */
    struct event *sink;   /* NULL: the same descriptor as the source's */
    struct event *again;
    bool source_told; /* stream_pass_ends() has passed it on */
    bool sink_told;
    void (*stepped)(void *arg);
    void *arg;
    struct journal *journal; /* NULL: bytes go straight */
};

/*
 * Turns a stream (zeroed, or stopped) on; sink may be -1 (stream_divert()). The descriptors stay
 * the caller's, are non-blocking, and open until stream_stop(). stepped() is called after each
 * step, from then on: it looks at stream->relay. 0 or -ENOMEM; on failure the stream is off. The
 * first step comes by itself.
 */
int stream_start(struct stream *stream, struct event_base *base, struct channel *channel,
                 int source, int sink, void (*stepped)(void *arg), void *arg);

/* A descriptor of a connection, and what it is called while it is kept. */
struct stream_end {
    const char *what;
    int fd; /* -1: there is none */
};

/*
 * For a kind's open(), before connection_take(): what an earlier process had under way is for the
 * connection that is there, or for the next one. The stream is off; stream_stop() gives it up.
 */
void stream_adopt(struct stream *stream, const struct connection *connection);

/*
 * Has a stream that was just started go on, byte for byte, where the connection's earlier process
 * was killed, and makes it such that a later process can do so, with all of these descriptors; or,
 * where the manager has no room for all, with none: then they outlive only a process that replaces
 * itself. The last one tells the next process that all are there: it is kept last, and to be
 * dropped first (fdstore_drop()). 0 or -errno; on failure the stream is off.
 */
int stream_keep(struct stream *stream, struct connection *connection, const struct stream_end *ends,
                unsigned int count);

/* Whether it is on. */
bool stream_is_on(const struct stream *stream);

/* Moves what can be moved. Does nothing to a stream that is off. */
void stream_step(struct stream *stream);

/* Steps after others that are ready had their turn. */
void stream_step_later(struct stream *stream);

/*
 * For stepped(), in a stream over one socket: passes the ends of the two directions on, each to the
 * other side; peer names the socket's other end in errors. The stream may be off after it.
 */
void stream_pass_ends(struct stream *stream, struct endpoint *endpoint, const char *peer);

/*
 * Gives the sink up, which may be closed then: the rest goes to another descriptor, one that is
 * always writable, or nowhere (-1).
 */
void stream_divert(struct stream *stream, int sink);

/* Turns it off. Allowed in stepped(), and if it is off. relay keeps what it counted. */
void stream_stop(struct stream *stream);

/*
 * The same, but what the connection has not been given yet is for the next one, over the same
 * channel.
 */
void stream_pause(struct stream *stream);

/* How many bytes those are. */
uint32_t stream_holds(const struct stream *stream);

/* How many bytes of the connection's the channel has not taken. */
uint32_t stream_brings(const struct stream *stream);

#endif
