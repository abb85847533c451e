/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/stream-relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Bytes and frames that one step moves at most in one direction. */
#define STEP_BYTES  (1u << 20)
#define STEP_FRAMES 1024u

/* A frame with payload is written once there is this much room, or a quarter of the ring. */
#define ROOM_MIN 2048u

#define STORE_MIN 4096u

/* ---- bytes in the ring behind a header ---- */

/* Finds the payload behind a header: two spans, of which the first may be empty. */
static void skip_header(struct ring_span spans[2], unsigned int count)
{
    uint32_t skip = STREAMS_HEADER;

    for (unsigned int i = count; i < 2; i++)
        spans[i].length = 0;
    for (unsigned int i = 0; i < 2; i++) {
        uint32_t part = skip < spans[i].length ? skip : spans[i].length;

        if (part > 0)
            spans[i].base += part;
        spans[i].length -= part;
        skip -= part;
    }
}

static void copy_header_out(const struct ring_span spans[2], uint8_t header[STREAMS_HEADER])
{
    uint32_t first = spans[0].length < STREAMS_HEADER ? spans[0].length : STREAMS_HEADER;

    memcpy(header, spans[0].base, first);
    if (first < STREAMS_HEADER)
        memcpy(header + first, spans[1].base, STREAMS_HEADER - first);
}

static void copy_header_in(const struct ring_span spans[2], struct stream_frame frame)
{
    uint8_t header[STREAMS_HEADER];
    uint32_t first = spans[0].length < STREAMS_HEADER ? spans[0].length : STREAMS_HEADER;

    stream_frame_pack(frame, header);
    memcpy(spans[0].base, header, first);
    if (first < STREAMS_HEADER)
        memcpy(spans[1].base, header + first, STREAMS_HEADER - first);
}

static int spans_to_iovec(const struct ring_span spans[2], struct iovec iov[2])
{
    int count = 0;

    for (unsigned int i = 0; i < 2; i++)
        if (spans[i].length > 0)
            iov[count++] = (struct iovec){.iov_base = spans[i].base, .iov_len = spans[i].length};
    return count;
}

/* ---- stores ---- */

static bool store_grow(struct stream_store *store, uint32_t more)
{
    uint32_t size = store->size ? store->size : STORE_MIN;
    uint8_t *bytes;

    if (store->begin > 0)
        memmove(store->bytes, store->bytes + store->begin, store->length);
    store->begin = 0;
    while (size < store->length + more)
        size *= 2;
    if (size == store->size)
        return true;
    bytes = realloc(store->bytes, size);
    if (!bytes)
        return false;
    store->bytes = bytes;
    store->size = size;
    return true;
}

/* Returns false if memory runs out. */
static bool store_add(struct stream_relay *relay, struct stream_end *end, const uint8_t *bytes,
                      uint32_t length)
{
    struct stream_store *store = &end->store;

    if (length == 0)
        return true;
    if (store->size - store->begin - store->length < length && !store_grow(store, length))
        return false;
    memcpy(store->bytes + store->begin + store->length, bytes, length);
    store->length += length;
    relay->stored += length;
    return true;
}

static void store_take(struct stream_relay *relay, struct stream_end *end, uint32_t length)
{
    struct stream_store *store = &end->store;

    store->begin += length;
    store->length -= length;
    relay->stored -= length;
    if (store->length > 0)
        return;
    free(store->bytes);
    *store = (struct stream_store){0};
}

static void drop_store(struct stream_relay *relay, struct stream_end *end)
{
    if (end->store.length > 0)
        store_take(relay, end, end->store.length);
}

/* ---- ends ---- */

/* Takes the end that has_free_end() has found. */
static struct stream_end *take_end(struct stream_relay *relay)
{
    struct stream_end *end = relay->free_end;

    relay->free_end = end->next_free;
    relay->count++;
    *end = (struct stream_end){.in_use = true, .source = -1, .sink = -1, .slot = STREAMS_NO_SLOT};
    return end;
}

static void give_end(struct stream_relay *relay, struct stream_end *end)
{
    drop_store(relay, end);
    end->in_use = false;
    end->next_free = relay->free_end;
    relay->free_end = end;
    relay->count--;
}

static void take_slot(struct stream_relay *relay, struct stream_end *end, uint32_t slot)
{
    end->slot = slot;
    relay->slots[slot] = end;
}

