/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves bytes between a channel and file descriptors, without a copy: readv() fills the ring's free
 * space, writev() empties the ring, and only what the sink took is consumed. So a full sink stops
 * the peer, a full ring stops the source, and a process that dies loses no undelivered byte.
 *
 * A relay never blocks (its descriptors are non-blocking, or regular files) and owns nothing. Its
 * caller runs it whenever something may have changed; it returns what to wait for.
 */
#ifndef VCHAN_RELAY_H
#define VCHAN_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "vchan/channel.h"

/* What relay_step() waits for. The channel's signal always calls for a step, too. */
enum relay_wait {
    RELAY_SOURCE = 1, /* the source to be readable */
    RELAY_SINK = 2,   /* the sink to be writable */
    RELAY_AGAIN = 4,  /* nothing: there is more to do after other channels have been served */
};

struct relay;

/*
 * Replaces the direct way between the descriptors and the ring. Each function makes one step in one
 * direction. It returns how many bytes it moved, or -1 if there is nothing to do now; *wait then
 * says what to wait for (0 if that direction has ended).
 */
struct relay_way {
    ssize_t (*deliver)(struct relay *relay, unsigned int *wait);
    ssize_t (*collect)(struct relay *relay, unsigned int *wait);
    void *arg;
};

struct relay {
    struct channel *channel;
    int source; /* read and sent to the peer; -1: nothing to send */
    int sink;   /* gets what the peer sent; -1: the peer's bytes stay in the ring */

    const struct relay_way *way; /* NULL: direct; the caller may set it */

    /*
     * The caller may set this after a step returned RELAY_SOURCE, and clears it when the source is
     * readable. Meanwhile steps do not try to read the source.
     */
    bool source_dry;

    bool source_done; /* end of file or an error: nothing more will be sent */
    bool sink_done;   /* the peer's last byte is delivered, or delivery failed */

    int source_error; /* negative errno of read, 0 for end of file */
    int sink_error;   /* negative errno of write */
    int ring_error;   /* -EPIPE: the peer left before it took all; -EPROTO: a corrupt ring */

    uint64_t sent; /* bytes */
    uint64_t received;
};

/* Sets all fields. source may equal sink. */
void relay_init(struct relay *relay, struct channel *channel, int source, int sink);

/*
 * Moves what can be moved now, in both directions, up to a bound. Returns an OR of enum relay_wait.
 * A relay with source_done and sink_done has nothing more to do. The caller must ignore SIGPIPE.
 */
unsigned int relay_step(struct relay *relay);

/*
 * For struct relay_way: one step from the ring into fd, and one from fd into the ring, which shows
 * the bytes to the peer.
 */
ssize_t relay_deliver(struct relay *relay, int fd, unsigned int *wait);
ssize_t relay_collect(struct relay *relay, int fd, unsigned int *wait);

/*
 * For struct relay_way, after a system call on the sink or the source failed: waits or ends, as
 * errno says. Returns -1.
 */
ssize_t relay_sink_failed(struct relay *relay, unsigned int *wait);
ssize_t relay_source_failed(struct relay *relay, unsigned int *wait);

/* For struct relay_way: the source is at its end. Returns -1. */
ssize_t relay_source_ended(struct relay *relay);

#endif
