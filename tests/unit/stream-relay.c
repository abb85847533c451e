/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay of streams, in one process: a relay at each end of a channel, and programs behind
 * sockets. The test owns both relays. It runs them until nothing is due, and only when a socket or
 * the peer's signal says so: a wake-up that is missing is a test that stands still.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/check-main.h"
#include "tests/lib/fake-xen.h"
#include "vchan/stream-relay.h"

#define PROGRAMS 160u
#define ROUNDS   200000u /* of both sides, until they must be quiet */
#define PIECE    16384u

/* What a side does when the peer opens a stream. */
enum answer { ACCEPTS, ECHOES, REFUSES, WAITS };

struct side {
    const char *name;
    bool backend;
    struct xen *xen;
    struct channel *channel;
    struct stream_relay relay;
    int epoll;
    bool due;   /* a step is due, whatever the sockets and the peer say */
    bool still; /* the test plays this side from now on */
    enum answer answer;
    enum stream_reason refusal;
    bool reconnects;           /* opens a stream whenever one ends */
    bool sinks_are_small;      /* so that they take parts of a write */
    struct program *latest;    /* the program of the last stream that was accepted */
    struct stream_end *asking; /* WAITS: the last stream that was asked for */
    unsigned int asked, ended;
    enum stream_reason reason; /* of the last that ended */
};

/* What is behind a stream: its bytes are known, so the other program can check them. */
struct program {
    struct side *side;
    struct stream_end *end; /* NULL: has ended */
    int fd;                 /* the program's socket */
    int plug;               /* the relay's */
    uint32_t seed;          /* of what it writes */
    uint32_t expects;       /* the seed of what it reads */
    uint32_t to_write, written;
    uint32_t to_read, read;
    bool at_end; /* it has read the end, or its socket was reset */
    bool ended;
    enum stream_reason reason;
};

/* The two programs of a stream. */
struct pair {
    struct program *near; /* the opener's */
    struct program *far;
};

static struct side server, client;
static struct program programs[PROGRAMS];
static unsigned int program_count;
static uint32_t last_seed;

uint32_t shared_access(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                       uint32_t value)
{
    return shared_perform(kind, pointer, size, value);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct side *other_side(const struct side *side)
{
    return side == &server ? &client : &server;
}

/* ---- programs ---- */

static struct program *make_program(struct side *side)
{
    struct program *program = &programs[program_count++];
    int sockets[2], small = 1;

    ck_assert_uint_le(program_count, PROGRAMS);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
    if (side->sinks_are_small)
        setsockopt(sockets[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    *program =
        (struct program){.side = side, .fd = sockets[0], .plug = sockets[1], .seed = ++last_seed};
    return program;
}

static void close_program(struct program *program)
{
    if (program->fd >= 0)
        close(program->fd);
    program->fd = -1;
}

/* All have ended: their places are used again. */
static void forget_programs(void)
{
    for (unsigned int i = 0; i < program_count; i++) {
        close_program(&programs[i]);
        if (programs[i].plug >= 0)
            close(programs[i].plug);
    }
    program_count = 0;
}

static void fill_piece(uint8_t *data, uint32_t seed, uint32_t at, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++, at++)
        data[i] = (uint8_t)(seed * 89 + at * 7 + at / 251);
}

/* Writes at most that many bytes. Returns how many its socket takes. */
static uint32_t write_as_program(struct program *program, uint32_t most)
{
    uint8_t data[PIECE];
    uint32_t done = 0;
    ssize_t sent = 1;

    while (done < most && sent > 0) {
        uint32_t length = least(most - done, PIECE);

        fill_piece(data, program->seed, program->written, length);
        sent = send(program->fd, data, length, MSG_NOSIGNAL);
        done += sent > 0 ? (uint32_t)sent : 0;
        program->written += sent > 0 ? (uint32_t)sent : 0;
    }
    return done;
}

static void check_piece(struct program *program, const uint8_t *data, uint32_t length)
{
    uint8_t right[PIECE];

    fill_piece(right, program->expects, program->read, length);
    if (memcmp(data, right, length) != 0)
        ck_abort_msg("%s: of the %u bytes after %u, one is wrong", program->side->name, length,
                     program->read);
    program->read += length;
}

/* Reads at most that many bytes, and checks them. Returns how many there were. */
static uint32_t read_as_program(struct program *program, uint32_t most)
{
    uint8_t data[PIECE];
    uint32_t done = 0;
    ssize_t got = 1;

    while (done < most && got > 0) {
        got = recv(program->fd, data, least(most - done, PIECE), 0);
        if (got > 0)
            check_piece(program, data, (uint32_t)got);
        done += got > 0 ? (uint32_t)got : 0;
        program->at_end |= got == 0 || (got < 0 && errno == ECONNRESET);
    }
    return done;
}

/* ---- the owner of a relay ---- */

static void watch_program(struct program *program)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = program};

    ck_assert_int_eq(epoll_ctl(program->side->epoll, EPOLL_CTL_ADD, program->plug, &event), 0);
}

static void bind_program(struct program *program, struct stream_end *end)
{
    program->end = end;
    end->user = program;
    program->side->due = true;
    watch_program(program);
}

/* Opens a stream. Returns NULL if there is no room. */
static struct program *connect_program(struct side *side)
{
    struct program *program = make_program(side);
    struct stream_end *end;
    int rc = stream_relay_connect(&side->relay, program->plug, program->plug, &end);

    if (rc == 0) {
        bind_program(program, end);
        return program;
    }
    ck_assert_int_eq(rc, -EAGAIN);
    close(program->plug);
    close(program->fd);
    program_count--;
    return NULL;
}

static void accept_asked(struct side *side, struct stream_end *end)
{
    side->latest = make_program(side);
    stream_relay_accept(&side->relay, end, side->latest->plug, side->latest->plug);
    bind_program(side->latest, end);
}

static void owner_asked(void *arg, struct stream_end *end)
{
    struct side *side = arg;

    ck_assert(end->in_use && !end->ours);
    side->asked++;
    if (side->answer == ACCEPTS)
        accept_asked(side, end);
    else if (side->answer == ECHOES)
        stream_relay_echo(&side->relay, end);
    else if (side->answer == REFUSES)
        stream_relay_refuse(&side->relay, end, side->refusal);
    else
        side->asking = end;
}

static void owner_ended(void *arg, struct stream_end *end)
{
    struct side *side = arg;
    struct program *program = end->user;

    ck_assert(end->in_use && end->slot == STREAMS_NO_SLOT);
    side->ended++;
    side->reason = end->reason;
    if (program) {
        ck_assert(program->end == end && !program->ended);
        close(program->plug);
        program->plug = -1;
        program->end = NULL;
        program->ended = true;
        program->reason = end->reason;
    }
    if (side->reconnects)
        connect_program(side);
}

static const struct stream_relay_ops owner_ops = {.asked = owner_asked, .ended = owner_ended};

static bool serve_sockets(struct side *side)
{
    struct epoll_event event;
    bool any = false;

    while (epoll_wait(side->epoll, &event, 1, 0) == 1) {
        struct program *program = event.data.ptr;

        any = true;
        if (event.events & ~(uint32_t)EPOLLOUT)
            stream_relay_readable(&side->relay, program->end);
        if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            stream_relay_writable(&side->relay, program->end);
    }
    return any;
}

/* What holds after each step: the relay's counts, and that no peer stores more than its credit. */
static void check_stream_relay(const struct stream_relay *relay)
{
    uint64_t stored = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < relay->streams.most; i++) {
        const struct stream_end *end = &relay->ends[i];

        count += end->in_use;
        stored += end->in_use ? end->store.length : 0;
        if (end->in_use && end->store.length > relay->streams.first_credit)
            ck_abort_msg("%u bytes are stored", end->store.length);
    }
    if (count != relay->count || stored != relay->stored)
        ck_abort_msg("%u ends of %u, %u bytes of %u", relay->count, count,
                     (unsigned int)relay->stored, (unsigned int)stored);
}

/* Returns whether there was something to do. */
static bool run_stream_side(struct side *side)
{
    bool due = side->due;

    if (side->still || !side->relay.channel)
        return false;
    due |= serve_sockets(side);
    due |= fake_take(channel_port(side->channel));
    if (!due)
        return false;
    side->due = stream_relay_step(&side->relay);
    check_stream_relay(&side->relay);
    return true;
}

static void run_both(void)
{
    for (unsigned int round = 0; round < ROUNDS; round++) {
        bool server_runs = run_stream_side(&server), client_runs = run_stream_side(&client);

        if (!server_runs && !client_runs)
            return;
    }
    ck_abort_msg("after %u rounds the relays are not quiet", ROUNDS);
}