/* The slot may be another stream's from now on. */
static void forget_slot(struct stream_relay *relay, struct stream_end *end)
{
    if (end->slot != STREAMS_NO_SLOT)
        relay->slots[end->slot] = NULL;
    end->slot = STREAMS_NO_SLOT;
}

/* Streams that have ended with an error make room, though not all of them is delivered. */
static bool has_free_end(struct stream_relay *relay)
{
    for (uint32_t i = 0; i < relay->streams.most && !relay->free_end; i++) {
        struct stream_end *end = &relay->ends[i];

        if (!end->in_use || end->slot != STREAMS_NO_SLOT || !end->reason)
            continue;
        relay->ops->ended(relay->arg, end);
        give_end(relay, end);
    }
    return relay->free_end != NULL;
}

/* Reports the end of a stream that has ended, once nothing is left to deliver. */
static void end_if_delivered(struct stream_relay *relay, struct stream_end *end)
{
    if (end->slot != STREAMS_NO_SLOT || (end->store.length > 0 && !end->echoes))
        return;
    relay->ops->ended(relay->arg, end);
    give_end(relay, end);
}

static void end_with_error(struct stream_relay *relay, struct stream_end *end,
                           enum stream_reason reason)
{
    forget_slot(relay, end);
    end->reason = reason;
    end->source_done = true;
    end_if_delivered(relay, end);
}

/* We end the stream with an error. */
static void reset_end(struct stream_relay *relay, struct stream_end *end, enum stream_reason reason)
{
    streams_reset(&relay->streams, end->slot, reason);
    end_with_error(relay, end, reason);
}

/* Both directions are done: the stream has ended, as streams.h says. */
static void end_if_finished(struct stream_relay *relay, struct stream_end *end)
{
    if (end->slot != STREAMS_NO_SLOT && end->source_done && end->peer_finished)
        forget_slot(relay, end);
    end_if_delivered(relay, end);
}

static void end_all(struct stream_relay *relay, enum stream_reason reason)
{
    for (uint32_t i = 0; i < relay->streams.most; i++) {
        struct stream_end *end = &relay->ends[i];

        if (!end->in_use || end->slot == STREAMS_NO_SLOT)
            continue;
        forget_slot(relay, end);
        end->reason = reason;
        end->source_done = true;
    }
    for (uint32_t i = 0; i < relay->streams.most; i++)
        if (relay->ends[i].in_use)
            end_if_delivered(relay, &relay->ends[i]);
}

/* ---- to the sink ---- */

static void streams_took_of(struct stream_relay *relay, const struct stream_end *end,
                            uint32_t bytes)
{
    if (end->slot != STREAMS_NO_SLOT && bytes > 0)
        streams_took(&relay->streams, end->slot, bytes);
}

/*
 * The program at the sink takes no more. It may still have sent something, so the stream is reset
 * when the source is done.
 */
static void fail_sink(struct stream_relay *relay, struct stream_end *end)
{
    end->sink_failed = true;
    streams_took_of(relay, end, end->store.length);
    drop_store(relay, end);
    if (end->slot == STREAMS_NO_SLOT && !end->reason)
        end->reason = STREAM_LEFT;
}

/* Writes what the sink takes. Returns how many bytes, 0 if it takes none now. */
static uint32_t write_sink(struct stream_relay *relay, struct stream_end *end,
                           const struct iovec *iov, int count)
{
    ssize_t written;

    do
        written = writev(end->sink, iov, count);
    while (written < 0 && errno == EINTR);
    if (written >= 0)
        return (uint32_t)written;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        end->sink_full = true;
    else
        fail_sink(relay, end);
    return 0;
}

static void flush_store(struct stream_relay *relay, struct stream_end *end)
{
    while (end->store.length > 0 && !end->sink_full && !end->sink_failed) {
        struct iovec iov = {.iov_base = end->store.bytes + end->store.begin,
                            .iov_len = end->store.length};
        uint32_t written = write_sink(relay, end, &iov, 1);

        if (end->sink_failed)
            return;
        store_take(relay, end, written);
        streams_took_of(relay, end, written);
    }
}

/* After the peer's last byte: the sink's reader sees the end. */
static void finish_sink(struct stream_end *end)
{
    if (!end->peer_finished || end->store.length > 0 || end->sink_done || end->echoes)
        return;
    end->sink_done = true;
    if (!end->sink_failed)
        shutdown(end->sink, SHUT_WR);
}

