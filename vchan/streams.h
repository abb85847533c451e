/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The streams of one side of a channel: which there are, what may be sent for each, and what is
 * owed to the peer (doc/protocol.md, "Streams"). Freestanding and pure: it takes the frames that
 * were read and gives those to be written, and sees neither rings nor payload. Never allocates,
 * never blocks. All that the peer says is checked. For one thread at a time.
 *
 * A stream is known by its slot, 0 to 2 × most − 1, from streams_open() or STREAM_OPENED until it
 * ends. It ends with STREAM_ENDED, STREAM_RESTARTED, streams_refuse(), streams_reset() or
 * streams_close(), and once both STREAM_FINISHED and streams_finish() were there. From then on the
 * slot may be another stream's. All calls are O(1), except streams_init(), streams_close() and
 * STREAM_RESTARTED.
 */
#ifndef VCHAN_STREAMS_H
#define VCHAN_STREAMS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "state/device.h"

#define STREAMS_VERSION    1u
#define STREAMS_HEADER     8u        /* bytes of a frame without its payload */
#define STREAMS_CREDIT_MAX 0xffffffu /* bytes that may be granted and not yet used */
#define STREAMS_TURN       16384u    /* bytes of payload that a stream sends in one turn */
#define STREAMS_NO_SLOT    UINT32_MAX

enum stream_frame_type {
    STREAM_FRAME_OPEN = 1,
    STREAM_FRAME_ACCEPT,
    STREAM_FRAME_REFUSE,
    STREAM_FRAME_DATA,
    STREAM_FRAME_CREDIT,
    STREAM_FRAME_FINISH,
    STREAM_FRAME_RESET,
    STREAM_FRAME_RESTART,
};

/* Why a stream was refused or reset. */
enum stream_reason {
    STREAM_UNSERVED = 1, /* nobody serves the other end */
    STREAM_LIMIT,        /* too many streams, or too many opened in a second */
    STREAM_FAILED,       /* the connection failed, or could not be opened */
    STREAM_LEFT,         /* the program at the other end left without taking all bytes */
    STREAM_BROKEN,       /* a rule of the protocol was broken */
    STREAM_ENDING,       /* the channel is ending */
    STREAM_DENIED,       /* the connection may not be opened */
    STREAM_REASONS
};

struct stream_frame {
    uint8_t type;
    uint32_t value; /* 24 bits */
    uint32_t number;
};

void stream_frame_pack(struct stream_frame frame, uint8_t header[STREAMS_HEADER]);
struct stream_frame stream_frame_unpack(const uint8_t header[STREAMS_HEADER]);

/* The negative errno that a program sees for a reason. */
int stream_reason_error(enum stream_reason reason);

/* One stream of the table; the members belong to streams.c. */
struct stream {
    uint32_t number;
    uint32_t sendable; /* bytes that the peer has granted and we have not sent */
    uint32_t granted;  /* bytes that we have granted and the peer has not sent */
    uint32_t taken;    /* bytes that were taken since the last grant */
    uint16_t next[3];  /* in each queue */
    uint16_t flags;
    uint8_t state;
    uint8_t reason; /* of the REFUSE or RESET that is owed */
};

/* Streams in the order of their turns. */
struct stream_queue {
    uint32_t first; /* STREAMS_NO_SLOT: empty */
    uint32_t last;
};

struct streams {
    struct stream *table; /* 2 × most: those that the frontend opened, then the backend's */
    uint32_t most;
    uint32_t side;         /* which of them are ours: 0 frontend, 1 backend */
    uint32_t first_credit; /* what a new stream may send to us */
    uint32_t open;         /* streams that have not ended */
    uint32_t in_use;       /* those, and those whose last frame is still owed */
    struct stream_queue queues[3];
    bool ending;    /* opens no more, and refuses the peer's */
    uint32_t epoch; /* ours */
    uint32_t peer_epoch;
    bool knows_peer; /* its epoch */
    bool in_step;    /* the peer knows our epoch; otherwise all but RESTART is dropped */
    bool owes_restart;
    uint64_t opened;  /* streams that were opened by either side, and accepted */
    uint64_t refused; /* by either side */
    uint64_t reset;
};

