/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream relay (vchan/stream-relay.h) driven by libevent, as relaying.h is for a channel without
 * streams. It owns the descriptors that it is given, one for each stream, and closes them when
 * their streams end.
 */
#ifndef SERVICE_WORKER_STREAMING_H
#define SERVICE_WORKER_STREAMING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "service/worker/protocol.h"
#include "vchan/stream-relay.h"

struct event;
struct event_base;
struct stream_plug;

TAILQ_HEAD(stream_plugs, stream_plug);

struct streaming {
    struct stream_relay relay;
    struct event_base *base;
    struct event *again; /* NULL while it is off; pending: there is more to do */
    bool echoes;         /* sends back what comes by each stream that the peer opens */
    bool refuses;        /* refuses each of those */
    uint32_t last_id;
    struct stream_plugs asked;       /* the peer's streams that were neither accepted nor refused */
    int waiting[WORKER_WAITING_MAX]; /* descriptors for which no stream was free */
    unsigned int waiting_count;
    uint32_t failures; /* streams that ended with an error, modulo 2^32 */
    enum stream_reason last_reason;
    void (*stepped)(void *arg);
    void *arg;
};

/*
 * Turns it on; it must be zeroed or off. most, backend and restarts are as for stream_relay_open().
 * Makes the first step from the event loop, and calls stepped(arg) after each. Returns 0, or
 * -ENOMEM with it off.
 */
int streaming_start(struct streaming *streaming, struct event_base *base, struct channel *channel,
                    uint32_t most, bool backend, bool restarts, void (*stepped)(void *arg),
                    void *arg);

bool streaming_is_on(const struct streaming *streaming);

/* Moves what can be moved now. Does nothing if it is off. */
void streaming_step(struct streaming *streaming);

/*
 * Opens a stream for fd, now or when one is free, and owns fd from now on. fd is closed if more
 * than WORKER_WAITING_MAX wait.
 */
void streaming_connect(struct streaming *streaming, int fd);

/* Plugs the peer's stream of that id into fd, and owns fd. Closes fd if there is none any more. */
void streaming_accept(struct streaming *streaming, uint32_t id, int fd);

/* Refuses the peer's stream of that id, if it is still there. */
void streaming_refuse(struct streaming *streaming, uint32_t id, enum stream_reason reason);

/* Writes the ids of the peer's streams that were asked for first, and zeros. */
void streaming_list_asked(const struct streaming *streaming, uint32_t ids[WORKER_ASKED_MAX]);

/* Ends all streams, and turns it off. Allowed in stepped(), and if it is off. */
void streaming_stop(struct streaming *streaming);

#endif