/* ---- two sides ---- */

static void setup_sides(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the owner must */
    fake_reset();
    server = (struct side){.name = "server", .xen = fake_xen_make(), .epoll = epoll_create1(0)};
    client = (struct side){
        .name = "client", .backend = true, .xen = fake_xen_make(), .epoll = epoll_create1(0)};
    program_count = 0;
    last_seed = 0;
}

static void clear_side(struct side *side)
{
    side->reconnects = false;
    stream_relay_close(&side->relay);
    channel_close(side->channel);
    fake_xen_free(side->xen);
    close(side->epoll);
}

static void clear_sides(void)
{
    clear_side(&client);
    clear_side(&server);
    forget_programs();
}

static void fired_channel(struct channel *fired, void *arg)
{
    (void)fired, (void)arg;
}

static void join_sides(struct ring_orders orders)
{
    const struct channel_owner nobody = {.fired = fired_channel};

    ck_assert_int_eq(channel_serve(server.xen, 1, &orders, nobody, &server.channel), 0);
    ck_assert_int_eq(channel_join(client.xen, 1, channel_ring_ref(server.channel),
                                  channel_port(server.channel), NULL, nobody, &client.channel),
                     0);
}

static void open_relay(struct side *side, uint32_t most, bool restarts)
{
    ck_assert_int_eq(stream_relay_open(&side->relay, side->channel, most, side->backend, restarts,
                                       &owner_ops, side),
                     0);
    side->due = true;
}

/* A channel for that many streams, with rings of these orders as the server sees them. */
static void begin_streams(uint32_t most, uint16_t read, uint16_t write)
{
    join_sides((struct ring_orders){.read = read, .write = write});
    open_relay(&server, most, false);
    open_relay(&client, most, false);
}

/* Opens a stream from that side, which the other accepts. */
static struct pair open_pair(struct side *side)
{
    struct side *other = other_side(side);
    struct pair pair = {.near = connect_program(side)};
    unsigned int asked = other->asked;

    ck_assert_ptr_nonnull(pair.near);
    run_both();
    ck_assert_msg(other->asked == asked + 1, "the %s's stream does not come to the other side",
                  side->name);
    pair.far = other->latest;
    pair.near->expects = pair.far->seed;
    pair.far->expects = pair.near->seed;
    ck_assert(!pair.near->ended && !pair.far->ended);
    return pair;
}

static void want_bytes(struct program *from, struct program *to, uint32_t bytes)
{
    from->to_write += bytes;
    to->to_read += bytes;
}

static struct program *find_waiting(void)
{
    for (unsigned int i = 0; i < program_count; i++)
        if (programs[i].written < programs[i].to_write || programs[i].read < programs[i].to_read)
            return &programs[i];
    return NULL;
}

/* Each program writes and reads what it can, once. Returns how many bytes that was. */
static uint32_t move_some(void)
{
    uint32_t moved = 0;

    for (unsigned int i = 0; i < program_count; i++)
        moved += write_as_program(&programs[i], programs[i].to_write - programs[i].written);
    run_both();
    for (unsigned int i = 0; i < program_count; i++)
        moved += read_as_program(&programs[i], programs[i].to_read - programs[i].read);
    run_both();
    return moved;
}

/* All programs write and read what they shall, however often they must. */
static void move_all(void)
{
    struct program *waiting;

    while ((waiting = find_waiting()) != NULL)
        if (move_some() == 0 && find_waiting() == waiting)
            ck_abort_msg("it stands still: the %s's program %u wrote %u of %u bytes and read %u of "
                         "%u; server %u streams, %u stored; client %u, %u",
                         waiting->side->name, (unsigned int)(waiting - programs), waiting->written,
                         waiting->to_write, waiting->read, waiting->to_read, server.relay.count,
                         (unsigned int)server.relay.stored, client.relay.count,
                         (unsigned int)client.relay.stored);
}

/* Moves bytes out from the opener, and back. */
static void carry(struct pair pair, uint32_t out, uint32_t back)
{
    want_bytes(pair.near, pair.far, out);
    want_bytes(pair.far, pair.near, back);
    move_all();
}

static void finish_program(struct program *program)
{
    ck_assert_int_eq(shutdown(program->fd, SHUT_WR), 0);
    run_both();
}

/* It has read all, and now reads the end. */
static void check_end_of(struct program *program)
{
    ck_assert_uint_eq(read_as_program(program, PIECE), 0);
    ck_assert_msg(program->at_end, "the %s's program does not read the end", program->side->name);
}

static void check_ended(const struct program *program, enum stream_reason reason)
{
    ck_assert_msg(program->ended, "the %s's stream has not ended", program->side->name);
    ck_assert_msg(program->reason == reason, "the %s's stream ended with %u instead of %u",
                  program->side->name, program->reason, reason);
}

static void check_pair_ended(struct pair pair, enum stream_reason reason)
{
    check_ended(pair.near, reason);
    check_ended(pair.far, reason);
}

static void end_pair(struct pair pair)
{
    finish_program(pair.near);
    check_end_of(pair.far);
    finish_program(pair.far);
    check_end_of(pair.near);
    check_pair_ended(pair, 0);
}

/* A stream from either side still works. */
static void check_new_streams(void)
{
    struct pair pairs[] = {open_pair(&server), open_pair(&client)};

    for (unsigned int i = 0; i < 2; i++) {
        carry(pairs[i], 20001, 10001);
        end_pair(pairs[i]);
    }
}

/* Nothing is left on either side. */
static void check_empty(const struct side *side)
{
    ck_assert_uint_eq(side->relay.count, 0);
    ck_assert_uint_eq(side->relay.stored, 0);
    ck_assert_uint_eq(side->relay.streams.open, 0);
    ck_assert_uint_eq(side->relay.streams.in_use, 0);
}

/* Writes until nothing is taken any more; the other program reads nothing. */
static void write_until_full(struct program *program)
{
    while (write_as_program(program, PIECE) > 0)
        run_both();
}

/* ---- a side that the test plays ---- */

static uint32_t number_of(uint32_t side, uint32_t place, uint32_t generation)
{
    return side | place << 1 | generation << 13;
}

static void send_raw(const void *data, uint32_t bytes)
{
    ck_assert_int_eq(channel_write(client.channel, data, bytes, bytes), bytes);
}

static void send_header(uint8_t type, uint32_t value, uint32_t number)
{
    uint8_t header[STREAMS_HEADER];

    stream_frame_pack((struct stream_frame){type, value, number}, header);
    send_raw(header, sizeof(header));
}

/* DATA with that many zeros, in one write. */
static void send_zeros(uint32_t bytes, uint32_t number)
{
    static uint8_t data[65536];

    stream_frame_pack((struct stream_frame){STREAM_FRAME_DATA, bytes, number}, data);
    send_raw(data, STREAMS_HEADER + bytes);
}

/* Returns the next frame of the other side, without its payload; type 0: there is none. */
static struct stream_frame read_raw_frame(struct side *side, uint8_t *payload)
{
    uint8_t header[STREAMS_HEADER];
    struct stream_frame frame;
    ssize_t rc = channel_read(side->channel, header, sizeof(header), sizeof(header));

    if (rc == -EAGAIN)
        return (struct stream_frame){0};
    ck_assert_int_eq(rc, STREAMS_HEADER);
    frame = stream_frame_unpack(header);
    if (frame.type == STREAM_FRAME_DATA)
        ck_assert_int_eq(channel_read(side->channel, payload, frame.value, frame.value),
                         frame.value);
    return frame;
}

static void expect_frame(uint8_t type, uint32_t value, uint32_t number)
{
    static uint8_t payload[65536];
    struct stream_frame frame = read_raw_frame(&client, payload);

    ck_assert_uint_eq(frame.type, type);
    ck_assert_uint_eq(frame.value, value);
    ck_assert_uint_eq(frame.number, number);
}

/* Both sides are quiet; from now on the test writes and reads frames as the client. */
static void play_client(void)
{
    run_both();
    client.still = true;
    ck_assert_int_eq(channel_readable(client.channel, 1), -EAGAIN);
}

/* ---- bytes ---- */

static const struct ring_orders rings[] = {{10, 11}, {11, 10}, {12, 12}, {12, 15},
                                           {14, 14}, {16, 16}, {20, 20}};
#define RINGS (int)(sizeof(rings) / sizeof(rings[0]))

