/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The script: 4 bytes (our role, two ring orders, the call that fails), then operations, each one
 * byte (its number in the table at the end of this file, modulo the table's length) and its
 * arguments. Missing bytes at the end are 0.
 */
#include "tests/model/fuzz-page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/lib/fake-xen.h"
#include "vchan/barrier.h"
#include "vchan/channel.h"
#include "vchan/relay.h"

/*
 * The limit of accesses to shared memory in one call: more would be a livelock. A join reads two
 * orders and 512 grants.
 */
#define CALL_LOOKS  64u
#define OPEN_LOOKS  600u
#define RELAY_LOOKS (2u * 256u * 16u)

#define OPENS_MAX 4u
#define QUEUE_MAX 16u

/* An act of the peer: after how many accesses, and what (act()). */
struct act {
    unsigned int delay;
    bool flickers; /* for one access only, then undone */
    uint8_t what, value, extra;
};

static struct {
    const uint8_t *script;
    size_t left;

    bool server; /* our role */
    struct xen *xen;
    struct channel *channel;
    struct ring_orders orders;
    uint32_t page_ref;           /* 0: no page yet */
    uint8_t expected[FAKE_PAGE]; /* the bytes of the page that we may not write */
    bool aliased; /* the peer granted a page twice, so what we write also appears elsewhere */
    unsigned int opens;
    uint32_t read_size, write_size;

    struct act queue[QUEUE_MAX];
    unsigned int queued;
    struct {
        bool set;
        uint8_t before[24], after[24];
    } flicker;
    struct act busy; /* what the peer does before every access */
    bool is_busy;
    unsigned int looks, looks_max;

    uint32_t readable, writable; /* how much we may peek and reserve, by the last answers */
    bool broken;
    bool ended;

    bool relaying;
    struct relay relay;
    int source[2], sink[2];
    uint64_t fed, drained;
} play;

static uint8_t data[RING_SIZE_MAX + 1];

static void broken_rule(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void broken_rule(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("fuzz-page: broken rule: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

#define RULE(holds, ...) ((holds) ? (void)0 : broken_rule(__VA_ARGS__))

static uint8_t take(void)
{
    if (play.left == 0)
        return 0;
    play.left--;
    return *play.script++;
}

/* ---- the peer ---- */

static struct vchan_interface *page(void)
{
    return (struct vchan_interface *)fake_page(play.page_ref);
}

static void poke(size_t offset, const void *bytes, size_t count)
{
    memcpy(fake_page(play.page_ref) + offset, bytes, count);
    memcpy(play.expected + offset, bytes, count);
}

/* Numbers near which something may go wrong. */
static uint32_t tip(uint8_t value)
{
    static const uint32_t tips[32] = {
        0,
        1,
        (uint32_t)-1,
        2,
        (uint32_t)-2,
        3,
        7,
        100,
        512,
        1000,
        1023,
        1024,
        1025,
        2047,
        2048,
        2049,
        4095,
        4096,
        4097,
        (uint32_t)-1024,
        (uint32_t)-4096,
        65535,
        65536,
        65537,
        1u << 20,
        (1u << 20) + 1,
        (uint32_t) - (1 << 20),
        1u << 31,
        (1u << 31) - 1,
        (1u << 31) + 1,
        33,
        300,
    };

    return tips[value % 32];
}

/* An index: relative to itself or to the other one of its ring, or arbitrary. */
static void act_index(uint8_t which, uint8_t value)
{
    uint32_t index[4], result;

    memcpy(index, page(), sizeof(index));
    switch (value / 32 % 4) {
    case 0:
        result = index[which] + tip(value);
        break;
    case 1:
        result = index[which ^ 1] + tip(value);
        break;
    case 2:
        result = index[which ^ 1] - tip(value);
        break;
    default:
        result = tip(value);
        break;
    }
    poke(which * sizeof(uint32_t), &result, sizeof(result));
}

static void act_order(uint8_t which, uint8_t value)
{
    uint16_t order = value < 64 ? value : (uint16_t)(value * 257u);

    poke(offsetof(struct vchan_interface, left_order) + which * sizeof(order), &order,
         sizeof(order));
}

/* cli_live, srv_live, cli_notify, srv_notify. */
static void act_byte(uint8_t which, uint8_t value)
{
    poke(offsetof(struct vchan_interface, cli_live) + which, &value, 1);
}

static void act_grant(uint8_t which, uint8_t value)
{
    uint32_t ref = value < 128 ? play.page_ref + value : tip(value);

    play.aliased = true;
    poke(offsetof(struct vchan_interface, grants) + which * sizeof(ref), &ref, sizeof(ref));
}

/* Acts like a good peer: sends, or takes, as much as possible. */
static void act_honest(uint8_t which, uint8_t value)
{
    struct ring_shared ring[2];
    bool into_left = play.server == (which == 0);
    unsigned int at = into_left ? 0 : 1;
    uint32_t room, amount = tip(value) & (RING_SIZE_MAX - 1);

    memcpy(ring, page(), sizeof(ring));
    room = which == 0 ? play.read_size - (ring[at].prod - ring[at].cons)
                      : ring[at].prod - ring[at].cons;
    if (amount > room)
        amount = room;
    if (which == 0)
        ring[at].prod += amount;
    else
        ring[at].cons += amount;
    poke(at * sizeof(ring[0]), &ring[at], sizeof(ring[0]));
}

static void act_anywhere(uint8_t value, uint8_t extra)
{
    poke(value * 16u + extra % 16u, &extra, 1);
    play.aliased = true; /* it may have been a grant */
}

static void act_everywhere(uint8_t value)
{
    uint8_t bytes[FAKE_PAGE];

    memset(bytes, value, sizeof(bytes));
    poke(0, bytes, sizeof(bytes));
    play.aliased = true;
}

static void act(const struct act *act)
{
    uint8_t what = act->what % 20;

    if (play.page_ref == 0)
        return;
    if (what < 4)
        act_index(what, act->value);
    else if (what < 6)
        act_order(what - 4, act->value);
    else if (what < 10)
        act_byte(what - 6, act->value % 8);
    else if (what == 10)
        act_byte(act->extra % 4, act->value);
    else if (what == 11)
        act_grant(act->extra, act->value);
    else if (what == 12)
        act_anywhere(act->value, act->extra);
    else if (what == 13)
        act_everywhere(act->value);
    else
        act_honest(what % 2, act->value);
}

static void act_for_one_look(const struct act *given)
{
    memcpy(play.flicker.before, page(), sizeof(play.flicker.before));
    act(given);
    memcpy(play.flicker.after, page(), sizeof(play.flicker.after));
    play.flicker.set = true;
}

static void end_flicker(void)
{
    for (size_t i = 0; play.flicker.set && i < sizeof(play.flicker.before); i++)
        if (play.flicker.before[i] != play.flicker.after[i])
            poke(i, &play.flicker.before[i], 1);
    play.flicker.set = false;
}

/* Before every access of ours the peer acts. */
static void peer_turn(void)
{
    unsigned int kept = 0;

    end_flicker();
    for (unsigned int i = 0; i < play.queued; i++) {
        if (play.queue[i].delay > 0) {
            play.queue[i].delay--;
            play.queue[kept++] = play.queue[i];
        } else if (play.queue[i].flickers && !play.flicker.set && play.page_ref != 0) {
            act_for_one_look(&play.queue[i]);
        } else {
            act(&play.queue[i]);
        }
    }
    play.queued = kept;
    if (play.is_busy)
        act(&play.busy);
}

uint32_t shared_access(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                       uint32_t value)
{
    peer_turn();
    play.looks++;
    RULE(play.looks <= play.looks_max, "more than %u looks at the page in one call",
         play.looks_max);
    return shared_perform(kind, pointer, size, value);
}

static struct act take_act(unsigned int delay)
{
    struct act act = {.delay = delay};

    act.what = take();
    act.value = take();
    act.extra = take();
    return act;
}

static void op_peer_now(void)
{
    struct act now = take_act(0);

    act(&now);
}

static void op_peer_later(void)
{
    uint8_t delay = take();
    struct act later = take_act(delay % 16u);

    later.flickers = delay >= 128;
    if (play.queued < QUEUE_MAX)
        play.queue[play.queued++] = later;
}

static void op_peer_busy(void)
{
    play.busy = take_act(0);
    play.is_busy = play.busy.extra % 4 != 0;
}

/* ---- rules ---- */

/* Whether the byte of the page is ours to write: a field, or part of a ring in the page. */
static bool ours(size_t offset)
{
    static const uint8_t server[] = {0, 1, 2, 3, 12, 13, 14, 15, 21, 22, 23};
    static const uint8_t client[] = {4, 5, 6, 7, 8, 9, 10, 11, 20, 22, 23};
    const uint8_t *fields = play.server ? server : client;

    for (size_t i = 0; i < sizeof(server); i++)
        if (fields[i] == offset)
            return true;
    return play.write_size < FAKE_PAGE && offset >= play.write_size && offset < 2 * play.write_size;
}

static void check_page(void)
{
    const uint8_t *now = fake_page(play.page_ref);

    if (play.aliased || play.page_ref == 0 || memcmp(now, play.expected, FAKE_PAGE) == 0)
        return;
    for (size_t i = 0; i < FAKE_PAGE; i++)
        RULE(now[i] == play.expected[i] || ours(i), "byte %zu of the page is not ours to write", i);
}

static void begin_call(unsigned int looks_max)
{
    play.looks = 0;
    play.looks_max = looks_max;
}

static void check_spans(const struct ring_span spans[2], unsigned int count, uint32_t bytes,
                        uint32_t size)
{
    uint32_t total = 0, area_bytes;

    RULE(count <= 2, "%u spans", count);
    for (unsigned int i = 0; i < count; i++) {
        uint8_t *area = fake_area(spans[i].base, &area_bytes);
        uint32_t at, first;

        RULE(area, "a span outside of all that is mapped");
        at = (uint32_t)(spans[i].base - area);
        first = size < FAKE_PAGE ? size : 0;
        RULE(at >= first && at + spans[i].length <= first + size,
             "a span at %u of %u bytes, of a ring of %u at %u", at, spans[i].length, size, first);
        RULE(at + spans[i].length <= area_bytes, "a span beyond its pages");
        RULE(spans[i].length > 0, "an empty span");
        total += spans[i].length;
    }
    RULE(total == bytes, "spans of %u bytes for %u", total, bytes);
}

/* After -EPROTO, the ring is never trusted again. */
static void check_believed(int rc)
{
    RULE(!play.broken || rc == -EPROTO, "%d after -EPROTO", rc);
    if (rc == -EPROTO)
        play.broken = true;
}

static void check_readable(int rc, uint32_t enough)
{
    check_believed(rc);
    RULE(rc == -EAGAIN || rc == -EPROTO || rc >= 0, "readable: %d", rc);
    RULE(rc < 0 || (uint32_t)rc <= play.read_size, "readable: %d of %u", rc, play.read_size);
    RULE(rc != -EAGAIN || !play.ended, "readable: more may come after the end");
    RULE(enough <= play.read_size, "the test asks for too much");
}

static void check_writable(int rc, uint32_t enough)
{
    check_believed(rc);
    RULE(rc == -EAGAIN || rc == -EPROTO || rc == -EPIPE || rc >= (int)enough, "writable: %d", rc);
    RULE(rc < 0 || (uint32_t)rc <= play.write_size, "writable: %d of %u", rc, play.write_size);
}

/* ---- our calls ---- */

static void never_fired(struct channel *channel, void *arg)
{
    (void)channel, (void)arg;
}

static const struct channel_owner nobody = {.fired = never_fired};

/* Makes a hostile server's page, valid for now; the script corrupts it. */
static void make_page(void)
{
    struct vchan_interface *made;
    uint32_t rings;

    play.page_ref = fake_grant(1);
    rings = fake_grant(512);
    made = page();
    made->left_order = play.orders.read;
    made->right_order = play.orders.write;
    made->cli_live = 2;
    made->srv_live = 1;
    made->cli_notify = VCHAN_NOTIFY_WRITE;
    for (uint32_t i = 0; i < 512; i++)
        made->grants[i] = rings + i;
    memcpy(play.expected, made, FAKE_PAGE);
}

static void check_opened(int rc)
{
    static const int documented[] = {0, -EPROTO, -EINVAL, -EBUSY, -ENOSPC, -ENOMEM};
    bool known = false;

    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++)
        known = known || rc == documented[i];
    RULE(known, "open: %d", rc);
    RULE((rc == 0) == (play.channel != NULL), "open: %d and %p", rc, (void *)play.channel);
    RULE(rc == 0 || fake_held() == 0, "a failed open keeps %u things", fake_held());
}

static int open_channel(void)
{
    if (play.server)
        return channel_serve(play.xen, 1, &play.orders, nobody, &play.channel);
    return channel_join(play.xen, 1, play.page_ref, fake_offer(), NULL, nobody, &play.channel);
}

static bool size_valid(uint32_t size)
{
    return size >= 1u << RING_ORDER_MIN && size <= RING_SIZE_MAX && (size & (size - 1)) == 0;
}

static void reset_channel_state(void)
{
    play.broken = play.ended = play.relaying = false;
    play.readable = play.writable = 0;
    play.read_size = play.write_size = 0;
    if (play.page_ref) /* an earlier channel of ours wrote there */
        memcpy(play.expected, page(), FAKE_PAGE);
}

static bool ensure_open(void)
{
    if (play.channel)
        return true;
    if (play.opens++ >= OPENS_MAX)
        return false;
    reset_channel_state();
    begin_call(OPEN_LOOKS);
    check_opened(open_channel());
    if (!play.channel)
        return false;
    play.read_size = channel_read_size(play.channel);
    play.write_size = channel_write_size(play.channel);
    RULE(size_valid(play.read_size) && size_valid(play.write_size), "rings of %u and %u bytes",
         play.read_size, play.write_size);
    if (play.server) {
        play.page_ref = channel_ring_ref(play.channel);
        play.aliased = false;
        memcpy(play.expected, page(), FAKE_PAGE);
    }
    check_page();
    return true;
}

static void close_channel(void)
{
    uint8_t *live = &page()->cli_live + (play.server ? 1 : 0);

    if (!play.channel)
        return;
    begin_call(CALL_LOOKS);
    end_flicker();
    play.queued = 0; /* so that the live byte below is ours */
    play.is_busy = false;
    channel_close(play.channel);
    play.channel = NULL;
    RULE(*live == 0, "closed, and the live byte is %u", *live);
    RULE(fake_held() == 0, "closed, and %u things are kept", fake_held());
    check_page();
}

static uint32_t take_amount(uint32_t size)
{
    uint8_t value = take();
    uint32_t amount = value < 128 ? value + 1u : size - (tip(value) & (size - 1));

    return amount < size ? amount : size;
}

static void op_readable(void)
{
    uint32_t enough = take_amount(play.read_size);
    int rc;

    begin_call(CALL_LOOKS);
    rc = channel_readable(play.channel, enough);
    check_readable(rc, enough);
    play.readable = rc > 0 ? (uint32_t)rc : 0;
}

static void op_consume(void)
{
    uint32_t bytes = play.readable ? take_amount(play.readable) : 0;
    struct ring_span spans[2];
    unsigned int count = channel_peek(play.channel, bytes, spans);

    check_spans(spans, count, bytes, play.read_size);
    for (unsigned int i = 0; i < count; i++)
        memcpy(data, spans[i].base, spans[i].length);
    begin_call(CALL_LOOKS);
    channel_consume(play.channel, bytes);
    play.readable -= bytes;
}

static void op_writable(void)
{
    uint32_t enough = take_amount(play.write_size);
    int rc;

    begin_call(CALL_LOOKS);
    rc = channel_writable(play.channel, enough);
    check_writable(rc, enough);
    play.writable = rc > 0 ? (uint32_t)rc : 0;
}

static void op_commit(void)
{
    uint32_t bytes = play.writable ? take_amount(play.writable) : 0;
    struct ring_span spans[2];
    unsigned int count = channel_reserve(play.channel, bytes, spans);

    check_spans(spans, count, bytes, play.write_size);
    for (unsigned int i = 0; i < count; i++)
        memset(spans[i].base, 0x77, spans[i].length);
    begin_call(CALL_LOOKS);
    channel_commit(play.channel, bytes);
    play.writable -= bytes;
}

static void op_read(void)
{
    uint32_t size = take_amount(play.read_size);
    uint32_t enough = take() % 2 ? size : 1;
    ssize_t rc;

    data[size] = 0x5a;
    begin_call(CALL_LOOKS);
    rc = channel_read_known(play.channel, data, size, enough);
    if (rc == 0)
        rc = channel_read(play.channel, data, size, enough);
    check_readable((int)rc, enough);
    RULE(rc <= (ssize_t)size && data[size] == 0x5a, "read: %zd into %u", rc, size);
    play.readable = play.writable = 0;
}

static void op_write(void)
{
    uint32_t size = take_amount(play.write_size);
    uint32_t enough = take() % 2 ? size : 1;
    ssize_t rc;

    begin_call(CALL_LOOKS);
    rc = channel_write_known(play.channel, data, size);
    if (rc == 0)
        rc = channel_write(play.channel, data, size, enough);
    check_writable((int)rc, enough);
    RULE(rc <= (ssize_t)size, "write: %zd of %u", rc, size);
    play.readable = play.writable = 0;
}

static void op_spin(void)
{
    enum channel_wait wait = take() % 2 ? CHANNEL_READ : CHANNEL_WRITE;
    bool found;

    begin_call(CALL_LOOKS);
    found = channel_spin(play.channel, wait,
                         take_amount(wait == CHANNEL_READ ? play.read_size : play.write_size));
    RULE(found || !play.broken, "spin: looks at a corrupt ring");
    play.readable = play.writable = 0;
}

static void op_record(void)
{
    begin_call(CALL_LOOKS);
    channel_record(play.channel);
}

/* ---- the relay between two pipes ---- */

static void empty_pipe(int fd, uint64_t *bytes)
{
    ssize_t got;

    while ((got = read(fd, data, sizeof(data))) > 0)
        *bytes += (uint64_t)got;
}

static void start_relay(void)
{
    uint64_t ignored = 0;

    if (play.source[0] == play.sink[0] && (pipe2(play.source, O_NONBLOCK | O_CLOEXEC) < 0 ||
                                           pipe2(play.sink, O_NONBLOCK | O_CLOEXEC) < 0))
        broken_rule("no pipes: %s", strerror(errno));
    empty_pipe(play.source[0], &ignored);
    empty_pipe(play.sink[0], &ignored);
    relay_init(&play.relay, play.channel, play.source[0], play.sink[1]);
    play.fed = play.drained = 0;
    play.relaying = true;
}

static uint64_t in_pipe(int fd)
{
    int bytes = 0;

    return ioctl(fd, FIONREAD, &bytes) == 0 ? (uint64_t)bytes : 0;
}

static void check_relay(unsigned int wait)
{
    const struct relay *relay = &play.relay;

    RULE(wait <= (RELAY_SOURCE | RELAY_SINK | RELAY_AGAIN), "relay: waits for %u", wait);
    RULE(relay->received == play.drained + in_pipe(play.sink[0]), "relay: received %llu",
         (unsigned long long)relay->received);
    RULE(relay->sent == play.fed - in_pipe(play.source[0]), "relay: sent %llu",
         (unsigned long long)relay->sent);
    RULE(relay->ring_error == 0 || relay->ring_error == -EPIPE || relay->ring_error == -EPROTO,
         "relay: ring error %d", relay->ring_error);
    RULE(!play.broken || (relay->sink_done && relay->source_done),
         "relay: goes on with a corrupt ring");
    if (relay->ring_error == -EPROTO)
        play.broken = true;
}

static void op_relay(void)
{
    unsigned int wait;

    if (!play.relaying)
        start_relay();
    begin_call(RELAY_LOOKS);
    wait = relay_step(&play.relay);
    play.readable = play.writable = 0;
    check_relay(wait);
}

static void op_feed(void)
{
    uint32_t bytes = take() * 64u;
    ssize_t put;

    if (!play.relaying)
        start_relay();
    put = write(play.source[1], data, bytes);
    if (put > 0)
        play.fed += (uint64_t)put;
}

static void op_drain(void)
{
    if (!play.relaying)
        start_relay();
    empty_pipe(play.sink[0], &play.drained);
}

static void op_state(void)
{
    begin_call(CALL_LOOKS);
    if (take() % 4 == 0) {
        channel_set_ended(play.channel);
        play.ended = true;
    }
    (void)channel_peer_left(play.channel);
    (void)channel_peer_here(play.channel);
}

/* ---- a script ---- */

static const struct {
    void (*run)(void);
    bool needs_channel;
} ops[] = {
    {op_peer_now, false}, {op_peer_later, false}, {op_peer_later, false}, {op_readable, true},
    {op_consume, true},   {op_writable, true},    {op_commit, true},      {op_read, true},
    {op_write, true},     {op_relay, true},       {op_feed, true},        {op_drain, true},
    {op_state, true},     {op_peer_busy, false},  {close_channel, true},  {op_spin, true},
    {op_record, true},
};

/* Orders, mostly valid ones: a server's own orders are checked, not hostile. */
static uint16_t take_order(void)
{
    uint8_t value = take();

    return value < 192 ? RING_ORDER_MIN + value % 5 : value % 32;
}

static void take_failure(void)
{
    static const int errors[] = {0, ENOSPC, EINVAL, ENOMEM};
    uint8_t value = take();

    fake_fail(value / 4 % 8, value < 128 ? 0 : errors[value % 4]);
}

static void begin(const uint8_t *script, size_t size)
{
    int source[2] = {play.source[0], play.source[1]}, sink[2] = {play.sink[0], play.sink[1]};

    memset(&play, 0, sizeof(play));
    memcpy(play.source, source, sizeof(source));
    memcpy(play.sink, sink, sizeof(sink));
    fake_reset();
    play.script = script;
    play.left = size;
    play.server = take() % 2 == 0;
    play.orders.read = take_order();
    play.orders.write = take_order();
    take_failure();
    play.xen = fake_xen_make();
    if (!play.server)
        make_page();
}

int LLVMFuzzerTestOneInput(const uint8_t *script, size_t size)
{
    begin(script, size);
    while (play.left > 0) {
        uint8_t op = take() % (sizeof(ops) / sizeof(ops[0]));

        if (ops[op].needs_channel && !ensure_open())
            continue;
        ops[op].run();
        check_page();
    }
    if (play.channel)
        close_channel();
    fake_xen_free(play.xen);
    return 0;
}
