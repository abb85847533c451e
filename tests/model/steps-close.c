/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doc/protocol.md, "Signals" and "Live bytes": no byte written before a close is lost, and no side
 * sleeps while it has something to do. Short scripts, each in both roles, in every interleaving.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/fake-xen.h"
#include "tests/model/steps.h"
#include "vchan/barrier.h"
#include "vchan/channel.h"
#include "vchan/relay.h"

enum { SERVER, CLIENT };

/* One side: its state, and what it did. */
struct end {
    struct xen *xen;
    struct channel *channel;
    evtchn_port_t port;
    uint32_t sent, got;
    bool shut; /* it sends no more, by its state node */
    uint8_t *buffer;
};

/* What the first and the second side do. */
struct script {
    const char *name;
    void (*first)(struct end *me, struct end *peer);
    void (*second)(struct end *me, struct end *peer);
    unsigned int order; /* of the ring from the first to the second */
    bool joins;         /* the client joins in the middle */
    uint32_t to_second; /* bytes that must arrive */
    uint32_t to_first;
};

static struct {
    const struct script *script;
    unsigned int first; /* SERVER or CLIENT */
    struct end ends[2];
    uint8_t *page;
    uint32_t page_ref;
    int pipe[2];
} play;

#define BUFFER_SIZE (1u << 15)
static uint8_t buffers[2][BUFFER_SIZE];

/* ---- what a side can do ---- */

static uint8_t byte_at(uint32_t at)
{
    return (uint8_t)(at * 7 + at / 251);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/*
 * A loop of a script begins again. What follows depends only on the loop (its number and bounds),
 * on what was sent and received, and on what the channel knows.
 */
static void begin_again(const struct end *me, uint64_t loop)
{
    uint64_t knows = steps_hash(loop, &me->sent, sizeof(me->sent));

    knows = steps_hash(knows, &me->got, sizeof(me->got));
    steps_forget(steps_hash(knows, me->channel, malloc_usable_size(me->channel)));
}

/*
 * Tries to write the next piece, up to total bytes altogether. Tries the fast path first, like
 * pvchan_write().
 */
static ssize_t put_piece(struct end *me, uint32_t total, uint32_t piece, bool whole)
{
    uint32_t size = smaller(piece, total - me->sent);
    ssize_t rc;

    for (uint32_t i = 0; i < size; i++)
        me->buffer[i] = byte_at(me->sent + i);
    rc = channel_write_known(me->channel, me->buffer, size);
    if (rc == 0)
        rc = channel_write(me->channel, me->buffer, size, whole ? size : 1);
    if (rc > 0)
        me->sent += (uint32_t)rc;
    return rc;
}

static void check_bytes(struct end *me, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++, me->got++) {
        if (bytes[i] == byte_at(me->got))
            continue;
        steps_fault("byte %u is wrong", me->got);
        return;
    }
}

/* Tries to read, likewise. */
static ssize_t get_piece(struct end *me, uint32_t piece, bool whole)
{
    uint32_t enough = whole ? piece : 1;
    ssize_t rc = channel_read_known(me->channel, me->buffer, piece, enough);

    if (rc == 0)
        rc = channel_read(me->channel, me->buffer, piece, enough);
    if (rc > 0)
        check_bytes(me, me->buffer, (size_t)rc);
    if (rc < 0 && rc != -EAGAIN)
        steps_fault("read: %zd", rc);
    return rc;
}

/*
 * Writes up to total bytes altogether. Returns false if the peer has left or the run is abandoned.
 */
static bool put(struct end *me, uint32_t total, uint32_t piece, bool whole)
{
    while (me->sent < total) {
        ssize_t rc;

        begin_again(me, (uint64_t)total << 2 | 1);
        rc = put_piece(me, total, piece, whole);
        if (rc == -EAGAIN ? !steps_wait(me->port) : rc < 0)
            return false;
    }
    return true;
}

/* Reads up to total bytes altogether. Returns false if fewer came. */
static bool get(struct end *me, uint32_t total, uint32_t piece, bool whole)
{
    while (me->got < total) {
        ssize_t rc;

        begin_again(me, (uint64_t)total << 2 | 2);
        rc = get_piece(me, smaller(piece, total - me->got), whole);
        if (rc == -EAGAIN ? !steps_wait(me->port) : rc <= 0)
            return false;
    }
    return true;
}

/* Like pvchan_read(), polls for a while before it asks for a signal. */
static void get_looking(struct end *me, uint32_t total, uint32_t piece)
{
    ssize_t rc;

    do {
        begin_again(me, 3);
        channel_spin(me->channel, CHANNEL_READ, 1);
        rc = get_piece(me, piece, false);
    } while (me->got < total && (rc == -EAGAIN ? steps_wait(me->port) : rc > 0));
}

