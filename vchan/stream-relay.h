/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves bytes between the streams of a channel (vchan/streams.h) and file descriptors. Payload goes
 * from a descriptor into the ring, and from the ring into a descriptor, without a copy. Only what a
 * descriptor does not take at once is stored, within the credit that the peer has, so that a slow
 * stream stops no other.
 *
 * It never blocks. Its owner watches the descriptors, edge-triggered, and runs it whenever
 * something may have changed. The owner must ignore SIGPIPE. For one thread at a time.
 */
#ifndef VCHAN_STREAM_RELAY_H
#define VCHAN_STREAM_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "vchan/channel.h"
#include "vchan/streams.h"

/* What came for a stream and was not delivered yet. */
struct stream_store {
    uint8_t *bytes;
    uint32_t begin, length, size;
};

/* A stream's local end. The relay writes all but id and user; the owner may read it. */
struct stream_end {
    int source;    /* read and sent to the peer; -1: none yet */
    int sink;      /* gets what the peer sends; may equal source */
    uint32_t id;   /* whatever the owner wants */
    void *user;    /* likewise */
    uint32_t slot; /* STREAMS_NO_SLOT: the stream has ended, and the rest is being delivered */
    bool in_use;
    bool ours;   /* we opened it */
    bool echoes; /* without descriptors: sends back what comes */
    bool source_done;
    bool sink_done;
    bool sink_failed; /* what comes is dropped */
    bool sink_full;
    bool peer_finished;
    enum stream_reason reason; /* of an end with an error; 0: none */
    struct stream_store store;
    struct stream_end *next_free;
};

struct stream_relay_ops {
    /* The peer opens a stream: the owner calls stream_relay_accept() or the like, now or later. */
    void (*asked)(void *arg, struct stream_end *end);
    /*
     * The stream has ended, and all that came was delivered; end->reason says how. The owner stops
     * watching its descriptors and closes them. end is free when this returns.
     */
    void (*ended)(void *arg, struct stream_end *end);
};

struct stream_relay {
    struct channel *channel;
    struct streams streams;
    struct stream *table;
    struct stream_end *ends;   /* as many as streams may be open */
    struct stream_end **slots; /* each slot's end, or NULL */
    struct stream_end *free_end;
    uint32_t count;  /* ends in use */
    uint64_t stored; /* bytes in all stores */
    bool over;       /* the peer sends no more frames */
    bool deaf;  /* it takes no more either, or has no room for what follows its end */
    int error;       /* if over: 0 (the peer ended or left) or -EPROTO (the channel is corrupt) */
    const struct stream_relay_ops *ops;
    void *arg;
};

/*
 * Initialises, for a channel with at most that many streams, which both sides agreed on. restarts:
 * another process had these rings. channel, ops and arg stay the caller's, and must outlive relay.
 * Returns 0, or -ENOMEM with nothing allocated.
 */
int stream_relay_open(struct stream_relay *relay, struct channel *channel, uint32_t most,
                      bool backend, bool restarts, const struct stream_relay_ops *ops, void *arg);

/* Ends all streams at once, with ended(), and frees. Does nothing if relay is zeroed. */
void stream_relay_close(struct stream_relay *relay);

/*
 * Opens a stream for these descriptors, non-blocking, which stay the owner's and must stay open
 * until ended(). Returns 0 with *end, -EAGAIN (too many streams) or -ESHUTDOWN (the channel is
 * ending). The next step sends the request.
 */
int stream_relay_connect(struct stream_relay *relay, int source, int sink, struct stream_end **end);

/* Ends a stream that the owner opened, at once and with an error. Calls ended(). */
void stream_relay_abort(struct stream_relay *relay, struct stream_end *end);

/* For asked(): plugs the stream into descriptors, as above. */
void stream_relay_accept(struct stream_relay *relay, struct stream_end *end, int source, int sink);

/* For asked(): sends back what comes. */
void stream_relay_echo(struct stream_relay *relay, struct stream_end *end);

/* For asked(): refuses. end is free when this returns, and ended() is not called. */
void stream_relay_refuse(struct stream_relay *relay, struct stream_end *end,
                         enum stream_reason reason);

/* Tells that a descriptor has become readable, or writable. Then call stream_relay_step(). */
void stream_relay_readable(struct stream_relay *relay, struct stream_end *end);
void stream_relay_writable(struct stream_relay *relay, struct stream_end *end);

/*
 * Moves what can be moved now, up to a bound, and calls ops. Returns whether there is more to do
 * after other things have been served; otherwise it waits for the peer's signal or a descriptor.
 */
bool stream_relay_step(struct stream_relay *relay);

/* Whether the channel has ended, and nothing is left to send or to deliver. */
bool stream_relay_is_done(struct stream_relay *relay);

#endif