START_TEST(a_stream_carries_bytes_both_ways)
{
    struct pair pairs[2];

    begin_streams(4, rings[_i].read, rings[_i].write);
    pairs[0] = open_pair(&client);
    carry(pairs[0], 300001, 200003);
    pairs[1] = open_pair(&server);
    carry(pairs[1], 100005, 0);
    carry(pairs[1], 0, 300007);
    end_pair(pairs[0]);
    end_pair(pairs[1]);
    check_empty(&server);
    check_empty(&client);
    ck_assert_uint_eq(server.relay.streams.opened, 2);
    ck_assert_uint_eq(client.relay.streams.opened, 2);
    ck_assert_uint_eq(server.relay.streams.reset + client.relay.streams.reset, 0);
}
END_TEST

/* Moves the index of the ring that this side reads. */
static void shift_ring(struct side *reader, uint32_t bytes)
{
    uint8_t data[2048] = {0};
    struct channel *writer = other_side(reader)->channel;

    ck_assert_int_eq(channel_write(writer, data, bytes, bytes), bytes);
    ck_assert_int_eq(channel_read(reader->channel, data, bytes, bytes), bytes);
    channel_publish(reader->channel);
}

/* The first frame is at the last bytes of each ring, and later ones end wherever it may be. */
START_TEST(a_frame_may_lie_across_the_end_of_the_ring)
{
    struct pair pair;

    join_sides((struct ring_orders){.read = 10, .write = 11});
    shift_ring(&server, 1024 - (uint32_t)_i);
    shift_ring(&client, 2048 - (uint32_t)_i);
    open_relay(&server, 4, false);
    open_relay(&client, 4, false);
    pair = open_pair(_i % 2 ? &server : &client);
    for (uint32_t bytes = 1; bytes < 64; bytes++)
        carry(pair, bytes, 64 - bytes);
    carry(pair, 20011, 20013);
    end_pair(pair);
}
END_TEST

/* A stream over a channel for few, again and again: nothing is left of the ones before. */
START_TEST(a_thousand_streams_follow_one_another)
{
    begin_streams(4, 16, 16);
    for (unsigned int i = 0; i < 1000; i++) {
        struct pair pair = open_pair(i % 3 ? &client : &server);

        carry(pair, 1 + i, 1000 - i);
        end_pair(pair);
        forget_programs();
        check_empty(&server);
        check_empty(&client);
    }
    ck_assert_uint_eq(server.relay.streams.opened, 1000);
    ck_assert_uint_eq(client.relay.streams.opened, 1000);
    ck_assert_uint_eq(server.ended, 1000);
    ck_assert_uint_eq(client.ended, 1000);
}
END_TEST