static void leave(struct end *me)
{
    channel_close(me->channel);
    me->channel = NULL;
}

/* Reads until the end, which must come. */
static void get_all(struct end *me, uint32_t piece)
{
    if (get(me, UINT32_MAX, piece, false))
        steps_fault("read more than there can be");
}

/* Writes the state node; the peer's watch wakes it. */
static void shut(struct end *me, const struct end *peer)
{
    shared_access(SHARED_CALL, NULL, 0, 0);
    me->shut = true;
    fake_wake(peer->port);
}

/* ---- the scripts ---- */

static void write_and_leave(struct end *me, struct end *peer)
{
    (void)peer;
    put(me, play.script->to_second, 100, false);
    leave(me);
}

/* In parts: a stream shows a long piece bit by bit. */
static void stream_and_leave(struct end *me, struct end *peer)
{
    (void)peer;
    put(me, play.script->to_second, 1u << 15, false);
    leave(me);
}

static void fill_and_leave(struct end *me, struct end *peer)
{
    (void)peer;
    put(me, play.script->to_second, 512, true);
    leave(me);
}

static void read_to_the_end(struct end *me, struct end *peer)
{
    (void)peer;
    get_all(me, 700);
    leave(me);
}

static void read_little_by_little(struct end *me, struct end *peer)
{
    (void)peer;
    get_all(me, 300);
    leave(me);
}

static void read_looking(struct end *me, struct end *peer)
{
    (void)peer;
    get_looking(me, UINT32_MAX, 300);
    leave(me);
}

static void read_some_and_leave(struct end *me, struct end *peer)
{
    (void)peer;
    get(me, 512, 512, false);
    leave(me);
}

static void read_whole_and_leave(struct end *me, struct end *peer)
{
    (void)peer;
    get(me, play.script->to_second, 768, true);
    leave(me);
}

static void write_back_then_read(struct end *me, struct end *peer)
{
    (void)peer;
    put(me, 100, 100, false);
    get_all(me, 700);
    leave(me);
}

static void leave_at_once(struct end *me, struct end *peer)
{
    (void)peer;
    leave(me);
}

static void write_until_refused(struct end *me, struct end *peer)
{
    (void)peer;
    if (put(me, UINT32_MAX, 1024, false))
        steps_fault("wrote to nobody");
    leave(me);
}

static void ask_twice(struct end *me, struct end *peer)
{
    (void)peer;
    for (uint32_t i = 1; i <= 2; i++)
        if (!put(me, i * 100, 100, false) || !get(me, i * 100, 100, true))
            break;
    leave(me);
}

static void answer(struct end *me, struct end *peer)
{
    (void)peer;
    while (get(me, me->sent + 100, 100, true) && put(me, me->got, 100, true))
        ;
    leave(me);
}

/* Both would wait for ever if either read without publishing that before it waits for room. */
static void overfill_then_read(struct end *me, struct end *peer)
{
    (void)peer;
    if (put(me, play.script->to_second, 1024, true))
        get(me, play.script->to_first, 2048, false);
    leave(me);
}

static void read_some_then_overfill(struct end *me, struct end *peer)
{
    (void)peer;
    if (get(me, 300, 300, false) && put(me, play.script->to_first, 2048, true))
        get(me, play.script->to_second, 1024, false);
    leave(me);
}

static void write_then_shut(struct end *me, struct end *peer)
{
    put(me, play.script->to_second, 100, false);
    shut(me, peer);
    get_all(me, 700);
    leave(me);
}

static void read_till_shut_then_write(struct end *me, struct end *peer)
{
    ssize_t rc;

    do {
        begin_again(me, 5);
        if (peer->shut)
            channel_set_ended(me->channel);
        steps_saw(peer->shut);
        rc = get_piece(me, 700, false);
    } while (rc > 0 || (rc == -EAGAIN && steps_wait(me->port)));
    put(me, 100, 100, false);
    leave(me);
}

/* ---- a relay at the reader's ---- */

static void take_from_pipe(struct end *me)
{
    ssize_t got;

    while ((got = read(play.pipe[0], me->buffer, BUFFER_SIZE)) > 0)
        check_bytes(me, me->buffer, (size_t)got);
}

/* Without the channel, whose address may differ in each run. */
static uint64_t relay_knows(const struct relay *relay)
{
    struct relay without = *relay;

    without.channel = NULL;
    return steps_hash(6, &without, sizeof(without));
}

