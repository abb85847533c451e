/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer that sends any frames to a stream relay (doc/protocol.md, "What a receiver checks"). The
 * input is a script of what the peer writes and reads, of our calls, and of what our descriptors
 * take and give. A broken rule aborts. Without libFuzzer it plays FUZZ_SCRIPTS random scripts from
 * a fixed seed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tests/lib/fake-xen.h"
#include "tests/model/fuzz-barrier.h"
#include "vchan/stream-relay.h"

#define MOST          4u
#define SCRIPT_LENGTH 400u
#define SCRIPTS       20000ul

/* not a real descriptor: readv(), writev() and shutdown() below are called for it only */
#define DESCRIPTOR 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the script ---- */

static const uint8_t *script;
static size_t script_left;

static uint8_t next_byte(void)
{
    if (script_left == 0)
        return 0;
    script_left--;
    return *script++;
}

static void require(bool right, const char *rule)
{
    if (right)
        return;
    fprintf(stderr, "fuzz-streams: broken: %s\n", rule);
    abort();
}

uint32_t shared_access(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                       uint32_t value)
{
    return shared_perform(kind, pointer, size, value);
}

/* ---- our descriptors: each call takes its answer from the script ---- */

static ssize_t answer_of(const struct iovec *pieces, int count, bool fill)
{
    size_t most = (size_t)next_byte() * 64, moved = 0;
    uint8_t how = next_byte() % 8;

    if (how == 0 || most == 0) {
        errno = how < 2 ? EAGAIN : EPIPE;
        return how == 2 ? 0 : -1;
    }
    for (int i = 0; i < count && moved < most; i++) {
        size_t part = pieces[i].iov_len < most - moved ? pieces[i].iov_len : most - moved;

        if (fill)
            memset(pieces[i].iov_base, 'x', part);
        else
            require(memchr(pieces[i].iov_base, 'y', part) != pieces[i].iov_base || part > 0,
                    "an empty piece");
        moved += part;
    }
    return (ssize_t)moved;
}

ssize_t readv(int fd, const struct iovec *pieces, int count)
{
    require(fd == DESCRIPTOR, "readv() of a descriptor that is not the stream's");
    return answer_of(pieces, count, true);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    require(fd == DESCRIPTOR, "writev() of a descriptor that is not the stream's");
    return answer_of(pieces, count, false);
}

int shutdown(int fd, int how)
{
    require(fd == DESCRIPTOR && how == SHUT_WR, "shutdown() of something else");
    return 0;
}

/* ---- the two sides ---- */

static struct xen *ours, *theirs;
static struct channel *channel, *peer;
static struct stream_relay relay;
static struct stream_end *asked[MOST];

static void on_asked(void *arg, struct stream_end *end)
{
    (void)arg;
    for (size_t i = 0; i < MOST; i++)
        if (!asked[i]) {
            asked[i] = end;
            return;
        }
    require(false, "more streams are asked for than there may be");
}

static void on_ended(void *arg, struct stream_end *end)
{
    (void)arg;
    for (size_t i = 0; i < MOST; i++)
        if (asked[i] == end)
            asked[i] = NULL;
}

static const struct stream_relay_ops ops = {.asked = on_asked, .ended = on_ended};

static void no_owner(struct channel *fired, void *arg)
{
    (void)fired, (void)arg;
}

static void open_sides(uint8_t how)
{
    static const struct ring_orders orders[] = {{10, 11}, {11, 10}, {12, 12}, {16, 14}};
    static const struct channel_owner owner = {.fired = no_owner};
    const struct ring_orders *size = &orders[how % 4];

    fake_reset();
    ours = fake_xen_make();
    theirs = fake_xen_make();
    require(channel_serve(ours, 1, size, owner, &channel) == 0, "channel_serve()");
    require(channel_join(theirs, 0, channel_ring_ref(channel), channel_port(channel), NULL, owner,
                         &peer) == 0,
            "channel_join()");
    require(stream_relay_open(&relay, channel, MOST, false, how & 4, &ops, NULL) == 0,
            "stream_relay_open()");
    memset(asked, 0, sizeof(asked));
}

static void close_sides(void)
{
    stream_relay_close(&relay);
    channel_close(peer);
    channel_close(channel);
    fake_xen_free(theirs);
    fake_xen_free(ours);
}

/* ---- the steps ---- */