/*
 * Initialises. table has 2 × most streams, stays the caller's, and must outlive streams. most is
 * what both sides agreed on, STREAMS_MIN to STREAMS_MAX; backend says which side we are;
 * first_credit is 1 to STREAMS_CREDIT_MAX.
 */
void streams_init(struct streams *streams, struct stream *table, uint32_t most, bool backend,
                  uint32_t first_credit);

/*
 * For a process that takes rings over, at this write index. Call it right after streams_init(). No
 * stream can be opened until the peer's epoch is known.
 */
void streams_restart(struct streams *streams, uint32_t write_index);

/* pvchan's first credit for that many streams, so that all together buffer 16 MiB at most. */
uint32_t streams_usual_credit(uint32_t most);

/* ---- what the peer sends ---- */

enum stream_event_type {
    STREAM_NOTHING,   /* nothing for the caller to do, but to skip the payload */
    STREAM_OPENED,    /* the peer has opened a stream: streams_accept() or streams_refuse() */
    STREAM_ACCEPTED,  /* a stream of ours is open */
    STREAM_DATA,      /* the payload is the stream's, and must be taken now */
    STREAM_SENDABLE,  /* more may be sent */
    STREAM_FINISHED,  /* the peer has sent its last byte */
    STREAM_ENDED,     /* refused or reset, for the reason given */
    STREAM_RESTARTED, /* all streams have ended with an error */
};

struct stream_event {
    enum stream_event_type type;
    uint32_t slot;
    uint32_t payload; /* bytes after the header, which belong to the frame in any case */
    enum stream_reason reason;
};

/*
 * Takes a frame whose header is at the beginning of available bytes in the ring. Returns 0 with
 * what it means, or -EPROTO if the channel is corrupt; streams must then not be used any more. The
 * caller consumes the header and event->payload bytes.
 */
int streams_receive(struct streams *streams, const uint8_t header[STREAMS_HEADER],
                    uint32_t available, struct stream_event *event);

/*
 * Tells that the stream's own reader took bytes of payload, so that the peer may be granted as many
 * again. Before it has, they count as stored.
 */
void streams_took(struct streams *streams, uint32_t slot, uint32_t bytes);

/* ---- what we send ---- */

/*
 * Opens a stream. Returns 0 with *slot, -EAGAIN (no room: most streams are open, or the last frames
 * of some are still owed; or see streams_restart()) or -ESHUTDOWN (after streams_close()).
 */
int streams_open(struct streams *streams, uint32_t *slot);

void streams_accept(struct streams *streams, uint32_t slot);
void streams_refuse(struct streams *streams, uint32_t slot, enum stream_reason reason);

/* Ends the stream with an error. Allowed at any time, also before it was accepted. */
void streams_reset(struct streams *streams, uint32_t slot, enum stream_reason reason);

/* Tells that the last byte was sent. Allowed once, for a stream that is open. */
void streams_finish(struct streams *streams, uint32_t slot);

/* Whether the peer has finished this stream. */
bool streams_is_finished(const struct streams *streams, uint32_t slot);

/* How many bytes of payload may be sent now; 0 if the stream is not open or is finished. */
uint32_t streams_sendable(const struct streams *streams, uint32_t slot);

/* Tells that there are bytes to send: the stream gets a turn once the peer has granted some. */
void streams_want_turn(struct streams *streams, uint32_t slot);

/*
 * The stream whose turn it is; STREAMS_NO_SLOT: none has bytes that may be sent. Whoever has more
 * to send afterwards calls streams_want_turn() again.
 */
uint32_t streams_next_turn(struct streams *streams);

/* Gives the turn back: the stream stays the first. */
void streams_keep_turn(struct streams *streams, uint32_t slot);

/* The header for bytes of payload (1 to streams_sendable()), which the caller now writes. */
struct stream_frame streams_send(struct streams *streams, uint32_t slot, uint32_t bytes);

/* Whether a frame without payload is owed. Then no stream has its turn. */
bool streams_owes(struct streams *streams);

/* The next of them, which the caller now writes. Returns false if none is owed. */
bool streams_next_frame(struct streams *streams, struct stream_frame *frame);

/*
 * Ends the channel: resets all streams for that reason, and refuses those that the peer opens from
 * now on. The caller ends its own side of each.
 */
void streams_close(struct streams *streams, enum stream_reason reason);

#endif