static void relay_to_the_end(struct end *me, struct end *peer)
{
    struct relay relay;
    unsigned int wait;

    (void)peer;
    relay_init(&relay, me->channel, -1, play.pipe[1]);
    do {
        begin_again(me, relay_knows(&relay));
        wait = relay_step(&relay);
        take_from_pipe(me);
    } while (!relay.sink_done && (wait != 0 || steps_wait(me->port)));
    if (relay.ring_error || relay.sink_error)
        steps_fault("relay: %d, %d", relay.ring_error, relay.sink_error);
    leave(me);
}

/* The sink takes nothing more until the writer has written everything. */
static void relay_to_a_slow_sink(struct end *me, struct end *peer)
{
    struct relay relay;
    bool goes_on = true;

    relay_init(&relay, me->channel, -1, play.pipe[1]);
    while (goes_on) {
        unsigned int wait;

        begin_again(me, relay_knows(&relay));
        wait = relay_step(&relay);
        steps_saw(peer->shut);
        if (peer->shut && (wait & RELAY_SINK))
            take_from_pipe(me);
        else
            goes_on = !relay.sink_done && steps_wait(me->port);
    }
    take_from_pipe(me);
    leave(me);
}

/* A sink that takes 300 bytes and then breaks. */
static ssize_t deliver_little(struct relay *relay, unsigned int *wait)
{
    struct end *me = relay->way->arg;
    struct ring_span spans[2];

    if (me->got == 0 && channel_readable(relay->channel, 300) < 300)
        return -1;
    if (me->got > 0) {
        errno = EPIPE;
        return relay_sink_failed(relay, wait);
    }
    channel_peek(relay->channel, 300, spans);
    check_bytes(me, spans[0].base, 300);
    channel_consume(relay->channel, 300);
    channel_record(relay->channel);
    return 300;
}

/* The rest is left for the next sink, which may never come. */
static void relay_to_a_sink_that_breaks(struct end *me, struct end *peer)
{
    const struct relay_way way = {.deliver = deliver_little, .arg = me};
    struct relay relay;

    relay_init(&relay, me->channel, -1, play.pipe[1]);
    relay.way = &way;
    do {
        begin_again(me, relay_knows(&relay));
        relay_step(&relay);
        steps_saw(peer->shut);
    } while (!peer->shut && steps_wait(me->port));
    leave(me);
}

static void fill_then_shut_and_leave(struct end *me, struct end *peer)
{
    if (put(me, play.script->to_second, 1u << 14, true))
        shut(me, peer);
    leave(me);
}

static void overfill_then_shut_and_leave(struct end *me, struct end *peer)
{
    if (put(me, 1024, 1024, true) && put(me, 1224, 200, true))
        shut(me, peer);
    leave(me);
}

static const struct script scripts[] = {
    {"write, then close", write_and_leave, read_to_the_end, 10, false, 300, 0},
    {"the same, looking", write_and_leave, read_looking, 10, false, 200, 0},
    {"write while the client comes", write_and_leave, read_to_the_end, 10, true, 200, 0},
    {"close while full", fill_and_leave, read_to_the_end, 10, false, 1024, 0},
    {"the same, in parts", stream_and_leave, read_to_the_end, 10, false, 700, 0},
    {"wait for room, then close", fill_and_leave, read_to_the_end, 10, false, 1536, 0},
    {"the same, little by little", fill_and_leave, read_little_by_little, 10, false, 1536, 0},
    {"the same, looking", fill_and_leave, read_looking, 10, false, 1536, 0},
    {"all or nothing", fill_and_leave, read_whole_and_leave, 10, false, 1536, 0},
    {"both write, both close", write_and_leave, write_back_then_read, 10, false, 100, 0},
    {"both close", leave_at_once, leave_at_once, 10, false, 0, 0},
    {"the reader closes a full ring", write_until_refused, read_some_and_leave, 10, false, 512, 0},
    {"question and answer", ask_twice, answer, 10, false, 200, 200},
    {"both rings full", overfill_then_read, read_some_then_overfill, 10, false, 1124, 2148},
    {"half-close", write_then_shut, read_till_shut_then_write, 10, false, 200, 100},
    {"a relay reads", overfill_then_read, relay_to_the_end, 10, false, 1124, 0},
    {"a relay whose sink is full", fill_then_shut_and_leave, relay_to_a_slow_sink, 14, false, 16385,
     0},
    {"a relay whose sink breaks", overfill_then_shut_and_leave, relay_to_a_sink_that_breaks, 10,
     false, 300, 0},
};

/* ---- a run ---- */

static void ignore_signal(struct channel *channel, void *arg)
{
    (void)channel, (void)arg;
}