/* A frame that is nearly right: its number is often that of a stream there is. */
static struct stream_frame make_frame(void)
{
    uint8_t kind = next_byte(), place = next_byte();
    struct stream_frame frame = {.type = kind % 10, .value = next_byte()};
    uint32_t slot = place % (2 * MOST);

    frame.number = relay.table[slot].number;
    if (frame.type == STREAM_FRAME_OPEN && kind & 64)
        frame.number += 1u << 13;
    if (frame.type == STREAM_FRAME_RESTART)
        frame.number = place;
    if (kind & 16)
        frame.value <<= 8;
    if (kind & 128)
        frame.number ^= 1u << (place % 32);
    return frame;
}

static void peer_writes(void)
{
    static const uint8_t payload[65536] = {'y'};
    struct stream_frame frame = make_frame();
    uint8_t header[STREAMS_HEADER], cut = next_byte();

    stream_frame_pack(frame, header);
    channel_write(peer, header, cut < 4 ? cut : sizeof(header), 1);
    if (frame.type == STREAM_FRAME_DATA && cut > 8)
        channel_write(peer, payload, frame.value % sizeof(payload), 1);
}

static void peer_reads(void)
{
    uint8_t bytes[256];

    channel_read(peer, bytes, sizeof(bytes), 1);
}

static void answer_asked(void)
{
    uint8_t which = next_byte() % MOST, how = next_byte() % 4;
    struct stream_end *end = asked[which];

    if (!end)
        return;
    asked[which] = NULL;
    if (how == 0)
        stream_relay_refuse(&relay, end, STREAM_UNSERVED);
    else if (how == 1)
        stream_relay_echo(&relay, end);
    else
        stream_relay_accept(&relay, end, DESCRIPTOR, DESCRIPTOR);
}

static void poke_end(void)
{
    uint8_t which = next_byte(), how = next_byte() % 8;
    struct stream_end *end = &relay.ends[which % MOST];

    if (!end->in_use || end->source < 0)
        return;
    if (how == 0 && end->ours)
        stream_relay_abort(&relay, end);
    else if (how & 1)
        stream_relay_readable(&relay, end);
    else
        stream_relay_writable(&relay, end);
}

static void connect_one(void)
{
    struct stream_end *end;

    stream_relay_connect(&relay, DESCRIPTOR, DESCRIPTOR, &end);
}

static void step_relay(void)
{
    stream_relay_step(&relay);
}

static void check_relay(void)
{
    const struct streams *streams = &relay.streams;
    uint64_t stored = 0;
    uint32_t used = 0;

    for (size_t i = 0; i < MOST; i++) {
        const struct stream_end *end = &relay.ends[i];

        if (!end->in_use)
            continue;
        used++;
        stored += end->store.length;
        require(end->store.length <= streams->first_credit, "more is stored than was granted");
        require(end->slot == STREAMS_NO_SLOT || relay.slots[end->slot] == end,
                "a slot is another stream's");
    }
    require(used == relay.count, "the ends are counted wrong");
    require(stored == relay.stored, "what is stored is counted wrong");
    require(streams->open <= MOST && streams->open <= streams->in_use &&
                streams->in_use <= 2 * MOST,
            "more streams are open than there may be");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const steps[])(void) = {peer_writes, peer_writes,  step_relay, peer_reads,
                                          poke_end,    answer_asked, step_relay, connect_one};

    script = data;
    script_left = size;
    open_sides(next_byte());
    while (script_left > 0) {
        steps[next_byte() % (sizeof(steps) / sizeof(steps[0]))]();
        check_relay();
    }
    close_sides();
    return 0;
}

#ifndef LIBFUZZER
int main(void)
{
    const char *wanted = getenv("FUZZ_SCRIPTS");
    unsigned long count = wanted ? strtoul(wanted, NULL, 10) : SCRIPTS;
    uint64_t state = 88172645463325252u;

    for (unsigned long i = 0; i < count; i++) {
        size_t size = 1 + (state >> 32) % SCRIPT_LENGTH;
        uint8_t *bytes = malloc(size); /* an exact size, so that ASan sees its end */

        for (size_t at = 0; at < size; at++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes[at] = (uint8_t)(state >> 24);
        }
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    printf("fuzz-streams: %lu scripts, every rule held\n", count);
    return 0;
}
#endif