/* What follows once bytes were delivered, or could not be. */
static void after_delivery(struct stream_relay *relay, struct stream_end *end)
{
    finish_sink(end);
    if (end->sink_failed && end->source_done && end->slot != STREAMS_NO_SLOT)
        reset_end(relay, end, STREAM_LEFT);
    else
        end_if_finished(relay, end);
}

/* Writes payload to the sink, and stores the rest. Returns false if memory runs out. */
static bool deliver_payload(struct stream_relay *relay, struct stream_end *end,
                            struct ring_span spans[2])
{
    struct iovec iov[2];
    uint32_t written = 0;

    if (end->store.length == 0 && !end->sink_full && !end->echoes)
        written = write_sink(relay, end, iov, spans_to_iovec(spans, iov));
    streams_took_of(relay, end, written);
    for (unsigned int i = 0; i < 2 && !end->sink_failed; i++) {
        uint32_t part = written < spans[i].length ? written : spans[i].length;

        if (!store_add(relay, end, spans[i].base + part, spans[i].length - part))
            return false;
        written -= part;
    }
    return true;
}

static void receive_payload(struct stream_relay *relay, struct stream_end *end,
                            struct ring_span spans[2])
{
    if (!end->sink_failed && !deliver_payload(relay, end, spans)) {
        reset_end(relay, end, STREAM_FAILED);
        return;
    }
    if (end->sink_failed)
        streams_took_of(relay, end, spans[0].length + spans[1].length);
    else if (!end->echoes)
        flush_store(relay, end);
    if (end->echoes)
        streams_want_turn(&relay->streams, end->slot);
    else
        after_delivery(relay, end);
}

/* ---- from the ring ---- */

static void receive_asked(struct stream_relay *relay, uint32_t slot)
{
    struct stream_end *end;

    if (!has_free_end(relay)) {
        streams_refuse(&relay->streams, slot, STREAM_LIMIT);
        return;
    }
    end = take_end(relay);
    take_slot(relay, end, slot);
    relay->ops->asked(relay->arg, end);
}

static void receive_finished(struct stream_relay *relay, struct stream_end *end)
{
    end->peer_finished = true;
    if (end->echoes)
        streams_want_turn(&relay->streams, end->slot);
    else
        after_delivery(relay, end);
}

static void handle_end_event(struct stream_relay *relay, struct stream_end *end,
                             const struct stream_event *event, struct ring_span payload[2])
{
    if (event->type == STREAM_DATA)
        receive_payload(relay, end, payload);
    else if (event->type == STREAM_FINISHED)
        receive_finished(relay, end);
    else if (event->type == STREAM_ENDED)
        end_with_error(relay, end, event->reason);
    else if (event->type == STREAM_ACCEPTED)
        streams_want_turn(&relay->streams, end->slot);
}

static void handle_event(struct stream_relay *relay, const struct stream_event *event,
                         struct ring_span payload[2])
{
    if (event->type == STREAM_OPENED)
        receive_asked(relay, event->slot);
    else if (event->type == STREAM_RESTARTED)
        end_all(relay, STREAM_FAILED);
    else if (event->slot != STREAMS_NO_SLOT && relay->slots[event->slot])
        handle_end_event(relay, relay->slots[event->slot], event, payload);
}

/* Returns the frame's length, or -EPROTO. */
static int receive_frame(struct stream_relay *relay, uint32_t available)
{
    uint8_t header[STREAMS_HEADER];
    struct stream_event event;
    struct ring_span spans[2];
    unsigned int count;
    uint32_t length;

    if (available < STREAMS_HEADER)
        return -EPROTO;
    channel_peek(relay->channel, STREAMS_HEADER, spans);
    copy_header_out(spans, header);
    if (streams_receive(&relay->streams, header, available, &event) < 0)
        return -EPROTO;
    length = STREAMS_HEADER + event.payload;
    count = channel_peek(relay->channel, length, spans);
    skip_header(spans, count);
    handle_event(relay, &event, spans);
    channel_consume(relay->channel, length);
    return (int)length;
}

/* The channel carries no more frames. What came is still delivered. */
static void end_channel(struct stream_relay *relay, int error)
{
    relay->over = true;
    relay->error = error;
    if (error == 0)
        streams_close(&relay->streams, STREAM_ENDING);
    end_all(relay, error == -EPROTO ? STREAM_BROKEN : STREAM_ENDING);
}