static const struct channel_owner nobody = {.fired = ignore_signal};

static bool join(void)
{
    struct end *client = &play.ends[CLIENT];
    struct channel *server = play.ends[SERVER].channel;

    /* without a server there is nothing to join */
    if (!server || channel_join(client->xen, 1, play.page_ref, play.ends[SERVER].port, NULL,
                                nobody, &client->channel) < 0)
        return false;
    client->port = channel_port(client->channel);
    return true;
}

static void begin(void)
{
    struct end *server = &play.ends[SERVER];
    bool left_first = play.first == CLIENT; /* left is written by the client */
    unsigned int order = play.script->order, other = order < 12 ? 11 : order;
    struct ring_orders orders = {.read = (uint16_t)(left_first ? order : other),
                                 .write = (uint16_t)(left_first ? other : order)};
    uint64_t ignored = 0;

    fake_reset();
    for (unsigned int i = 0; i < 2; i++)
        play.ends[i] = (struct end){.xen = play.ends[i].xen, .buffer = buffers[i]};
    while (read(play.pipe[0], buffers[0], BUFFER_SIZE) > 0)
        ignored++;
    if (channel_serve(server->xen, 1, &orders, nobody, &server->channel) < 0)
        abort();
    server->port = channel_port(server->channel);
    play.page_ref = channel_ring_ref(server->channel);
    play.page = fake_page(play.page_ref);
    if (!play.script->joins && !join())
        abort();
    for (unsigned int i = 0; i < 2; i++)
        fake_take(
            play.ends[i].port); /* so that no early signal hides a missing one */
}

static void run(unsigned int side)
{
    struct end *me = &play.ends[side], *peer = &play.ends[1 - side];

    if (side == CLIENT && play.script->joins && !join())
        return;
    if (side == play.first)
        play.script->first(me, peer);
    else
        play.script->second(me, peer);
}

static void run_server(void)
{
    run(SERVER);
}

static void run_client(void)
{
    run(CLIENT);
}

static void check_arrived(const struct end *from, const struct end *to, uint32_t wanted)
{
    if (from->sent < wanted)
        steps_fault("%u bytes of %u were sent", from->sent, wanted);
    else if (to->got < wanted)
        steps_fault("%u bytes were lost of %u", wanted - to->got, wanted);
}

static void end(void)
{
    struct end *first = &play.ends[play.first], *second = &play.ends[1 - play.first];

    if (!play.script->joins || second->port != 0) {
        check_arrived(first, second, play.script->to_second);
        check_arrived(second, first, play.script->to_first);
    }
    if (fake_held() != 0)
        steps_fault("%u things are not given back", fake_held());
}

static uint8_t *fields(void)
{
    return play.page;
}

/* ---- all of it ---- */

static double explore(const struct script *script, unsigned int first, bool forgets_nothing)
{
    static struct steps_result result;
    struct steps_scenario scenario = {
        script->name, begin, {run_server, run_client}, end, fields, forgets_nothing,
    };

    play.script = script;
    play.first = first;
    steps_explore(&scenario, &result);
    printf("%-30s %s first: %6lu states, %6lu runs stand for %.3g schedules\n", script->name,
           first == SERVER ? "server" : "client", result.states, result.runs, result.schedules);
    if (!result.fault[0])
        return result.schedules;
    printf("%s: broken rule: %s\n%s", script->name, result.fault, result.trace);
    return 0;
}

/* Checks that skipping known states skips no schedule. */
static bool check_method(void)
{
    static const struct script script = {
        "the method", write_and_leave, read_to_the_end, 10, false, 100, 0,
    };
    double schedules = explore(&script, SERVER, true);

    return schedules > 0 && explore(&script, SERVER, false) == schedules;
}

/* `steps-close [SCRIPT]`: runs all scripts, or the one named. */
int main(int argc, char **argv)
{
    unsigned int explored = 0;
    bool good;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pipe2(play.pipe, O_NONBLOCK | O_CLOEXEC) < 0 ||
        fcntl(play.pipe[1], F_SETPIPE_SZ, 4096) < 0) {
        perror("steps-close: pipe");
        return 99;
    }
    for (unsigned int i = 0; i < 2; i++)
        play.ends[i].xen = fake_xen_make();
    good = check_method();
    for (size_t i = 0; good && i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        if (argc > 1 && strcmp(argv[1], scripts[i].name) != 0)
            continue;
        explored++;
        for (unsigned int first = 0; good && first < 2; first++)
            good = explore(&scripts[i], first, false) > 0;
    }
    for (unsigned int i = 0; i < 2; i++)
        fake_xen_free(play.ends[i].xen);
    return good && explored > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