START_TEST(sixty_four_streams_are_open_at_once)
{
    struct pair pairs[64];

    begin_streams(64, rings[_i].read, rings[_i].write);
    for (uint32_t i = 0; i < 64; i++) {
        pairs[i] = open_pair(i % 2 ? &client : &server);
        want_bytes(pairs[i].near, pairs[i].far, 1 + i * 997);
        want_bytes(pairs[i].far, pairs[i].near, 63000 - i * 991);
    }
    ck_assert_uint_eq(server.relay.count, 64);
    ck_assert_ptr_null(connect_program(&server));
    ck_assert_ptr_null(connect_program(&client));
    move_all();
    for (unsigned int i = 0; i < 64; i++)
        end_pair(pairs[i * 7 % 64]);
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* A stream may read from one descriptor, and write to another. */
START_TEST(source_and_sink_may_differ)
{
    struct program *source, *sink, *far;
    struct stream_end *end;

    begin_streams(4, 16, 16);
    source = make_program(&server);
    sink = make_program(&server);
    ck_assert_int_eq(stream_relay_connect(&server.relay, source->plug, sink->plug, &end), 0);
    bind_program(source, end);
    bind_program(sink, end);
    run_both();
    far = client.latest;
    far->expects = source->seed;
    sink->expects = far->seed;
    want_bytes(source, far, 50000);
    want_bytes(far, sink, 60000);
    move_all();
    finish_program(source);
    check_end_of(far);
    finish_program(far);
    check_end_of(sink);
    check_ended(far, 0);
    ck_assert_uint_eq(server.ended, 1);
    check_ended(sink, 0);
}
END_TEST

/* Sockets with little room take a part of what is written, and the rest later. */
START_TEST(a_sink_may_take_a_part)
{
    struct pair pair;

    server.sinks_are_small = client.sinks_are_small = true;
    begin_streams(4, 16, 16);
    pair = open_pair(_i ? &server : &client);
    carry(pair, 100000, 0);
    carry(pair, 0, 100000);
    carry(pair, 100000, 100000);
    end_pair(pair);
}
END_TEST

/* ---- half-close ---- */

/* Bit 0: who opens; 1: who finishes first; 2: the second finishes before it reads what came. */
START_TEST(either_side_finishes_first)
{
    struct pair pair, turned;

    begin_streams(4, 16, 16);
    pair = open_pair(_i & 1 ? &server : &client);
    turned = _i & 2 ? pair : (struct pair){.near = pair.far, .far = pair.near};
    turned.near->to_write = 400000;
    move_all();
    finish_program(turned.near);
    ck_assert_uint_gt(turned.far->side->relay.stored, 0); /* the other program has not read yet */
    carry(turned, 0, 300000);
    if (_i & 4)
        finish_program(turned.far);
    ck_assert(!turned.far->ended);
    turned.far->to_read = 400000;
    move_all();
    check_end_of(turned.far);
    ck_assert_uint_eq(turned.far->side->relay.stored, 0);
    if (!(_i & 4))
        finish_program(turned.far);
    check_end_of(turned.near);
    check_pair_ended(turned, 0);
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* Nothing was sent at all. */
START_TEST(an_empty_stream_ends_well)
{
    begin_streams(4, 16, 16);
    end_pair(open_pair(_i ? &server : &client));
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* A program may write and finish before the other side has answered. */
START_TEST(what_is_written_early_is_not_lost)
{
    struct program *near;

    begin_streams(4, 16, 16);
    server.answer = WAITS;
    near = connect_program(&client);
    ck_assert_uint_eq(write_as_program(near, 5000), 5000);
    finish_program(near);
    ck_assert_ptr_nonnull(server.asking);
    accept_asked(&server, server.asking);
    server.latest->expects = near->seed;
    server.latest->to_read = 5000;
    move_all();
    check_end_of(server.latest);
    finish_program(server.latest);
    check_ended(near, 0);
    check_ended(server.latest, 0);
}
END_TEST

/* ---- refusal, limits ---- */

static const int reason_errors[STREAM_REASONS] = {
    0, -ECONNREFUSED, -EAGAIN, -ECONNRESET, -ECONNRESET, -EPROTO, -ECONNRESET, -EACCES};

/* At once, or later. */
START_TEST(a_refusal_has_its_reason)
{
    struct side *opener = _i % 2 ? &client : &server, *other = other_side(opener);
    enum stream_reason reason = (enum stream_reason)(1 + _i / 4);
    struct program *program;

    begin_streams(4, 16, 16);
    other->answer = _i & 2 ? WAITS : REFUSES;
    other->refusal = reason;
    program = connect_program(opener);
    write_as_program(program, 1000);
    run_both();
    if (_i & 2) {
        ck_assert(!program->ended);
        stream_relay_refuse(&other->relay, other->asking, reason);
        other->due = true;
        run_both();
    }
    check_ended(program, reason);
    ck_assert_int_eq(stream_reason_error(program->reason), reason_errors[reason]);
    ck_assert_uint_eq(other->ended, 0);
    ck_assert_uint_eq(server.relay.streams.refused, 1);
    ck_assert_uint_eq(client.relay.streams.refused, 1);
    check_empty(&server);
    check_empty(&client);
    other->answer = ACCEPTS;
    check_new_streams();
}
END_TEST

START_TEST(no_more_streams_are_opened_than_declared)
{
    struct pair pairs[2];

    begin_streams(2, 16, 16);
    pairs[0] = open_pair(&client);
    pairs[1] = open_pair(_i ? &client : &server);
    ck_assert_ptr_null(connect_program(&client));
    ck_assert_ptr_null(connect_program(&server));
    carry(pairs[0], 1000, 1000);
    end_pair(pairs[0]);
    pairs[0] = open_pair(&server);
    carry(pairs[0], 1000, 1000);
    carry(pairs[1], 1000, 1000);
}
END_TEST

START_TEST(both_sides_may_open_the_last_one)
{
    struct pair pair;
    struct program *last[2];

    begin_streams(2, 16, 16);
    pair = open_pair(&client);
    last[0] = connect_program(&server);
    last[1] = connect_program(&client);
    run_both();
    check_ended(last[0], STREAM_LIMIT);
    check_ended(last[1], STREAM_LIMIT);
    ck_assert_uint_eq(server.asked + client.asked, 1);
    carry(pair, 1000, 1000);
    carry(open_pair(&server), 1000, 1000);
}
END_TEST

/* A stream that has ended without having been read: pair.far has that many bytes to read. */
static struct pair end_unread(struct side *side, uint32_t bytes)
{
    struct pair pair = open_pair(side);

    pair.near->to_write = bytes;
    move_all();
    finish_program(pair.near);
    finish_program(pair.far);
    check_ended(pair.near, 0);
    ck_assert(!pair.far->ended);
    ck_assert_uint_eq(pair.far->end->slot, STREAMS_NO_SLOT);
    return pair;
}

static void read_at_last(struct pair pair)
{
    pair.far->to_read = pair.near->written;
    move_all();
    check_end_of(pair.far);
    check_ended(pair.far, 0);
}

/* Each end is taken by a stream that has ended and is not delivered: the peer's is refused. */
START_TEST(a_stream_without_a_free_end_is_refused)
{
    struct pair old[2];
    struct program *program;

    begin_streams(2, 16, 16);
    old[0] = end_unread(&client, 400000);
    old[1] = end_unread(&client, 300000);
    ck_assert_uint_eq(server.relay.streams.open, 0);
    program = connect_program(&client);
    run_both();
    check_ended(program, STREAM_LIMIT);
    ck_assert_uint_eq(server.asked, 2);
    ck_assert_ptr_null(connect_program(&server));
    read_at_last(old[1]);
    carry(open_pair(&client), 1000, 1000);
    ck_assert_ptr_null(connect_program(&server));
    read_at_last(old[0]);
    carry(open_pair(&server), 1000, 1000);
}
END_TEST

/* ---- slow ones ---- */

/* Nobody reads one stream: it stops within its credit, and no other does. */
START_TEST(a_slow_sink_stops_no_other_stream)
{
    struct pair slow, others[3];
    uint32_t credit;
    uint64_t stored;

    begin_streams(8, rings[_i].read, rings[_i].write);
    credit = server.relay.streams.first_credit;
    ck_assert_uint_eq(credit, 256 << 10);
    slow = open_pair(&client);
    write_until_full(slow.near);
    stored = server.relay.stored;
    ck_assert_uint_ge(stored, credit / 2);
    ck_assert_uint_le(stored, credit);
    for (unsigned int i = 0; i < 3; i++) {
        others[i] = open_pair(i % 2 ? &server : &client);
        want_bytes(others[i].near, others[i].far, 700000);
        want_bytes(others[i].far, others[i].near, 600000);
    }
    move_all();
    ck_assert_uint_eq(server.relay.stored, stored);
    carry(slow, 0, 100000); /* its other direction goes on, too */
    want_bytes(slow.near, slow.far, 500000);
    slow.far->to_read += slow.near->written;
    slow.near->to_write += slow.near->written;
    move_all();
    ck_assert_uint_eq(server.relay.stored, 0);
    end_pair(slow);
}
END_TEST

/* The peer is granted more when over half the first credit was delivered: what was delivered. */
START_TEST(credit_is_granted_for_what_was_delivered)
{
    struct program *program;

    begin_streams(4096, 16, 16);
    open_pair(&client);
    program = server.latest;
    play_client();
    for (unsigned int i = 0; i < 8; i++)
        send_zeros(256, number_of(1, 0, 1));
    run_both();
    expect_frame(0, 0, 0);
    send_zeros(1, number_of(1, 0, 1));
    run_both();
    expect_frame(STREAM_FRAME_CREDIT, 2049, number_of(1, 0, 1));
    send_zeros(4096, number_of(1, 0, 1));
    run_both();
    expect_frame(STREAM_FRAME_CREDIT, 4096, number_of(1, 0, 1));
    ck_assert_int_eq(recv(program->fd, (uint8_t[8192]){0}, 8192, 0), 6145);
    ck_assert_uint_eq(server.relay.stored, 0);
}
END_TEST

/* Both programs write and neither reads; when they read, all is there. */
START_TEST(two_full_directions_go_on_later)
{
    struct pair pair;

    begin_streams(8, 16, 16);
    pair = open_pair(&client);
    write_until_full(pair.near);
    write_until_full(pair.far);
    pair.near->to_write = pair.near->written + 10001;
    pair.far->to_read = pair.near->to_write;
    pair.far->to_write = pair.far->written + 20001;
    pair.near->to_read = pair.far->to_write;
    move_all();
    end_pair(pair);
}
END_TEST

/* The slot is another stream's while the bytes of the old one are still delivered. */
START_TEST(a_slot_is_used_again_before_all_is_delivered)
{
    struct pair old, next;
    uint32_t slot;

    begin_streams(2, 16, 16);
    old = open_pair(&client);
    slot = old.far->end->slot;
    old.near->to_write = 400000;
    move_all();
    finish_program(old.near);
    finish_program(old.far);
    end_pair(open_pair(&client)); /* the place that has been free for longer comes first */
    next = open_pair(&client);
    ck_assert_uint_eq(next.far->end->slot, slot);
    carry(next, 50000, 50000);
    read_at_last(old);
    carry(next, 50000, 50000);
    end_pair(next);
}
END_TEST

/* ---- echo ---- */

/* A program that reads late, too: what the echo stores is within the credit (check_stream_relay()).
 */
START_TEST(an_echo_returns_everything)
{
    struct program *program;

    begin_streams(4, rings[_i].read, rings[_i].write);
    server.answer = ECHOES;
    program = connect_program(&client);
    program->expects = program->seed;
    program->to_write = program->to_read = 2000003;
    move_all();
    write_until_full(program);
    ck_assert_uint_gt(server.relay.stored, 0);
    program->to_write = program->written + 100000;
    program->to_read = program->to_write;
    move_all();
    finish_program(program);
    check_end_of(program);
    check_ended(program, 0);
    ck_assert_uint_eq(server.ended, 1);
    ck_assert_uint_eq(server.reason, 0);
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* The half-close comes while the echo still has bytes to return, or none at all. */
START_TEST(an_echo_finishes_after_the_last_byte)
{
    struct program *program;

    begin_streams(4, 16, 16);
    server.answer = ECHOES;
    program = connect_program(&client);
    program->expects = program->seed;
    if (_i)
        write_until_full(program);
    finish_program(program);
    program->to_read = program->written;
    move_all();
    check_end_of(program);
    check_ended(program, 0);
    ck_assert_uint_eq(server.ended, 1);
    check_empty(&server);
}
END_TEST

/* The header of what is returned is at the last bytes of the ring, and its payload behind them. */
START_TEST(an_echo_may_lie_across_the_end_of_the_ring)
{
    struct program *program;

    join_sides((struct ring_orders){.read = 12, .write = 11});
    shift_ring(&client, 2048 - STREAMS_HEADER - (uint32_t)_i); /* ACCEPT comes first */
    open_relay(&server, 4, false);
    open_relay(&client, 4, false);
    server.answer = ECHOES;
    program = connect_program(&client);
    program->expects = program->seed;
    write_as_program(program, 100);
    finish_program(program);
    ck_assert_uint_eq(read_as_program(program, 1000), 100);
    check_end_of(program);
    check_ended(program, 0);
}
END_TEST

/* ---- programs that leave ---- */

/* The program reads no more, but still sends; at its end the peer learns that it left. */
START_TEST(a_program_that_reads_no_more_may_still_send)
{
    struct pair pair;
    struct program *leaves;

    begin_streams(4, 16, 16);
    pair = open_pair(_i ? &client : &server);
    leaves = _i ? pair.far : pair.near;
    carry(pair, 1000, 1000);
    ck_assert_int_eq(shutdown(leaves->fd, SHUT_RD), 0);
    write_as_program(_i ? pair.near : pair.far, 1000);
    run_both();
    ck_assert(!pair.near->ended && !pair.far->ended);
    leaves->to_write += 300000;
    (_i ? pair.near : pair.far)->to_read += 300000;
    move_all();
    ck_assert(!pair.near->ended && !pair.far->ended);
    finish_program(leaves);
    check_pair_ended(pair, STREAM_LEFT);
    ck_assert_uint_eq(server.relay.streams.reset, 1);
    ck_assert_uint_eq(client.relay.streams.reset, 1);
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* The program has already finished when its reading end fails. */
START_TEST(a_program_that_has_finished_may_leave)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = open_pair(&client);
    finish_program(pair.far);
    check_end_of(pair.near);
    close_program(pair.far);
    run_both();
    ck_assert(!pair.near->ended);
    write_as_program(pair.near, 1000);
    run_both();
    check_pair_ended(pair, STREAM_LEFT);
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* The stream has ended well, but its last bytes wait for a program, which leaves. */
START_TEST(a_program_may_leave_before_all_is_delivered)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = end_unread(_i ? &client : &server, 400000);
    close_program(pair.far);
    run_both();
    check_ended(pair.near, 0);
    check_ended(pair.far, STREAM_LEFT);
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* The source fails: the program is closed with bytes that it has not read. What it sent arrives. */
START_TEST(a_source_that_fails_resets_its_stream)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = open_pair(_i ? &client : &server);
    write_as_program(pair.near, 1000);
    run_both();
    ck_assert_uint_eq(write_as_program(pair.far, 3000), 3000);
    close_program(pair.far);
    run_both();
    ck_assert_uint_eq(read_as_program(pair.near, PIECE), 3000);
    check_end_of(pair.near);
    check_pair_ended(pair, STREAM_LEFT);
    check_empty(&server);
    check_empty(&client);
}
END_TEST

/* The peer resets: what came before is delivered to a slow program, and then the stream ends. */
START_TEST(what_came_before_a_reset_is_delivered)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = open_pair(&client);
    pair.near->to_write = 400000;
    move_all();
    write_as_program(pair.far, 1000);
    run_both();
    close_program(pair.near); /* it has bytes that it has not read */
    run_both();
    check_ended(pair.near, STREAM_LEFT);
    ck_assert(!pair.far->ended);
    ck_assert_uint_gt(server.relay.stored, 0);
    pair.far->to_read = pair.near->written;
    while (pair.far->read < pair.far->to_read) {
        ck_assert(!pair.far->ended || server.relay.stored == 0);
        ck_assert_uint_gt(read_as_program(pair.far, 10000), 0);
        run_both();
    }
    check_end_of(pair.far);
    check_ended(pair.far, STREAM_LEFT);
    check_empty(&server);
}
END_TEST

START_TEST(a_reset_tells_its_reason)
{
    enum stream_reason reason = (enum stream_reason)_i;
    bool known = reason >= STREAM_UNSERVED && reason < STREAM_REASONS;

    begin_streams(4, 16, 16);
    open_pair(&client);
    play_client();
    send_header(STREAM_FRAME_RESET, reason, number_of(1, 0, 1));
    run_both();
    check_ended(server.latest, known ? reason : STREAM_FAILED);
    check_empty(&server);
}
END_TEST

/*
 * Nobody reads in either direction, so that neither side has credit. A program that leaves then
 * ends its stream, and does not stop the peer's for ever.
 */
START_TEST(a_program_that_left_does_not_stop_an_echo)
{
    struct program *program;

    begin_streams(4, 16, 16);
    server.answer = ECHOES;
    program = connect_program(&client);
    write_until_full(program);
    close_program(program);
    run_both();
    check_ended(program, STREAM_LEFT);
    ck_assert_uint_eq(server.ended, 1);
    ck_assert_uint_eq(server.reason, STREAM_LEFT);
    check_empty(&server);
}
END_TEST

START_TEST(a_program_that_left_does_not_stop_a_writer)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = open_pair(&client);
    write_until_full(pair.near);
    write_until_full(pair.far);
    close_program(pair.far);
    run_both();
    pair.near->to_write = pair.near->written + 2000000;
    move_all();
    pair.near->to_read = pair.far->written;
    move_all();
    check_end_of(pair.near);
    check_pair_ended(pair, STREAM_LEFT);
}
END_TEST

/*
 * A program that has finished leaves; at the same time the peer, whose stream has ended well, opens
 * the next one at its place. Nothing is wrong with that.
 */
START_TEST(a_reset_may_cross_the_end_of_its_stream)
{
    struct pair old, other;
    struct program *next;

    begin_streams(2, 16, 16);
    old = open_pair(&client);
    other = open_pair(&client); /* takes the other place */
    finish_program(old.far);
    close_program(old.far);
    run_both();
    server.still = true;
    write_as_program(old.near, 1000);
    finish_program(old.near);
    check_ended(old.near, 0);
    next = connect_program(&client);
    ck_assert_ptr_nonnull(next);
    run_both();
    server.still = false;
    server.due = true;
    run_both();
    check_ended(old.far, STREAM_LEFT);
    ck_assert_msg(!server.relay.over, "the channel has ended with %d", server.relay.error);
    ck_assert(!next->ended);
    carry(other, 1000, 1000);
}
END_TEST

/* ---- what the owner ends ---- */

/* 0: before OPEN was sent; 1: the peer has not answered yet; 2: it is open. */
START_TEST(an_aborted_stream_ends_on_both_sides)
{
    struct program *program;

    begin_streams(4, 16, 16);
    server.answer = _i == 2 ? ACCEPTS : WAITS;
    program = connect_program(&client);
    if (_i > 0)
        run_both();
    stream_relay_abort(&client.relay, program->end);
    client.due = true;
    check_ended(program, STREAM_FAILED);
    run_both();
    ck_assert_uint_eq(server.asked, _i > 0);
    ck_assert_uint_eq(server.ended, _i > 0);
    ck_assert_uint_eq(server.reason, _i > 0 ? STREAM_FAILED : 0);
    check_empty(&server);
    check_empty(&client);
    server.answer = ACCEPTS;
    check_new_streams();
}
END_TEST

/* At once, also if bytes wait for its program. 1: the stream has ended, and they still do. */
START_TEST(a_stream_with_stored_bytes_is_aborted_at_once)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = _i ? end_unread(&server, 400000) : open_pair(&server);
    if (!_i)
        write_until_full(pair.near);
    ck_assert_uint_gt(client.relay.stored, 0);
    stream_relay_abort(&client.relay, pair.far->end);
    client.due = true;
    check_ended(pair.far, STREAM_FAILED);
    run_both();
    check_empty(&client);
}
END_TEST

/* The owner may open the next stream when one ends. */
START_TEST(a_stream_may_be_opened_when_one_ends)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = open_pair(_i ? &client : &server);
    server.reconnects = client.reconnects = true;
    finish_program(pair.near);
    finish_program(pair.far);
    server.reconnects = client.reconnects = false;
    check_pair_ended(pair, 0);
    ck_assert_uint_eq(server.relay.count, 2);
    ck_assert_uint_eq(client.relay.count, 2);
    ck_assert_uint_eq(client.relay.streams.open, 2);
}
END_TEST