/* Returns whether there may be more. */
static bool receive_frames(struct stream_relay *relay)
{
    uint32_t bytes = 0;

    for (unsigned int frames = 0; frames < STEP_FRAMES && bytes < STEP_BYTES; frames++) {
        int available = channel_readable(relay->channel, 1);
        int length = available > 0 ? receive_frame(relay, (uint32_t)available) : available;

        if (length == -EAGAIN)
            return false;
        if (length <= 0) {
            end_channel(relay, length);
            return false;
        }
        bytes += (uint32_t)length;
    }
    return true;
}

/* ---- to the ring ---- */

static uint32_t least_room(const struct stream_relay *relay)
{
    uint32_t quarter = channel_write_size(relay->channel) / 4;

    return quarter < ROOM_MIN ? quarter : ROOM_MIN;
}

/* Writes frames without payload. Returns false if some are still owed. */
static bool send_owed(struct stream_relay *relay)
{
    struct ring_span spans[2];
    struct stream_frame frame;

    while (streams_owes(&relay->streams)) {
        int room = channel_writable(relay->channel, STREAMS_HEADER);

        relay->deaf = room == -EPIPE || (room == -EAGAIN && relay->over);
        if (room == -EPROTO)
            end_channel(relay, room);
        if (room < 0)
            return false;
        streams_next_frame(&relay->streams, &frame);
        channel_reserve(relay->channel, STREAMS_HEADER, spans);
        copy_header_in(spans, frame);
        channel_commit(relay->channel, STREAMS_HEADER);
    }
    return true;
}

/* The source has sent its last byte, or failed. */
static void end_stream_source(struct stream_relay *relay, struct stream_end *end, bool failed)
{
    end->source_done = true;
    if (failed || end->sink_failed) {
        reset_end(relay, end, STREAM_LEFT);
        return;
    }
    streams_finish(&relay->streams, end->slot);
    end_if_finished(relay, end);
}

/* Returns how many bytes there are for the stream's turn: 0: the end, -EAGAIN, or an error. */
static ssize_t read_source(const struct stream_end *end, const struct ring_span spans[2])
{
    struct iovec iov[2];
    ssize_t got;

    do
        got = readv(end->source, iov, spans_to_iovec(spans, iov));
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    return got;
}

static ssize_t read_store(struct stream_relay *relay, struct stream_end *end,
                          const struct ring_span spans[2])
{
    uint32_t bytes = 0;

    for (unsigned int i = 0; i < 2; i++) {
        uint32_t part = end->store.length < spans[i].length ? end->store.length : spans[i].length;

        if (part == 0)
            continue;
        memcpy(spans[i].base, end->store.bytes + end->store.begin, part);
        store_take(relay, end, part);
        bytes += part;
    }
    streams_took_of(relay, end, bytes);
    return bytes > 0 || end->peer_finished ? (ssize_t)bytes : -EAGAIN;
}

/* Fills at most room bytes of the ring. Returns how many bytes of payload were sent. */
static uint32_t send_turn(struct stream_relay *relay, struct stream_end *end, uint32_t room)
{
    uint32_t most = streams_sendable(&relay->streams, end->slot);
    struct ring_span spans[2], payload[2];
    unsigned int count;
    ssize_t got;

    if (most > STREAMS_TURN)
        most = STREAMS_TURN;
    if (most > room - STREAMS_HEADER)
        most = room - STREAMS_HEADER;
    count = channel_reserve(relay->channel, STREAMS_HEADER + most, spans);
    memcpy(payload, spans, sizeof(payload));
    skip_header(payload, count);
    got = end->echoes ? read_store(relay, end, payload) : read_source(end, payload);
    if (got > 0) {
        copy_header_in(spans, streams_send(&relay->streams, end->slot, (uint32_t)got));
        channel_commit(relay->channel, STREAMS_HEADER + (uint32_t)got);
        streams_want_turn(&relay->streams, end->slot);
        return (uint32_t)got;
    }
    if (got != -EAGAIN)
        end_stream_source(relay, end, got < 0);
    return 0;
}

/*
 * Returns whether there is more to do. If the peer has left, nothing is sent; what it sent before
 * is received, and then its end.
 */
static bool send_frames(struct stream_relay *relay)
{
    uint32_t bytes = 0;

    for (unsigned int frames = 0; frames < STEP_FRAMES && bytes < STEP_BYTES; frames++) {
        uint32_t slot;
        int room;

        if (!send_owed(relay))
            return false;
        slot = streams_next_turn(&relay->streams);
        if (slot == STREAMS_NO_SLOT)
            return false;
        room = channel_writable(relay->channel, least_room(relay));
        if (room < 0) {
            streams_keep_turn(&relay->streams, slot);
            if (room == -EPROTO)
                end_channel(relay, room);
            return false;
        }
        bytes += send_turn(relay, relay->slots[slot], (uint32_t)room);
    }
    return true;
}

