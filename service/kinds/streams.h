/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For kinds of connection that carry streams: starts and ends them with the channel, has each of
 * the peer's streams answered with a connection of its own, and logs what went wrong.
 */
#ifndef SERVICE_KINDS_STREAMS_H
#define SERVICE_KINDS_STREAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "service/carrier.h"
#include "service/connection.h"

/* A stream that the peer has opened, until it is plugged in or refused. */
struct stream_answer {
    TAILQ_ENTRY(stream_answer) next;
    struct kind_streams *streams;
    uint32_t stream; /* the worker's id */
    uint32_t start;  /* which of the carrier's workers it is */
    bool done;
    void *attempt; /* the kind's: what it connects with */
};

struct kind_streams_ops {
    /* Connects for a stream. The kind calls stream_answer_done(), now or later. NULL: refuses. */
    void (*connect)(void *arg, struct stream_answer *answer);
    /* The peer has ended the stream, or the channel ends: gives the attempt up. */
    void (*cancel)(void *arg, struct stream_answer *answer);
    /* carrier_can_connect() may have become true. NULL: not needed. */
    void (*has_room)(void *arg);
};

struct kind_streams {
    struct connection *connection;
    struct carrier carrier;
    const struct kind_streams_ops *ops;
    void *arg;
    TAILQ_HEAD(, stream_answer) answers;
    uint32_t failures; /* as last logged */
    bool failures_known;
};

/* Initialises, off. connection, ops and arg must outlive streams. */
void kind_streams_init(struct kind_streams *streams, struct connection *connection,
                       const struct kind_streams_ops *ops, void *arg);

/* For the kind's start(), if endpoint_streams() is not 0. */
void kind_streams_start(struct kind_streams *streams);

bool kind_streams_is_on(const struct kind_streams *streams);

/*
 * The kind has connected (fd, which this owns from now on), or could not (a negative errno, and why
 * in one line). answer is freed before or when this returns.
 */
void stream_answer_done(struct stream_answer *answer, int fd, const char *why);

/* For the kind's close(). Allowed if it is off. */
void kind_streams_stop(struct kind_streams *streams);

/* For kinds without such a struct: handles the end of a channel that has ended as a whole. */
void kind_streams_end(struct connection *connection, const struct carrier_ends *ends);

#endif