/* Streams in every state, and all memory is freed: the sanitizer looks. */
START_TEST(close_ends_all_streams)
{
    struct stream_relay zeroed = {0};

    begin_streams(16, 16, 16);
    end_unread(&client, 400000);
    open_pair(&client);
    write_until_full(open_pair(&client).near);
    write_until_full(open_pair(&server).near);
    server.answer = ECHOES;
    write_until_full(connect_program(&client));
    server.answer = WAITS;
    connect_program(&client);
    run_both();
    connect_program(&server); /* not sent yet */
    ck_assert_uint_eq(server.relay.count, 7);
    ck_assert_uint_gt(server.relay.stored, 0);
    stream_relay_close(&server.relay);
    ck_assert_uint_eq(server.ended, 7);
    ck_assert_uint_eq(server.relay.count, 0);
    ck_assert_ptr_null(server.relay.ends);
    stream_relay_close(&server.relay);
    stream_relay_close(&zeroed);
    ck_assert_uint_eq(server.ended, 7);
    for (unsigned int i = 0; i < program_count; i++)
        if (programs[i].side == &server)
            check_ended(&programs[i], STREAM_ENDING);
}
END_TEST

/* ---- the end of the channel ---- */

/* Two streams with bytes of the client's in the server's store, and more in the ring. */
static void send_unread(struct pair pairs[2])
{
    pairs[0] = open_pair(&client);
    pairs[1] = open_pair(&server);
    write_until_full(pairs[0].near);
    write_as_program(pairs[1].far, 100000);
    run_both();
    server.still = true;
    write_as_program(pairs[1].far, 50000);
    run_both();
    ck_assert_int_gt(channel_readable(server.channel, 1), 50000);
    server.still = false;
    server.due = true;
}

/* The server's streams have ended: it delivers all that came, and only then is done. */
static void check_delivery(struct pair pairs[2], enum stream_reason reason)
{
    run_both();
    ck_assert(server.relay.over);
    ck_assert(!pairs[0].far->ended);
    ck_assert(!stream_relay_is_done(&server.relay));
    pairs[1].near->to_read = pairs[1].far->written;
    move_all();
    check_end_of(pairs[0].far);
    check_end_of(pairs[1].near);
    check_ended(pairs[0].far, reason);
    check_ended(pairs[1].near, reason);
    ck_assert(stream_relay_is_done(&server.relay));
}

