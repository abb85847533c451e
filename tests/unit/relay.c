/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay, step by step: what stalls, what continues, and in which order it ends. The test plays
 * the other domain, and the system calls on its descriptors, which take exactly what a test allows.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "tests/lib/check-main.h"
#include "tests/lib/fake-xen.h"
#include "vchan/relay.h"

#define RING 4096u
#define LOT (64 * RING)

/* not real descriptors: readv() and writev() below recognise them */
enum { SOURCE = 100, SINK = 101 };

/*
 * A descriptor: takes or gives room bytes, at most piece at a time; then fails with error, or ends.
 */
struct file {
    uint32_t room;
    uint32_t piece;
    int error;  /* 0: the end, for a source */
    int refuse; /* an errno with which every second call fails */
    uint32_t moved;
    unsigned int calls;
};

static struct file source, sink;
static struct xen *ours, *theirs;
static struct channel *channel, *peer;
static struct relay relay;
static uint32_t given, got; /* bytes the peer has written and read */

uint32_t shared_access(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                       uint32_t value)
{
    return shared_perform(kind, pointer, size, value);
}

/* For each byte, or nearly: ck_assert_msg() writes to a file also when all is well. */
#define CHECK_OFTEN(right, ...) \
    do { \
        if (!(right)) \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

static uint8_t byte_at(uint32_t at)
{
    return (uint8_t)(at * 7 + at / 251);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How many bytes this call moves, or -1. */
static ssize_t allow(struct file *file, uint32_t wanted)
{
    uint32_t bytes = smaller(smaller(file->room, file->piece), wanted);

    file->calls++;
    errno = file->refuse && file->calls % 2 ? file->refuse : bytes == 0 ? file->error : 0;
    return errno ? -1 : (ssize_t)bytes;
}

static uint32_t length_of(const struct iovec *pieces, int count)
{
    size_t length = 0;

    for (int i = 0; i < count; i++)
        length += pieces[i].iov_len;
    return (uint32_t)length;
}

/* Handles the first bytes of the pieces; file->moved is their position in the whole. */
static void pass(struct file *file, const struct iovec *pieces, ssize_t bytes, bool fills)
{
    size_t at = 0;
    bool right = true;

    for (ssize_t i = 0; i < bytes; i++, at++) {
        while (at == pieces->iov_len) {
            pieces++;
            at = 0;
        }
        if (fills)
            ((uint8_t *)pieces->iov_base)[at] = byte_at(file->moved);
        else
            right &= ((uint8_t *)pieces->iov_base)[at] == byte_at(file->moved);
        file->moved++;
    }
    CHECK_OFTEN(right, "of the %u bytes so far, one is wrong", file->moved);
    file->room -= bytes > 0 ? (uint32_t)bytes : 0;
}

ssize_t readv(int fd, const struct iovec *pieces, int count)
{
    ssize_t bytes = allow(&source, length_of(pieces, count));

    CHECK_OFTEN(fd == SOURCE, "it reads from %d", fd);
    pass(&source, pieces, bytes, true);
    return bytes;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    ssize_t bytes = allow(&sink, length_of(pieces, count));

    CHECK_OFTEN(fd == SINK, "it writes to %d", fd);
    pass(&sink, pieces, bytes, false);
    return bytes;
}

static void nothing(struct channel *fired, void *arg)
{
    (void)fired, (void)arg;
}

static void setup(void)
{
    const struct ring_orders orders = {.read = 12, .write = 12};
    const struct channel_owner nobody = {.fired = nothing};

    fake_reset();
    ours = fake_xen_make();
    theirs = fake_xen_make();
    ck_assert_int_eq(channel_serve(ours, 1, &orders, nobody, &channel), 0);
    ck_assert_int_eq(channel_join(theirs, 1, channel_ring_ref(channel), channel_port(channel),
                                  NULL, nobody, &peer), 0);
    relay_init(&relay, channel, SOURCE, SINK);
    source = (struct file){.piece = UINT32_MAX, .error = EAGAIN};
    sink = (struct file){.room = UINT32_MAX, .piece = UINT32_MAX, .error = EAGAIN};
    given = got = 0;
}

static void teardown(void)
{
    channel_close(peer);
    channel_close(channel);
    fake_xen_free(ours);
    fake_xen_free(theirs);
}

/* The peer writes as much as fits, up to bytes. Returns how much. */
static uint32_t peer_gives(uint32_t bytes)
{
    uint8_t data[RING];
    ssize_t rc;

    bytes = smaller(bytes, sizeof(data));
    for (uint32_t i = 0; i < bytes; i++)
        data[i] = byte_at(given + i);
    rc = channel_write(peer, data, bytes, 1);
    CHECK_OFTEN(rc > 0 || rc == -EAGAIN, "the peer's write: %zd", rc);
    given += rc > 0 ? (uint32_t)rc : 0;
    return rc > 0 ? (uint32_t)rc : 0;
}

/* The peer reads at most bytes. Returns how much. */
static uint32_t peer_takes(uint32_t bytes)
{
    uint8_t data[RING];
    ssize_t rc = channel_read(peer, data, smaller(bytes, sizeof(data)), 1);
    bool right = true;

    CHECK_OFTEN(rc > 0 || rc == -EAGAIN, "the peer's read: %zd", rc);
    for (ssize_t i = 0; i < rc; i++)
        right &= data[i] == byte_at(got++);
    CHECK_OFTEN(right, "of the %u bytes that the peer got, one is wrong", got);
    return rc > 0 ? (uint32_t)rc : 0;
}

/* Both directions have room: everything gets through each, however many steps it takes. */
static void check_flow(uint32_t bytes)
{
    uint32_t to = relay.received + bytes, from = relay.sent + bytes;

    source.room = bytes - (source.moved - (uint32_t)relay.sent);
    for (int steps = 0; relay.received < to || got < from; steps++) {
        if (steps == 1000000)
            ck_abort_msg("it stands still: %u of %u and %u of %u",
                         (unsigned int)relay.received, to, got, from);
        if (given < to)
            peer_gives(to - given);
        relay_step(&relay);
        peer_takes(RING);
    }
    ck_assert_uint_eq(sink.moved, relay.received);
    ck_assert_uint_eq(source.moved, relay.sent);
}

/* ---- back-pressure ---- */

START_TEST(stuck_sink_stops_only_its_direction)
{
    unsigned int wait, calls;

    sink.room = 100;
    while (peer_gives(RING) > 0)
        wait = relay_step(&relay);
    wait = relay_step(&relay);
    ck_assert_uint_eq(wait, RELAY_SINK | RELAY_SOURCE);
    ck_assert_uint_eq(sink.moved, 100);
    /* what the sink did not take is in the ring and nowhere else */
    ck_assert_uint_eq(given, RING + 100);

    source.room = LOT;
    for (int i = 0; i < 10000 && got < LOT; i++) {
        relay_step(&relay);
        peer_takes(RING);
    }
    ck_assert_uint_eq(got, LOT);
    ck_assert_uint_eq(sink.moved, 100);

    calls = sink.calls;
    relay_step(&relay);
    ck_assert_uint_eq(sink.calls, calls + 1); /* tried once in a step, not in a loop */
    sink.room = UINT32_MAX;
    check_flow(LOT);
}
END_TEST

START_TEST(full_ring_stops_only_its_direction)
{
    unsigned int wait, calls;

    source.room = LOT;
    wait = relay_step(&relay);
    ck_assert_uint_eq(wait, 0); /* it does not wait for the source: the peer will signal */
    ck_assert_uint_eq(source.moved, RING);

    while (given < LOT) {
        peer_gives(LOT - given);
        relay_step(&relay);
    }
    ck_assert_uint_eq(sink.moved, LOT);
    ck_assert_uint_eq(source.moved, RING);

    calls = source.calls;
    relay_step(&relay);
    ck_assert_uint_eq(source.calls, calls); /* not even tried */
    fake_take(channel_port(channel));
    peer_takes(RING);
    channel_publish(peer);
    ck_assert(fake_take(channel_port(channel)));
    relay_step(&relay);
    ck_assert_uint_eq(source.moved, 2 * RING);
    while (got < LOT) {
        relay_step(&relay);
        peer_takes(RING);
    }
}
END_TEST

/* A peer that sleeps on a full ring is woken for what the sink took, and not before. */
START_TEST(peer_is_woken_when_the_sink_goes_on)
{
    sink.room = 0;
    while (peer_gives(RING) > 0)
        ;
    fake_take(channel_port(peer));
    relay_step(&relay);
    relay_step(&relay);
    ck_assert(!fake_pending(channel_port(peer)));
    sink.room = 1;
    relay_step(&relay);
    ck_assert(fake_take(channel_port(peer)));
    ck_assert_uint_eq(peer_gives(RING), 1);
}
END_TEST

/* ---- what descriptors do ---- */

static const struct {
    uint32_t source_piece, sink_piece;
    int source_refuse, sink_refuse;
} habits[] = {
    {1, UINT32_MAX, 0, 0},           {UINT32_MAX, 1, 0, 0}, {1, 1, EAGAIN, EAGAIN},
    {UINT32_MAX, 1, EINTR, EINTR},   {1, 4095, 0, EAGAIN},  {4095, 1, EAGAIN, EINTR},
    {4095, 4095, EAGAIN, EAGAIN},    {UINT32_MAX, UINT32_MAX, EAGAIN, EAGAIN},
};

START_TEST(all_gets_through_in_any_pieces)
{
    source.piece = habits[_i].source_piece;
    source.refuse = habits[_i].source_refuse;
    sink.piece = habits[_i].sink_piece;
    sink.refuse = habits[_i].sink_refuse;
    check_flow(8 * RING);
}
END_TEST

/* A call that a signal interrupted is repeated, although no event will announce that it can be. */
START_TEST(an_interrupted_call_is_made_again)
{
    peer_gives(1);
    sink.refuse = EINTR;
    ck_assert_uint_eq(relay_step(&relay), RELAY_AGAIN | RELAY_SOURCE);
    ck_assert_uint_eq(relay_step(&relay), RELAY_SOURCE);
    ck_assert_uint_eq(sink.moved, 1);
    source.refuse = EINTR;
    source.calls = 0;
    ck_assert_uint_eq(relay_step(&relay), RELAY_AGAIN);
}
END_TEST

/* A step is bounded, so that others are served, and returns that there is more to do. */
START_TEST(a_step_has_its_share)
{
    peer_gives(RING);
    sink.piece = 1;
    ck_assert_uint_eq(relay_step(&relay) & (RELAY_AGAIN | RELAY_SINK), RELAY_AGAIN);
    ck_assert_uint_eq(sink.calls, 256);
    ck_assert_uint_eq(sink.moved, 256);
    source.calls = 0;
    source.room = UINT32_MAX;
    source.piece = 1;
    ck_assert_uint_eq(relay_step(&relay) & (RELAY_AGAIN | RELAY_SOURCE), RELAY_AGAIN);
    ck_assert_uint_eq(source.calls, 256);
}
END_TEST

/*
 * Bytes in large pieces take one call for each ring and one that finds nothing, each way: no copy,
 * no other call.
 */
START_TEST(a_ring_takes_one_call)
{
    for (int i = 0; i < 16; i++) {
        sink.calls = source.calls = 0;
        source.room = RING;
        ck_assert_uint_eq(peer_gives(RING), RING);
        relay_step(&relay);
        ck_assert_uint_eq(sink.calls, 1);
        ck_assert_uint_eq(source.calls, 1);
        ck_assert_uint_eq(peer_takes(RING), RING);
    }
    ck_assert_uint_eq(sink.moved, 16 * RING);
    ck_assert_uint_eq(got, 16 * RING);
}
END_TEST

/* ---- ends ---- */

static void peer_ends(void)
{
    channel_set_ended(channel); /* as the endpoint does when the peer's state says so */
}

static void end_source(void)
{
    source.room = 0;
    source.error = 0;
}

/* Sends bytes each way, then ends one direction while they are still under way. */
static void check_first_end(void (*first)(void), bool *done, const bool *other)
{
    source.room = RING / 2; /* a source is read to its end only if there is room for more */
    sink.room = 0;
    peer_gives(RING);
    relay_step(&relay);
    first();
    relay_step(&relay);
    ck_assert(!relay.sink_done); /* 4 KiB lie in the ring, and nobody takes them */
    sink.room = UINT32_MAX;
    relay_step(&relay);
    ck_assert(*done);
    ck_assert(!*other);
    ck_assert_uint_eq(sink.moved, RING);
    while (peer_takes(RING) > 0)
        relay_step(&relay);
    ck_assert_uint_eq(got, source.moved);
}

static void check_both_ended(void)
{
    unsigned int wait = relay_step(&relay), calls = source.calls + sink.calls;

    ck_assert(relay.source_done && relay.sink_done);
    ck_assert_int_eq(relay.source_error | relay.sink_error | relay.ring_error, 0);
    ck_assert_uint_eq(wait, 0);
    relay_step(&relay);
    ck_assert_uint_eq(source.calls + sink.calls, calls); /* an ended direction is left alone */
}

/* It saves the system call, but misses neither later bytes nor the peer's end. */
START_TEST(a_dry_source_is_not_asked)
{
    ck_assert_uint_eq(relay_step(&relay), RELAY_SOURCE);
    relay.source_dry = true;
    source.calls = 0;
    peer_gives(100);
    ck_assert_uint_eq(relay_step(&relay), RELAY_SOURCE);
    ck_assert_uint_eq(source.calls, 0);
    ck_assert_uint_eq(sink.moved, 100);
    source.room = 10;
    relay.source_dry = false;
    relay_step(&relay);
    ck_assert_uint_eq(source.moved, 10);
    relay.source_dry = true;
    channel_close(peer);
    peer = NULL;
    relay_step(&relay);
    ck_assert(relay.source_done);
    ck_assert_int_eq(relay.ring_error, -EPIPE);
}
END_TEST

START_TEST(source_ends_first)
{
    check_first_end(end_source, &relay.source_done, &relay.sink_done);
    for (int i = 0; i < 8; i++) {
        peer_gives(RING);
        relay_step(&relay);
    }
    ck_assert_uint_eq(sink.moved, 9 * RING);
    peer_gives(17);
    peer_ends();
    check_both_ended();
    ck_assert_uint_eq(sink.moved, given);
}
END_TEST

START_TEST(peer_ends_first)
{
    check_first_end(peer_ends, &relay.sink_done, &relay.source_done);
    source.room = LOT;
    while (got < LOT) {
        relay_step(&relay);
        peer_takes(RING);
    }
    end_source();
    check_both_ended();
}
END_TEST

START_TEST(both_end_at_once)
{
    source.room = 17;
    peer_gives(RING);
    source.error = 0;
    peer_ends();
    for (int i = 0; i < 4; i++)
        relay_step(&relay);
    check_both_ended();
    ck_assert_uint_eq(sink.moved, RING);
    ck_assert_uint_eq(peer_takes(RING), 17);
}
END_TEST

/* A broken sink ends its direction: what it did not take is not lost, but stays in the ring. */
START_TEST(broken_sink_ends_only_its_direction)
{
    sink.room = 100;
    sink.error = EPIPE;
    peer_gives(RING);
    relay_step(&relay);
    ck_assert(relay.sink_done && !relay.source_done);
    ck_assert_int_eq(relay.sink_error, -EPIPE);
    ck_assert_int_eq(channel_readable(channel, 1), RING - 100);
    source.room = LOT;
    while (got < LOT) {
        relay_step(&relay);
        peer_takes(RING);
    }
    ck_assert_int_eq(relay.ring_error, 0);
}
END_TEST

START_TEST(broken_source_ends_only_its_direction)
{
    source.error = ECONNRESET;
    relay_step(&relay);
    ck_assert(relay.source_done && !relay.sink_done);
    ck_assert_int_eq(relay.source_error, -ECONNRESET);
    while (given < LOT) {
        peer_gives(LOT - given);
        relay_step(&relay);
    }
    ck_assert_uint_eq(sink.moved, LOT);
}
END_TEST

/* The peer leaves: its bytes in the ring arrive, ours do not, and the relay reports that. */
START_TEST(peer_leaves)
{
    source.room = LOT;
    sink.room = 0;
    peer_gives(1000);
    relay_step(&relay);
    channel_close(peer);
    peer = NULL;
    sink.room = UINT32_MAX;
    relay_step(&relay);
    relay_step(&relay);
    ck_assert(relay.source_done && relay.sink_done);
    ck_assert_int_eq(relay.ring_error, -EPIPE);
    ck_assert_int_eq(relay.sink_error, 0);
    ck_assert_uint_eq(sink.moved, 1000);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("relay");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, stuck_sink_stops_only_its_direction);
    tcase_add_test(tcase, full_ring_stops_only_its_direction);
    tcase_add_test(tcase, peer_is_woken_when_the_sink_goes_on);
    tcase_add_loop_test(tcase, all_gets_through_in_any_pieces, 0,
                        (int)(sizeof(habits) / sizeof(habits[0])));
    tcase_add_test(tcase, an_interrupted_call_is_made_again);
    tcase_add_test(tcase, a_step_has_its_share);
    tcase_add_test(tcase, a_ring_takes_one_call);
    tcase_add_test(tcase, a_dry_source_is_not_asked);
    tcase_add_test(tcase, source_ends_first);
    tcase_add_test(tcase, peer_ends_first);
    tcase_add_test(tcase, both_end_at_once);
    tcase_add_test(tcase, broken_sink_ends_only_its_direction);
    tcase_add_test(tcase, broken_source_ends_only_its_direction);
    tcase_add_test(tcase, peer_leaves);
    return check_main("relay", tcase);
}