/* ---- for the owner ---- */

static void free_memory(struct stream_relay *relay)
{
    free(relay->table);
    free(relay->ends);
    free(relay->slots);
    *relay = (struct stream_relay){0};
}

int stream_relay_open(struct stream_relay *relay, struct channel *channel, uint32_t most,
                      bool backend, bool restarts, const struct stream_relay_ops *ops, void *arg)
{
    *relay = (struct stream_relay){.channel = channel, .ops = ops, .arg = arg};
    relay->table = calloc(2 * (size_t)most, sizeof(*relay->table));
    relay->ends = calloc(most, sizeof(*relay->ends));
    relay->slots = calloc(2 * (size_t)most, sizeof(*relay->slots));
    if (!relay->table || !relay->ends || !relay->slots) {
        free_memory(relay);
        return -ENOMEM;
    }
    for (uint32_t i = most; i-- > 0;) {
        relay->ends[i].next_free = relay->free_end;
        relay->free_end = &relay->ends[i];
    }
    streams_init(&relay->streams, relay->table, most, backend, streams_usual_credit(most));
    if (restarts)
        streams_restart(&relay->streams, channel_write_index(channel));
    return 0;
}

void stream_relay_close(struct stream_relay *relay)
{
    for (uint32_t i = 0; i < relay->streams.most && relay->count > 0; i++) {
        struct stream_end *end = &relay->ends[i];

        if (!end->in_use)
            continue;
        forget_slot(relay, end);
        drop_store(relay, end);
        end->reason = end->reason ? end->reason : STREAM_ENDING;
        end_if_delivered(relay, end);
    }
    free_memory(relay);
}

static void plug_end(struct stream_end *end, int source, int sink)
{
    end->source = source;
    end->sink = sink;
}

int stream_relay_connect(struct stream_relay *relay, int source, int sink, struct stream_end **end)
{
    uint32_t slot;
    int rc;

    if (relay->over)
        return -ESHUTDOWN;
    if (!has_free_end(relay))
        return -EAGAIN;
    rc = streams_open(&relay->streams, &slot);
    if (rc < 0)
        return rc;
    *end = take_end(relay);
    (*end)->ours = true;
    plug_end(*end, source, sink);
    take_slot(relay, *end, slot);
    return 0;
}

void stream_relay_abort(struct stream_relay *relay, struct stream_end *end)
{
    drop_store(relay, end);
    if (end->slot != STREAMS_NO_SLOT) {
        reset_end(relay, end, STREAM_FAILED);
        return;
    }
    end->reason = STREAM_FAILED;
    end_if_delivered(relay, end);
}

void stream_relay_accept(struct stream_relay *relay, struct stream_end *end, int source, int sink)
{
    plug_end(end, source, sink);
    streams_accept(&relay->streams, end->slot);
    streams_want_turn(&relay->streams, end->slot);
}

void stream_relay_echo(struct stream_relay *relay, struct stream_end *end)
{
    end->echoes = true;
    streams_accept(&relay->streams, end->slot);
}

void stream_relay_refuse(struct stream_relay *relay, struct stream_end *end,
                         enum stream_reason reason)
{
    streams_refuse(&relay->streams, end->slot, reason);
    forget_slot(relay, end);
    give_end(relay, end);
}

void stream_relay_readable(struct stream_relay *relay, struct stream_end *end)
{
    if (end->slot != STREAMS_NO_SLOT && !end->source_done)
        streams_want_turn(&relay->streams, end->slot);
}

void stream_relay_writable(struct stream_relay *relay, struct stream_end *end)
{
    if (!end->sink_full)
        return;
    end->sink_full = false;
    flush_store(relay, end);
    after_delivery(relay, end);
}

bool stream_relay_step(struct stream_relay *relay)
{
    bool more = false;

    if (!relay->over)
        more = receive_frames(relay);
    if (!relay->over)
        more |= send_frames(relay);
    else if (!relay->error)
        send_owed(relay);
    channel_publish(relay->channel);
    return more && !relay->over;
}

bool stream_relay_is_done(struct stream_relay *relay)
{
    return relay->over && relay->count == 0 &&
           (relay->error || relay->deaf || !streams_owes(&relay->streams));
}