/* How many bytes the relay has read from this program. Takes the others away from it. */
static uint32_t count_sent(const struct program *program)
{
    uint32_t count = program->written;
    uint8_t data[PIECE];
    ssize_t got;

    while ((got = recv(program->plug, data, sizeof(data), 0)) > 0)
        count -= (uint32_t)got;
    return count;
}

static void check_no_connect(struct side *side)
{
    struct program *program = make_program(side);
    struct stream_end *end = NULL;

    ck_assert_int_eq(stream_relay_connect(&side->relay, program->plug, program->plug, &end),
                     -ESHUTDOWN);
    ck_assert_ptr_null(end);
}

/* 0: the peer leaves, 1: it leaves with its process, as a destroyed domain does. */
START_TEST(what_came_before_the_peer_left_is_delivered)
{
    struct pair pairs[2];

    begin_streams(4, 17, 17);
    send_unread(pairs);
    pairs[0].far->to_read = count_sent(pairs[0].near);
    stream_relay_close(&client.relay);
    if (_i)
        channel_set_gone(server.channel);
    channel_close(client.channel);
    client.channel = NULL;
    check_delivery(pairs, STREAM_ENDING);
    ck_assert_int_eq(server.relay.error, 0);
    check_no_connect(&server);
}
END_TEST

/* The peer sends no more, but still reads: it is told that each stream has ended. */
START_TEST(what_came_before_the_peer_ended_is_delivered)
{
    struct pair pairs[2];

    begin_streams(4, 17, 17);
    send_unread(pairs);
    pairs[0].far->to_read = count_sent(pairs[0].near);
    client.still = true;
    channel_set_ended(server.channel);
    run_both();
    ck_assert(server.relay.over);
    client.still = false;
    check_delivery(pairs, STREAM_ENDING);
    ck_assert_int_eq(server.relay.error, 0);
    check_no_connect(&server);
    check_ended(pairs[0].near, STREAM_ENDING);
    check_ended(pairs[1].far, STREAM_ENDING);
    check_empty(&client);
}
END_TEST

/* Fills the server's ring to the last byte: what it sends next has no room. */
static void fill_server_ring(struct program *program)
{
    client.still = true;
    write_until_full(program);
    while (channel_writable(server.channel, STREAMS_HEADER) > 0) {
        ck_assert_ptr_nonnull(connect_program(&server));
        run_both();
    }
}

/*
 * The channel ends while nothing is under way, or while frames have no room: the peer, which may be
 * ending too, need not read them.
 */
START_TEST(a_channel_is_done_when_all_is_sent)
{
    struct pair pair;

    begin_streams(64, 12, 12);
    pair = open_pair(&server);
    ck_assert(!stream_relay_is_done(&server.relay));
    if (_i)
        fill_server_ring(pair.near);
    channel_set_ended(server.channel);
    server.due = true;
    run_both();
    check_ended(pair.near, STREAM_ENDING);
    ck_assert(stream_relay_is_done(&server.relay));
    ck_assert_int_eq(server.relay.deaf, _i);
    client.still = false;
    client.due = true;
    channel_set_ended(client.channel);
    run_both();
    read_as_program(pair.far, UINT32_MAX);
    run_both();
    check_ended(pair.far, STREAM_ENDING);
}
END_TEST

/* The peer leaves while frames have no room: they are dropped. */
START_TEST(a_channel_is_done_when_the_peer_left)
{
    struct pair pair;

    begin_streams(64, 12, 12);
    pair = open_pair(&server);
    fill_server_ring(pair.near);
    channel_set_ended(server.channel);
    server.due = true;
    run_both();
    stream_relay_close(&client.relay);
    channel_close(client.channel);
    client.channel = NULL;
    run_both();
    check_ended(pair.near, STREAM_ENDING);
    ck_assert(stream_relay_is_done(&server.relay));
    ck_assert(server.relay.deaf);
}
END_TEST

/* ---- restart ---- */

/* Another process has the rings of that side. */
static void restart_side(struct side *side)
{
    stream_relay_close(&side->relay);
    open_relay(side, 4, true);
}

/* Bytes are under way in both directions, and a stream of each side is just being opened. */
START_TEST(all_streams_end_when_a_side_restarts)
{
    struct side *side = _i ? &server : &client, *other = other_side(side);
    struct pair pairs[2], renewed;
    struct program *opening;

    begin_streams(4, 16, 16);
    pairs[0] = open_pair(side);
    pairs[1] = open_pair(other);
    side->still = true; /* it dies before it reads this */
    write_until_full(pairs[0].far);
    write_until_full(pairs[1].near);
    opening = connect_program(other);
    run_both();
    write_as_program(pairs[0].near, 5000);
    restart_side(side);
    side->still = false;
    ck_assert_ptr_null(connect_program(side)); /* it does not know the peer yet */
    run_both();
    check_pair_ended((struct pair){pairs[0].near, pairs[1].far}, STREAM_ENDING);
    check_pair_ended((struct pair){pairs[0].far, pairs[1].near}, STREAM_FAILED);
    check_ended(opening, STREAM_FAILED);
    check_empty(side);
    check_empty(other);
    renewed = open_pair(side); /* has the number of the dead process's first stream */
    carry(renewed, 100000, 100000);
    check_new_streams();
    end_pair(renewed);
}
END_TEST

/* What came before the restart is delivered first. */
START_TEST(what_came_before_a_restart_is_delivered)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = open_pair(_i ? &server : &client);
    pair.near->to_write = 400000;
    move_all();
    restart_side(pair.near->side);
    run_both();
    ck_assert(!pair.far->ended);
    pair.far->to_read = 400000;
    move_all();
    check_end_of(pair.far);
    check_ended(pair.far, STREAM_FAILED);
    check_new_streams();
}
END_TEST

START_TEST(both_sides_may_restart)
{
    struct pair pair;

    begin_streams(4, 16, 16);
    pair = open_pair(_i & 1 ? &server : &client);
    server.still = _i & 2;
    write_as_program(pair.near, 100000);
    write_as_program(pair.far, 100000);
    run_both();
    server.still = false;
    restart_side(&server);
    restart_side(&client);
    ck_assert_ptr_null(connect_program(&server));
    ck_assert_ptr_null(connect_program(&client));
    run_both();
    check_pair_ended(pair, STREAM_ENDING);
    check_empty(&server);
    check_empty(&client);
    check_new_streams();
}
END_TEST

/* A process restarts, dies before the answer comes, and the next one restarts again. */
START_TEST(a_side_may_restart_twice)
{
    struct side *side = _i & 1 ? &server : &client, *other = other_side(side);

    begin_streams(4, 16, 16);
    open_pair(side);
    other->still = !(_i & 2);
    restart_side(side);
    side->due = stream_relay_step(&side->relay);
    if (_i & 2)
        run_stream_side(other);
    restart_side(side);
    other->still = false;
    other->due = true;
    run_both();
    check_empty(side);
    check_empty(other);
    check_new_streams();
}
END_TEST

/* The other side's process reads RESTART, and dies before it answers. */
START_TEST(a_side_may_die_before_it_answers_a_restart)
{
    struct side *side = _i ? &server : &client, *other = other_side(side);

    begin_streams(4, 16, 16);
    restart_side(side);
    run_stream_side(side);
    ck_assert_uint_eq(read_raw_frame(other, NULL).type, STREAM_FRAME_RESTART);
    channel_publish(other->channel);
    restart_side(other);
    run_both();
    check_new_streams();
}
END_TEST

/* The owner opens the next stream when one ends, and a restart ends several. */
START_TEST(streams_may_be_opened_in_a_restart)
{
    struct side *side = _i ? &server : &client, *other = other_side(side);
    struct pair pairs[2];

    begin_streams(4, 16, 16);
    pairs[0] = open_pair(side);
    pairs[1] = open_pair(other);
    other->reconnects = true;
    restart_side(side);
    run_both();
    other->reconnects = false;
    check_ended(pairs[0].far, STREAM_FAILED);
    check_ended(pairs[1].near, STREAM_FAILED);
    ck_assert_uint_eq(other->ended, 2);
    ck_assert_uint_eq(side->relay.count, 2);
    ck_assert_uint_eq(other->relay.count, 2);
    check_new_streams();
}
END_TEST

/* ---- a peer that breaks the rules ---- */

/* The server's streams: its own at place 0, and one of the client's at place 0. */
#define OURS          0x2000u
#define THEIRS        0x2001u
#define PLACE(number) ((uint32_t)(number) << 1)

