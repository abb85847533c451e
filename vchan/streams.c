/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/streams.h"

#include <stddef.h>

/* A stream's number: the side that opened it, its place, its generation. */
#define PLACE_SHIFT      1
#define PLACE_MASK       0xfffu
#define GENERATION_SHIFT 13
#define GENERATION_ONE   (1u << GENERATION_SHIFT)

#define CREDIT_IN_ALL (16u << 20)
#define CREDIT_LEAST  4096u
#define CREDIT_USUAL  (256u << 10)

#define NO_LINK UINT16_MAX

enum stream_state {
    FREE,
    OPENING, /* by us: neither accepted nor refused yet */
    ASKED,   /* by the peer: likewise */
    OPEN,
    ENDED, /* its last frame is owed: REFUSE, RESET, or FINISH after the peer's */
};

/* Frames that are owed, and what else is known of a stream. */
enum stream_flag {
    OWES_OPEN = 1,
    OWES_ACCEPT = 2,
    OWES_REFUSE = 4,
    OWES_RESET = 8,
    OWES_CREDIT = 16,
    OWES_FINISH = 32,
    WE_FINISHED = 64, /* or owe it */
    PEER_FINISHED = 128,
    WANTS_TURN = 256,
    IN_QUEUE = 512, /* shifted by the queue's number */
};

enum stream_queue_number {
    QUEUE_FREE, /* our own places, those that became free first in front */
    QUEUE_OWING,
    QUEUE_TURNS,
};

#define OWES_ANYTHING                                                                              \
    (OWES_OPEN | OWES_ACCEPT | OWES_REFUSE | OWES_RESET | OWES_CREDIT | OWES_FINISH)
#define IN_ANY_QUEUE (IN_QUEUE << QUEUE_FREE | IN_QUEUE << QUEUE_OWING | IN_QUEUE << QUEUE_TURNS)

/* ---- frames ---- */

