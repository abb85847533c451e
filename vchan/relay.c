/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/relay.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

/* Bytes that one step moves at most in one direction, so that channels share a process fairly. */
#define STEP_BYTES (1u << 20)

/* The same in system calls: a peer that sends single bytes must not occupy the process. */
#define STEP_CALLS 256u

void relay_init(struct relay *relay, struct channel *channel, int source, int sink)
{
    memset(relay, 0, sizeof(*relay));
    relay->channel = channel;
    relay->source = source;
    relay->sink = sink;
}

static int to_iovec(const struct ring_span spans[2], unsigned int count, struct iovec iov[2])
{
    for (unsigned int i = 0; i < count; i++)
        iov[i] = (struct iovec){.iov_base = spans[i].base, .iov_len = spans[i].length};
    return (int)count;
}

/*
 * What to wait for after this errno, or 0 if it is a failure. After EINTR there is nothing to wait
 * for: try again.
 */
static unsigned int wait_after(int error, unsigned int fd)
{
    if (error == EINTR)
        return RELAY_AGAIN;
    return error == EAGAIN || error == EWOULDBLOCK ? fd : 0;
}

static void end_sink(struct relay *relay, int sink_error, int ring_error)
{
    relay->sink_done = true;
    relay->sink_error = sink_error;
    if (ring_error)
        relay->ring_error = ring_error;
}

static void end_source(struct relay *relay, int source_error, int ring_error)
{
    relay->source_done = true;
    relay->source_error = source_error;
    if (ring_error)
        relay->ring_error = ring_error;
}

ssize_t relay_sink_failed(struct relay *relay, unsigned int *wait)
{
    unsigned int more = wait_after(errno, RELAY_SINK);

    *wait |= more;
    if (!more)
        end_sink(relay, -errno, 0);
    return -1;
}

ssize_t relay_source_failed(struct relay *relay, unsigned int *wait)
{
    unsigned int more = wait_after(errno, RELAY_SOURCE);

    *wait |= more;
    if (!more)
        end_source(relay, -errno, 0);
    return -1;
}

ssize_t relay_source_ended(struct relay *relay)
{
    end_source(relay, 0, 0);
    return -1;
}

ssize_t relay_deliver(struct relay *relay, int fd, unsigned int *wait)
{
    struct ring_span spans[2];
    struct iovec iov[2];
    int bytes = channel_readable(relay->channel, 1);
    ssize_t taken;

    if (bytes == 0)
        end_sink(relay, 0, 0);
    else if (bytes < 0 && bytes != -EAGAIN)
        end_sink(relay, 0, bytes);
    if (bytes <= 0)
        return -1;
    taken = writev(fd, iov,
                   to_iovec(spans, channel_peek(relay->channel, (uint32_t)bytes, spans), iov));
    if (taken < 0)
        return relay_sink_failed(relay, wait);
    if (taken > 0) {
        channel_consume(relay->channel, (uint32_t)taken);
        channel_record(relay->channel);
    }
    return taken;
}

ssize_t relay_collect(struct relay *relay, int fd, unsigned int *wait)
{
    struct ring_span spans[2];
    struct iovec iov[2];
    int room = channel_writable(relay->channel, 1);
    ssize_t got;

    if (room < 0 && room != -EAGAIN)
        end_source(relay, 0, room);
    if (room < 0)
        return -1;
    got = readv(fd, iov,
                to_iovec(spans, channel_reserve(relay->channel, (uint32_t)room, spans), iov));
    if (got < 0)
        return relay_source_failed(relay, wait);
    if (got == 0)
        return relay_source_ended(relay);
    channel_commit(relay->channel, (uint32_t)got);
    return got;
}

static ssize_t deliver(struct relay *relay, unsigned int *wait)
{
    return relay->way ? relay->way->deliver(relay, wait)
                      : relay_deliver(relay, relay->sink, wait);
}

static ssize_t way_collect(struct relay *relay, unsigned int *wait)
{
    return relay->way ? relay->way->collect(relay, wait)
                      : relay_collect(relay, relay->source, wait);
}

/* The source has nothing to read, but the peer's end must still be noticed. */
static ssize_t collect_nothing(struct relay *relay, unsigned int *wait)
{
    if (channel_writable(relay->channel, 0) < 0)
        return way_collect(relay, wait);
    *wait |= RELAY_SOURCE;
    return -1;
}

/* Repeats one direction until it must wait, has ended, or has used up its share. */
static uint64_t repeat(struct relay *relay, ssize_t (*once)(struct relay *, unsigned int *),
                       unsigned int *wait)
{
    uint64_t moved = 0;
    unsigned int calls = 0;
    ssize_t bytes;

    while ((bytes = once(relay, wait)) >= 0) {
        moved += (uint64_t)bytes;
        if (moved >= STEP_BYTES || ++calls >= STEP_CALLS) {
            *wait |= RELAY_AGAIN;
            break;
        }
    }
    return moved;
}

unsigned int relay_step(struct relay *relay)
{
    unsigned int wait = 0;

    if (relay->sink >= 0 && !relay->sink_done)
        relay->received += repeat(relay, deliver, &wait);
    if (relay->source >= 0 && !relay->source_done)
        relay->sent += repeat(relay, relay->source_dry ? collect_nothing : way_collect, &wait);
    /* Before waiting for the sink or for another channel: the peer may wait for this room. */
    channel_publish(relay->channel);
    return wait;
}