static const struct stream_frame corrupt[] = {
    {0, 0, 0},
    {STREAM_FRAME_RESTART + 1, 0, 0},
    {255, 0, THEIRS},
    {STREAM_FRAME_DATA, 0, THEIRS},
    {STREAM_FRAME_DATA, 9, THEIRS}, /* and no payload */
    {STREAM_FRAME_DATA, 0xffffff, THEIRS},
    {STREAM_FRAME_DATA, 0xffffff, 0}, /* an unknown stream's, too */
    {STREAM_FRAME_OPEN, 4096, THEIRS | PLACE(16)},
    {STREAM_FRAME_CREDIT, 1, THEIRS | PLACE(16)},
    {STREAM_FRAME_RESET, 1, OURS | PLACE(4095)},
    {STREAM_FRAME_OPEN, 4096, OURS | PLACE(1)},
    {STREAM_FRAME_OPEN, 4096, OURS},
    {STREAM_FRAME_OPEN, 4096, THEIRS},
    {STREAM_FRAME_OPEN, 4096, THEIRS + 0x2000},
    {STREAM_FRAME_ACCEPT, 4096, THEIRS},
    {STREAM_FRAME_REFUSE, 1, THEIRS},
};

/* The channel is over, and what came before is delivered. */
static void check_corrupt(struct pair ours, struct pair theirs)
{
    ck_assert_msg(server.relay.over, "the server has not seen that the channel is corrupt");
    ck_assert_int_eq(server.relay.error, -EPROTO);
    check_ended(ours.near, STREAM_BROKEN);
    ck_assert(!theirs.far->ended);
    ck_assert(!stream_relay_is_done(&server.relay));
    check_no_connect(&server);
    theirs.far->to_read = 400000;
    move_all();
    check_end_of(theirs.far);
    check_ended(theirs.far, STREAM_BROKEN);
    ck_assert(!stream_relay_step(&server.relay));
    ck_assert(stream_relay_is_done(&server.relay));
    ck_assert_uint_eq(server.relay.count, 0);
}

/* Two streams, one of them with bytes that are not delivered yet. */
static void begin_corrupt(struct pair *ours, struct pair *theirs)
{
    begin_streams(16, 16, 16);
    *ours = open_pair(&server);
    *theirs = open_pair(&client);
    ck_assert_uint_eq(ours->near->end->slot, 0);
    ck_assert_uint_eq(theirs->far->end->slot, 16);
    theirs->near->to_write = 400000;
    move_all();
    play_client();
}

START_TEST(a_corrupt_frame_ends_the_channel)
{
    struct pair ours, theirs;

    begin_corrupt(&ours, &theirs);
    send_header(corrupt[_i].type, corrupt[_i].value, corrupt[_i].number);
    run_both();
    check_corrupt(ours, theirs);
}
END_TEST

/* Less than a header: 1 to 7 bytes, and with _i >= 7 then the end. */
START_TEST(a_part_of_a_header_ends_the_channel)
{
    struct pair ours, theirs;

    begin_corrupt(&ours, &theirs);
    send_raw("\4\1\0\0\0\0\0", 1 + (uint32_t)_i % 7);
    if (_i >= 7)
        channel_set_ended(server.channel);
    run_both();
    check_corrupt(ours, theirs);
}
END_TEST

/*
 * The peer's index is wrong: 0: of what it wrote; of what it read, when 1: payload is sent; 2:
 * another frame is sent.
 */
START_TEST(a_corrupt_index_ends_the_channel)
{
    struct vchan_interface *page;
    struct pair ours, theirs;

    begin_corrupt(&ours, &theirs);
    page = (struct vchan_interface *)fake_page(channel_ring_ref(server.channel));
    if (_i == 2)
        fill_server_ring(ours.near);
    if (_i == 0)
        page->left.prod += 65537;
    else
        page->right.cons += 65537;
    server.due = true;
    if (_i == 1)
        write_until_full(ours.near);
    else if (_i == 2)
        send_header(STREAM_FRAME_OPEN, 4096, THEIRS | PLACE(1));
    run_both();
    check_corrupt(ours, theirs);
}
END_TEST

/* Frames that end only their stream; those with type 0 are none. */
static const struct stream_frame broken[][2] = {
    {{STREAM_FRAME_DATA, 4097, THEIRS}, {0}},
    {{STREAM_FRAME_DATA, 1, OURS | PLACE(1)}, {0}},
    {{STREAM_FRAME_FINISH, 0, OURS | PLACE(1)}, {0}},
    {{STREAM_FRAME_CREDIT, 1, OURS | PLACE(1)}, {0}},
    {{STREAM_FRAME_FINISH, 0, OURS}, {STREAM_FRAME_FINISH, 0, OURS}},
    {{STREAM_FRAME_FINISH, 0, OURS}, {STREAM_FRAME_DATA, 1, OURS}},
    {{STREAM_FRAME_FINISH, 1, OURS}, {0}},
    {{STREAM_FRAME_CREDIT, 0, THEIRS}, {0}},
    {{STREAM_FRAME_CREDIT, 0xffffff, THEIRS}, {0}},
    {{STREAM_FRAME_ACCEPT, 4096, OURS}, {0}},
    {{STREAM_FRAME_REFUSE, 1, OURS}, {0}},
};

static void send_broken(struct stream_frame frame)
{
    if (frame.type == STREAM_FRAME_DATA)
        send_zeros(frame.value, frame.number);
    else if (frame.type != 0)
        send_header(frame.type, frame.value, frame.number);
}

START_TEST(a_broken_rule_ends_only_its_stream)
{
    uint32_t number = broken[_i][0].number;
    struct pair ours, theirs;
    struct program *opening;

    begin_streams(4096, 16, 16);
    ours = open_pair(&server);
    theirs = open_pair(&client);
    play_client();
    opening = connect_program(&server);
    run_both();
    expect_frame(STREAM_FRAME_OPEN, 4096, OURS | PLACE(1));
    send_broken(broken[_i][0]);
    send_broken(broken[_i][1]);
    run_both();
    ck_assert(!server.relay.over);
    expect_frame(STREAM_FRAME_RESET, STREAM_BROKEN, number);
    check_ended(number == OURS     ? ours.near
                : number == THEIRS ? theirs.far
                                   : opening,
                STREAM_BROKEN);
    ck_assert_uint_eq(server.ended, 1);
    ck_assert_uint_eq(server.relay.count, 2);
    send_zeros(10, number); /* under way when it ended: dropped */
    send_zeros(10, number == OURS ? THEIRS : OURS);
    run_both();
    ck_assert_uint_eq(server.relay.count, 2);
    expect_frame(0, 0, 0);
}
END_TEST

/* ---- turns ---- */

#define BULK 10u

/* Programs of the server that always have bytes to send, and one that seldom has. */
static struct {
    struct program *programs[BULK + 1];
    uint64_t came[BULK + 1]; /* bytes of each that the client has read */
    uint32_t since;          /* the ring's index when the small program wrote */
    uint32_t others;         /* bytes of the others that came after it, and before its own */
} bulk;

static void begin_bulk(uint16_t order, unsigned int count)
{
    memset(&bulk, 0, sizeof(bulk));
    begin_streams(16, 12, order);
    play_client();
    for (uint32_t i = 0; i < count; i++) {
        bulk.programs[i] = connect_program(&server);
        run_both();
        expect_frame(STREAM_FRAME_OPEN, 256 << 10, number_of(0, i, 1));
        send_header(STREAM_FRAME_ACCEPT, STREAMS_CREDIT_MAX, number_of(0, i, 1));
    }
    run_both();
}

/* The client takes at most that many frames. Returns whether one was the small program's. */
static bool take_bulk(unsigned int most)
{
    static uint8_t payload[65536];
    bool small = false;

    for (unsigned int i = 0; i < most; i++) {
        uint32_t at = channel_read_index(client.channel);
        struct stream_frame frame = read_raw_frame(&client, payload);
        uint32_t place = frame.number >> 1 & 0xfff;

        if (frame.type == 0)
            break;
        ck_assert_uint_eq(frame.type, STREAM_FRAME_DATA);
        ck_assert_uint_le(frame.value, STREAMS_TURN);
        bulk.came[place] += frame.value;
        small |= place == BULK;
        if (!small && (int32_t)(at - bulk.since) >= 0)
            bulk.others += frame.value;
        send_header(STREAM_FRAME_CREDIT, frame.value, frame.number);
    }
    channel_publish(client.channel);
    return small;
}