static void write_u32(uint8_t bytes[4], uint32_t number)
{
    for (unsigned int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
}

static uint32_t read_u32(const uint8_t bytes[4])
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void stream_frame_pack(struct stream_frame frame, uint8_t header[STREAMS_HEADER])
{
    write_u32(header, frame.type | frame.value << 8);
    write_u32(header + 4, frame.number);
}

struct stream_frame stream_frame_unpack(const uint8_t header[STREAMS_HEADER])
{
    uint32_t first = read_u32(header);

    return (struct stream_frame){
        .type = (uint8_t)first, .value = first >> 8, .number = read_u32(header + 4)};
}

int stream_reason_error(enum stream_reason reason)
{
    switch (reason) {
    case STREAM_UNSERVED:
        return -ECONNREFUSED;
    case STREAM_LIMIT:
        return -EAGAIN;
    case STREAM_BROKEN:
        return -EPROTO;
    case STREAM_DENIED:
        return -EACCES;
    default:
        return -ECONNRESET;
    }
}

static enum stream_reason known_reason(uint32_t value)
{
    return value >= STREAM_UNSERVED && value < STREAM_REASONS ? (enum stream_reason)value
                                                              : STREAM_FAILED;
}

/* ---- queues: a stream stays in one until its turn, even if it has nothing to do then ---- */

static void queue_put_last(struct streams *streams, enum stream_queue_number which, uint32_t slot)
{
    struct stream_queue *queue = &streams->queues[which];
    struct stream *stream = &streams->table[slot];

    if (stream->flags & IN_QUEUE << which)
        return;
    stream->flags |= (uint16_t)(IN_QUEUE << which);
    stream->next[which] = NO_LINK;
    if (queue->first == STREAMS_NO_SLOT)
        queue->first = slot;
    else
        streams->table[queue->last].next[which] = (uint16_t)slot;
    queue->last = slot;
}

/* The stream must not be in the queue. */
static void queue_put_first(struct streams *streams, enum stream_queue_number which, uint32_t slot)
{
    struct stream_queue *queue = &streams->queues[which];
    struct stream *stream = &streams->table[slot];

    stream->flags |= (uint16_t)(IN_QUEUE << which);
    stream->next[which] = queue->first == STREAMS_NO_SLOT ? NO_LINK : (uint16_t)queue->first;
    if (queue->first == STREAMS_NO_SLOT)
        queue->last = slot;
    queue->first = slot;
}

static uint32_t queue_take(struct streams *streams, enum stream_queue_number which)
{
    struct stream_queue *queue = &streams->queues[which];
    uint32_t slot = queue->first;
    struct stream *stream;

    if (slot == STREAMS_NO_SLOT)
        return slot;
    stream = &streams->table[slot];
    stream->flags &= (uint16_t) ~(IN_QUEUE << which);
    queue->first = stream->next[which] == NO_LINK ? STREAMS_NO_SLOT : stream->next[which];
    return slot;
}

/* ---- the table ---- */

static bool is_own_slot(const struct streams *streams, uint32_t slot)
{
    return (slot >= streams->most) == (streams->side == 1);
}

static uint32_t slot_of(const struct streams *streams, uint32_t number)
{
    uint32_t place = number >> PLACE_SHIFT & PLACE_MASK;

    if (place >= streams->most)
        return STREAMS_NO_SLOT;
    return (number & 1) * streams->most + place;
}

/* Empties the table but for the generations, which go on. */
static void streams_clear(struct streams *streams)
{
    for (unsigned int i = 0; i < sizeof(streams->queues) / sizeof(streams->queues[0]); i++)
        streams->queues[i].first = STREAMS_NO_SLOT;
    for (uint32_t slot = 0; slot < 2 * streams->most; slot++) {
        struct stream *stream = &streams->table[slot];

        *stream = (struct stream){.number = stream->number, .state = FREE};
        if (is_own_slot(streams, slot))
            queue_put_last(streams, QUEUE_FREE, slot);
    }
    streams->open = streams->in_use = 0;
}

void streams_init(struct streams *streams, struct stream *table, uint32_t most, bool backend,
                  uint32_t first_credit)
{
    *streams = (struct streams){
        .table = table,
        .most = most,
        .side = backend ? 1 : 0,
        .first_credit = first_credit,
        .knows_peer = true,
        .in_step = true,
    };
    for (uint32_t slot = 0; slot < 2 * most; slot++)
        table[slot].number = slot / most | slot % most << PLACE_SHIFT;
    streams_clear(streams);
}

void streams_restart(struct streams *streams, uint32_t write_index)
{
    streams->epoch = write_index + 1;
    if (!(streams->epoch & STREAMS_CREDIT_MAX))
        streams->epoch++; /* a value of 0 means that an epoch is not known */
    streams->knows_peer = streams->in_step = false;
    streams->owes_restart = true;
}

uint32_t streams_usual_credit(uint32_t most)
{
    uint32_t credit = CREDIT_IN_ALL / most;

    return credit < CREDIT_LEAST ? CREDIT_LEAST : credit > CREDIT_USUAL ? CREDIT_USUAL : credit;
}

static void owe(struct streams *streams, uint32_t slot, enum stream_flag flag)
{
    streams->table[slot].flags |= (uint16_t)flag;
    queue_put_last(streams, QUEUE_OWING, slot);
}

static void begin_stream(struct streams *streams, uint32_t slot, uint32_t number,
                         enum stream_state state, uint32_t sendable)
{
    struct stream *stream = &streams->table[slot];

    stream->number = number;
    stream->state = (uint8_t)state;
    stream->flags &= IN_ANY_QUEUE;
    stream->sendable = sendable;
    stream->granted = streams->first_credit;
    stream->taken = 0;
    streams->open++;
    streams->in_use++;
}

/* Nothing more is sent or received for the stream: its place is free. */
static void free_place(struct streams *streams, uint32_t slot)
{
    struct stream *stream = &streams->table[slot];

    stream->state = FREE;
    stream->flags &= IN_ANY_QUEUE;
    streams->in_use--;
    if (is_own_slot(streams, slot))
        queue_put_last(streams, QUEUE_FREE, slot);
}

/* The peer ended the stream, or it came to its end. */
static void end_stream(struct streams *streams, uint32_t slot)
{
    if (streams->table[slot].state != ENDED)
        streams->open--;
    free_place(streams, slot);
}

/*
 * We end the stream by a frame that is owed. If the peer does not know it, it ends at once. If the
 * peer has our FINISH, its own may still end the stream before.
 */
static void end_with(struct streams *streams, uint32_t slot, enum stream_flag frame,
                     enum stream_reason reason)
{
    struct stream *stream = &streams->table[slot];

    if (stream->flags & OWES_OPEN) {
        end_stream(streams, slot);
        return;
    }
    streams->open--;
    stream->state = ENDED;
    stream->flags &= stream->flags & OWES_FINISH ? IN_ANY_QUEUE : IN_ANY_QUEUE | WE_FINISHED;
    stream->reason = (uint8_t)reason;
    owe(streams, slot, frame);
}

/* Both sides have finished. If our FINISH was sent already, nothing is owed. */
static void end_finished(struct streams *streams, uint32_t slot)
{
    struct stream *stream = &streams->table[slot];

    if (!(stream->flags & OWES_FINISH)) {
        end_stream(streams, slot);
        return;
    }
    streams->open--;
    stream->state = ENDED;
    stream->flags &= IN_ANY_QUEUE | OWES_FINISH;
}

/* ---- what the peer sends ---- */

/* Whether the peer knows that the stream is open. */
static bool is_open_to_peer(const struct stream *stream)
{
    return stream->state == OPEN && !(stream->flags & OWES_ACCEPT);
}

static void stream_broken(struct streams *streams, uint32_t slot, struct stream_event *event)
{
    streams->reset++;
    end_with(streams, slot, OWES_RESET, STREAM_BROKEN);
    event->type = STREAM_ENDED;
    event->reason = STREAM_BROKEN;
}

static void refuse_open(struct streams *streams, uint32_t slot, enum stream_reason reason)
{
    streams->refused++;
    end_with(streams, slot, OWES_REFUSE, reason);
}

static int receive_open(struct streams *streams, const struct stream_frame *frame,
                        struct stream_event *event)
{
    uint32_t slot = event->slot;
    bool full = streams->open >= streams->most;

    if (is_own_slot(streams, slot) || streams->table[slot].state != FREE)
        return -EPROTO;
    begin_stream(streams, slot, frame->number, ASKED, frame->value);
    if (full || streams->ending)
        refuse_open(streams, slot, full ? STREAM_LIMIT : STREAM_ENDING);
    else
        event->type = STREAM_OPENED;
    return 0;
}

static void open_stream(struct streams *streams, uint32_t slot)
{
    struct stream *stream = &streams->table[slot];

    stream->state = OPEN;
    streams->opened++;
    if (stream->flags & WANTS_TURN)
        queue_put_last(streams, QUEUE_TURNS, slot);
}

static int receive_accept(struct streams *streams, const struct stream_frame *frame,
                          struct stream_event *event)
{
    struct stream *stream = &streams->table[event->slot];

    if (stream->state != OPENING) {
        stream_broken(streams, event->slot, event);
        return 0;
    }
    stream->sendable = frame->value;
    open_stream(streams, event->slot);
    event->type = STREAM_ACCEPTED;
    return 0;
}

static int receive_refuse(struct streams *streams, const struct stream_frame *frame,
                          struct stream_event *event)
{
    if (streams->table[event->slot].state != OPENING) {
        stream_broken(streams, event->slot, event);
        return 0;
    }
    streams->refused++;
    end_stream(streams, event->slot);
    event->type = STREAM_ENDED;
    event->reason = known_reason(frame->value);
    return 0;
}

static int receive_data(struct streams *streams, const struct stream_frame *frame,
                        struct stream_event *event)
{
    struct stream *stream = &streams->table[event->slot];

    if (!is_open_to_peer(stream) || stream->flags & PEER_FINISHED ||
        frame->value > stream->granted) {
        stream_broken(streams, event->slot, event);
        return 0;
    }
    stream->granted -= frame->value;
    event->type = STREAM_DATA;
    return 0;
}

static int receive_credit(struct streams *streams, const struct stream_frame *frame,
                          struct stream_event *event)
{
    struct stream *stream = &streams->table[event->slot];

    if (!is_open_to_peer(stream) || frame->value == 0 ||
        frame->value > STREAMS_CREDIT_MAX - stream->sendable) {
        stream_broken(streams, event->slot, event);
        return 0;
    }
    stream->sendable += frame->value;
    if (stream->flags & WANTS_TURN)
        queue_put_last(streams, QUEUE_TURNS, event->slot);
    event->type = STREAM_SENDABLE;
    return 0;
}

static int receive_finish(struct streams *streams, const struct stream_frame *frame,
                          struct stream_event *event)
{
    struct stream *stream = &streams->table[event->slot];

    if (stream->state == ENDED) {
        end_stream(streams, event->slot);
        return 0;
    }
    if (!is_open_to_peer(stream) || stream->flags & PEER_FINISHED || frame->value != 0) {
        stream_broken(streams, event->slot, event);
        return 0;
    }
    stream->flags |= PEER_FINISHED;
    stream->flags &= (uint16_t)~OWES_CREDIT;
    event->type = STREAM_FINISHED;
    if (stream->flags & WE_FINISHED)
        end_finished(streams, event->slot);
    return 0;
}

static int receive_reset(struct streams *streams, const struct stream_frame *frame,
                         struct stream_event *event)
{
    bool known = streams->table[event->slot].state != ENDED;

    streams->reset += known;
    end_stream(streams, event->slot);
    if (known) {
        event->type = STREAM_ENDED;
        event->reason = known_reason(frame->value);
    }
    return 0;
}

/* Another process than the one that we knew knows none of our streams. */
static int receive_restart(struct streams *streams, const struct stream_frame *frame,
                           struct stream_event *event)
{
    bool news = !streams->knows_peer || frame->number != streams->peer_epoch;

    streams->in_step = frame->value == (streams->epoch & STREAMS_CREDIT_MAX);
    if (!news)
        return 0;
    streams->owes_restart |= frame->number != streams->peer_epoch;
    streams->knows_peer = true;
    streams->peer_epoch = frame->number;
    if (streams->in_use == 0)
        return 0;
    streams->reset += streams->open;
    streams_clear(streams);
    event->type = STREAM_RESTARTED;
    return 0;
}

/* Whether there is something to do for a frame of that stream. */
static bool is_known(const struct streams *streams, uint32_t slot, const struct stream_frame *frame)
{
    const struct stream *stream = &streams->table[slot];

    return stream->number == frame->number && stream->state != FREE &&
           !(stream->flags & OWES_OPEN) &&
           (stream->state != ENDED || frame->type == STREAM_FRAME_RESET ||
            (frame->type == STREAM_FRAME_FINISH && stream->flags & WE_FINISHED));
}

static int receive_of_stream(struct streams *streams, const struct stream_frame *frame,
                             struct stream_event *event)
{
    static int (*const receivers[])(struct streams *, const struct stream_frame *,
                                    struct stream_event *) = {
        [STREAM_FRAME_OPEN] = receive_open,     [STREAM_FRAME_ACCEPT] = receive_accept,
        [STREAM_FRAME_REFUSE] = receive_refuse, [STREAM_FRAME_DATA] = receive_data,
        [STREAM_FRAME_CREDIT] = receive_credit, [STREAM_FRAME_FINISH] = receive_finish,
        [STREAM_FRAME_RESET] = receive_reset,
    };
    bool answers = frame->type == STREAM_FRAME_ACCEPT || frame->type == STREAM_FRAME_REFUSE;

    event->slot = slot_of(streams, frame->number);
    if (!streams->in_step)
        return 0;
    if (event->slot == STREAMS_NO_SLOT || (answers && !is_own_slot(streams, event->slot)))
        return -EPROTO;
    if (frame->type != STREAM_FRAME_OPEN && !is_known(streams, event->slot, frame))
        return 0;
    return receivers[frame->type](streams, frame, event);
}

int streams_receive(struct streams *streams, const uint8_t header[STREAMS_HEADER],
                    uint32_t available, struct stream_event *event)
{
    struct stream_frame frame;

    *event = (struct stream_event){.type = STREAM_NOTHING, .slot = STREAMS_NO_SLOT};
    if (available < STREAMS_HEADER)
        return -EPROTO;
    frame = stream_frame_unpack(header);
    if (frame.type == STREAM_FRAME_DATA) {
        event->payload = frame.value;
        if (frame.value == 0 || frame.value > available - STREAMS_HEADER)
            return -EPROTO;
    }
    if (frame.type == STREAM_FRAME_RESTART)
        return receive_restart(streams, &frame, event);
    if (frame.type < STREAM_FRAME_OPEN || frame.type > STREAM_FRAME_RESTART)
        return -EPROTO;
    return receive_of_stream(streams, &frame, event);
}

/* The peer is granted more once half of what it had has been taken. */
void streams_took(struct streams *streams, uint32_t slot, uint32_t bytes)
{
    struct stream *stream = &streams->table[slot];

    if (stream->state != OPEN || stream->flags & PEER_FINISHED)
        return;
    stream->taken += bytes;
    if (stream->taken > streams->first_credit / 2)
        owe(streams, slot, OWES_CREDIT);
}

/* ---- what we send ---- */

int streams_open(struct streams *streams, uint32_t *slot)
{
    if (streams->ending)
        return -ESHUTDOWN;
    if (streams->open >= streams->most || !streams->knows_peer)
        return -EAGAIN;
    *slot = queue_take(streams, QUEUE_FREE);
    if (*slot == STREAMS_NO_SLOT)
        return -EAGAIN;
    begin_stream(streams, *slot, streams->table[*slot].number + GENERATION_ONE, OPENING, 0);
    owe(streams, *slot, OWES_OPEN);
    return 0;
}

void streams_accept(struct streams *streams, uint32_t slot)
{
    open_stream(streams, slot);
    owe(streams, slot, OWES_ACCEPT);
}

void streams_refuse(struct streams *streams, uint32_t slot, enum stream_reason reason)
{
    refuse_open(streams, slot, reason);
}

void streams_reset(struct streams *streams, uint32_t slot, enum stream_reason reason)
{
    streams->reset++;
    end_with(streams, slot, OWES_RESET, reason);
}

void streams_finish(struct streams *streams, uint32_t slot)
{
    struct stream *stream = &streams->table[slot];

    stream->flags |= WE_FINISHED;
    stream->flags &= (uint16_t)~WANTS_TURN;
    owe(streams, slot, OWES_FINISH);
    if (stream->flags & PEER_FINISHED)
        end_finished(streams, slot);
}

bool streams_is_finished(const struct streams *streams, uint32_t slot)
{
    return streams->table[slot].flags & PEER_FINISHED;
}

uint32_t streams_sendable(const struct streams *streams, uint32_t slot)
{
    const struct stream *stream = &streams->table[slot];

    return is_open_to_peer(stream) && !(stream->flags & WE_FINISHED) ? stream->sendable : 0;
}

void streams_want_turn(struct streams *streams, uint32_t slot)
{
    streams->table[slot].flags |= WANTS_TURN;
    if (streams->table[slot].state == OPEN)
        queue_put_last(streams, QUEUE_TURNS, slot);
}

/* A stream without credit keeps its wish, and comes back with CREDIT. */
uint32_t streams_next_turn(struct streams *streams)
{
    uint32_t slot;

    if (streams_owes(streams))
        return STREAMS_NO_SLOT;
    while ((slot = queue_take(streams, QUEUE_TURNS)) != STREAMS_NO_SLOT)
        if (streams->table[slot].flags & WANTS_TURN && streams_sendable(streams, slot) > 0) {
            streams->table[slot].flags &= (uint16_t)~WANTS_TURN;
            return slot;
        }
    return STREAMS_NO_SLOT;
}

void streams_keep_turn(struct streams *streams, uint32_t slot)
{
    streams->table[slot].flags |= WANTS_TURN;
    queue_put_first(streams, QUEUE_TURNS, slot);
}

struct stream_frame streams_send(struct streams *streams, uint32_t slot, uint32_t bytes)
{
    struct stream *stream = &streams->table[slot];

    stream->sendable -= bytes;
    return (struct stream_frame){
        .type = STREAM_FRAME_DATA, .value = bytes, .number = stream->number};
}

/* Drops streams from the front of the queue that owe nothing any more. */
static uint32_t first_owing(struct streams *streams)
{
    uint32_t slot;

    while ((slot = streams->queues[QUEUE_OWING].first) != STREAMS_NO_SLOT &&
           !(streams->table[slot].flags & OWES_ANYTHING))
        queue_take(streams, QUEUE_OWING);
    return slot;
}

bool streams_owes(struct streams *streams)
{
    return streams->owes_restart || first_owing(streams) != STREAMS_NO_SLOT;
}

static struct stream_frame take_restart(struct streams *streams)
{
    streams->owes_restart = false;
    return (struct stream_frame){.type = STREAM_FRAME_RESTART,
                                 .value = streams->peer_epoch & STREAMS_CREDIT_MAX,
                                 .number = streams->epoch};
}

static uint32_t take_credit(struct stream *stream)
{
    uint32_t credit = stream->taken;

    stream->granted += credit;
    stream->taken = 0;
    return credit;
}

/* Takes the frame that the stream owes first. */
static struct stream_frame take_owed(struct streams *streams, struct stream *stream)
{
    static const struct {
        enum stream_flag flag;
        enum stream_frame_type type;
    } order[] = {
        {OWES_OPEN, STREAM_FRAME_OPEN},     {OWES_ACCEPT, STREAM_FRAME_ACCEPT},
        {OWES_REFUSE, STREAM_FRAME_REFUSE}, {OWES_RESET, STREAM_FRAME_RESET},
        {OWES_CREDIT, STREAM_FRAME_CREDIT}, {OWES_FINISH, STREAM_FRAME_FINISH},
    };
    struct stream_frame frame = {.number = stream->number};
    unsigned int i = 0;

    while (!(stream->flags & order[i].flag))
        i++;
    stream->flags &= (uint16_t)~order[i].flag;
    frame.type = (uint8_t)order[i].type;
    if (frame.type == STREAM_FRAME_OPEN || frame.type == STREAM_FRAME_ACCEPT)
        frame.value = streams->first_credit;
    else if (frame.type == STREAM_FRAME_CREDIT)
        frame.value = take_credit(stream);
    else if (frame.type == STREAM_FRAME_REFUSE || frame.type == STREAM_FRAME_RESET)
        frame.value = stream->reason;
    return frame;
}

bool streams_next_frame(struct streams *streams, struct stream_frame *frame)
{
    uint32_t slot;
    struct stream *stream;

    if (streams->owes_restart) {
        *frame = take_restart(streams);
        return true;
    }
    slot = first_owing(streams);
    if (slot == STREAMS_NO_SLOT)
        return false;
    stream = &streams->table[queue_take(streams, QUEUE_OWING)];
    *frame = take_owed(streams, stream);
    if (stream->state == ENDED)
        end_stream(streams, slot);
    else if (stream->flags & OWES_ANYTHING)
        queue_put_last(streams, QUEUE_OWING, slot);
    return true;
}

void streams_close(struct streams *streams, enum stream_reason reason)
{
    streams->ending = true;
    for (uint32_t slot = 0; slot < 2 * streams->most; slot++)
        if (streams->table[slot].state != FREE && streams->table[slot].state != ENDED)
            streams_reset(streams, slot, reason);
}