/* Nobody checks these bytes. */
static void fill_bulk(unsigned int count)
{
    static const uint8_t zeros[PIECE];

    for (unsigned int i = 0; i < count; i++)
        while (send(bulk.programs[i]->fd, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0)
            ;
    run_both();
}

static const struct {
    uint16_t order;
    unsigned int frames; /* that the client takes at once */
} bulk_habits[] = {{20, 1000}, {20, 3}, {16, 1000}, {16, 1}, {14, 1000}, {14, 1}, {12, 1000}};

/* A small message waits for one turn of each other stream, and no longer. */
START_TEST(a_small_message_waits_for_one_turn_of_each)
{
    begin_bulk(bulk_habits[_i].order, BULK + 1);
    for (unsigned int message = 1; message <= 20; message++) {
        bool came = false;

        fill_bulk(BULK);
        take_bulk(bulk_habits[_i].frames);
        ck_assert_uint_eq(write_as_program(bulk.programs[BULK], 64), 64);
        bulk.since = channel_write_index(server.channel);
        bulk.others = 0;
        for (unsigned int i = 0; i < 1000 && !came; i++) {
            fill_bulk(BULK);
            came = take_bulk(bulk_habits[_i].frames);
            if (bulk.others > BULK * STREAMS_TURN)
                ck_abort_msg("%u bytes come before message %u", bulk.others, message);
        }
        ck_assert(came);
        ck_assert_uint_eq(bulk.came[BULK], 64 * message);
    }
}
END_TEST

/* However the ring fills, each stream gets its share. */
START_TEST(streams_have_equal_shares)
{
    unsigned int count = 2 + (unsigned int)_i % 7;
    uint64_t all = 0;

    begin_bulk(bulk_habits[_i / 7].order, count);
    for (unsigned int round = 0; round < 60; round++) {
        fill_bulk(count);
        take_bulk(bulk_habits[_i / 7].frames);
    }
    for (unsigned int i = 0; i < count; i++)
        all += bulk.came[i];
    ck_assert_uint_gt(all, 100000);
    for (unsigned int i = 0; i < count; i++)
        ck_assert_msg(bulk.came[i] >= all / count / 2, "stream %u of %u: %u of %u KiB", i, count,
                      (unsigned int)(bulk.came[i] >> 10), (unsigned int)(all >> 10));
}
END_TEST

/* With little room no small pieces are sent, which would cost a header and a call each. */
START_TEST(payload_waits_for_room)
{
    static uint8_t data[65536];
    uint32_t room;

    begin_bulk(16, 1);
    fill_bulk(1);
    channel_publish(client.channel);
    room = channel_count_writable(server.channel);
    ck_assert_uint_lt(room, 2048);
    ck_assert_int_eq(channel_read(client.channel, data, 2047 - room, 1), 2047 - room);
    channel_publish(client.channel);
    server.due = true;
    run_both();
    ck_assert_uint_eq(channel_count_writable(server.channel), 2047);
    ck_assert_int_eq(channel_read(client.channel, data, 1, 1), 1);
    channel_publish(client.channel);
    run_both();
    ck_assert_uint_eq(channel_count_writable(server.channel), 0);
}
END_TEST

/* A step is bounded, so that others are served, and returns that there is more to do. */
START_TEST(a_step_has_its_bound)
{
    begin_streams(4, 16, 16);
    play_client();
    for (unsigned int i = 0; i < 1500; i++)
        send_header(STREAM_FRAME_RESET, 1, 0); /* of a stream that is unknown */
    ck_assert(stream_relay_step(&server.relay));
    ck_assert_int_eq(channel_readable(server.channel, 1), (1500 - 1024) * STREAMS_HEADER);
    ck_assert(!stream_relay_step(&server.relay));
    ck_assert_int_eq(channel_readable(server.channel, 1), -EAGAIN);
}
END_TEST

/* ---- the program ---- */

static void add_byte_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, a_stream_carries_bytes_both_ways, 0, RINGS);
    tcase_add_loop_test(tcase, a_frame_may_lie_across_the_end_of_the_ring, 0, 16);
    tcase_add_test(tcase, a_thousand_streams_follow_one_another);
    tcase_add_loop_test(tcase, sixty_four_streams_are_open_at_once, 0, RINGS);
    tcase_add_test(tcase, source_and_sink_may_differ);
    tcase_add_loop_test(tcase, a_sink_may_take_a_part, 0, 2);
    tcase_add_loop_test(tcase, either_side_finishes_first, 0, 8);
    tcase_add_loop_test(tcase, an_empty_stream_ends_well, 0, 2);
    tcase_add_test(tcase, what_is_written_early_is_not_lost);
    tcase_add_loop_test(tcase, a_refusal_has_its_reason, 0, 4 * (STREAM_REASONS - 1));
    tcase_add_loop_test(tcase, no_more_streams_are_opened_than_declared, 0, 2);
    tcase_add_test(tcase, both_sides_may_open_the_last_one);
    tcase_add_test(tcase, a_stream_without_a_free_end_is_refused);
    tcase_add_loop_test(tcase, a_slow_sink_stops_no_other_stream, 0, RINGS);
    tcase_add_test(tcase, credit_is_granted_for_what_was_delivered);
    tcase_add_test(tcase, two_full_directions_go_on_later);
    tcase_add_test(tcase, a_slot_is_used_again_before_all_is_delivered);
    tcase_add_loop_test(tcase, an_echo_returns_everything, 0, RINGS);
    tcase_add_loop_test(tcase, an_echo_finishes_after_the_last_byte, 0, 2);
    tcase_add_loop_test(tcase, an_echo_may_lie_across_the_end_of_the_ring, 0, 16);
}

static void add_end_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, a_program_that_reads_no_more_may_still_send, 0, 2);
    tcase_add_test(tcase, a_program_that_has_finished_may_leave);
    tcase_add_loop_test(tcase, a_program_may_leave_before_all_is_delivered, 0, 2);
    tcase_add_loop_test(tcase, a_source_that_fails_resets_its_stream, 0, 2);
    tcase_add_test(tcase, what_came_before_a_reset_is_delivered);
    tcase_add_loop_test(tcase, a_reset_tells_its_reason, 0, STREAM_REASONS + 2);
    tcase_add_test(tcase, a_program_that_left_does_not_stop_an_echo);
    tcase_add_test(tcase, a_program_that_left_does_not_stop_a_writer);
    tcase_add_test(tcase, a_reset_may_cross_the_end_of_its_stream);
    tcase_add_loop_test(tcase, an_aborted_stream_ends_on_both_sides, 0, 3);
    tcase_add_loop_test(tcase, a_stream_with_stored_bytes_is_aborted_at_once, 0, 2);
    tcase_add_loop_test(tcase, a_stream_may_be_opened_when_one_ends, 0, 2);
    tcase_add_test(tcase, close_ends_all_streams);
    tcase_add_loop_test(tcase, what_came_before_the_peer_left_is_delivered, 0, 2);
    tcase_add_test(tcase, what_came_before_the_peer_ended_is_delivered);
    tcase_add_loop_test(tcase, a_channel_is_done_when_all_is_sent, 0, 2);
    tcase_add_test(tcase, a_channel_is_done_when_the_peer_left);
    tcase_add_loop_test(tcase, all_streams_end_when_a_side_restarts, 0, 2);
    tcase_add_loop_test(tcase, what_came_before_a_restart_is_delivered, 0, 2);
    tcase_add_loop_test(tcase, both_sides_may_restart, 0, 4);
    tcase_add_loop_test(tcase, a_side_may_restart_twice, 0, 4);
    tcase_add_loop_test(tcase, a_side_may_die_before_it_answers_a_restart, 0, 2);
    tcase_add_loop_test(tcase, streams_may_be_opened_in_a_restart, 0, 2);
}

static void add_peer_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, a_corrupt_frame_ends_the_channel, 0,
                        (int)(sizeof(corrupt) / sizeof(corrupt[0])));
    tcase_add_loop_test(tcase, a_part_of_a_header_ends_the_channel, 0, 14);
    tcase_add_loop_test(tcase, a_corrupt_index_ends_the_channel, 0, 3);
    tcase_add_loop_test(tcase, a_broken_rule_ends_only_its_stream, 0,
                        (int)(sizeof(broken) / sizeof(broken[0])));
    tcase_add_loop_test(tcase, a_small_message_waits_for_one_turn_of_each, 0,
                        (int)(sizeof(bulk_habits) / sizeof(bulk_habits[0])));
    tcase_add_loop_test(tcase, streams_have_equal_shares, 0,
                        7 * (int)(sizeof(bulk_habits) / sizeof(bulk_habits[0])));
    tcase_add_test(tcase, payload_waits_for_room);
    tcase_add_test(tcase, a_step_has_its_bound);
}

int main(void)
{
    TCase *tcase = tcase_create("stream-relay");

    tcase_add_checked_fixture(tcase, setup_sides, clear_sides);
    add_byte_tests(tcase);
    add_end_tests(tcase);
    add_peer_tests(tcase);
    setenv("CK_FORK", "no", 0); /* so many processes take minutes under valgrind */
    return check_main("stream-relay", tcase);
}
