/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model of a channel with streams, in which the shipped vchan/streams.c is explored: two sides,
 * two rings of a few frames, and at each end users who open, accept, refuse, send, take late,
 * finish, reset and close as they like. A side may die at any step: what it wrote stays in the
 * ring, and a process that knows nothing takes over. Small worlds are explored whole; a random walk
 * follows in a larger one.
 *
 * Usage: streams [SEED [STEPS [WORLD]]]; STEPS 0: no walk. WORLD: part of the name of those to
 * explore.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vchan/streams.h"

#define MOST     2u
#define SLOTS    (2 * MOST)
#define RING     6 /* frames, at most */
#define NO_LIMIT 255
#define A_FREE   0 /* struct stream.state of a free place */

/* ---- the world ---- */

/* What the users may do; pairs are of the frontend's side and the backend's. */
struct setting {
    const char *name;
    uint8_t credit;     /* first_credit */
    uint8_t ring;       /* frames that a ring takes */
    uint8_t burst[2];   /* bytes in a frame, at most; 0: sends nothing */
    uint8_t opens[2];   /* streams opened, at most */
    uint8_t at_once[2]; /* of them, not ended */
    uint8_t resets[2];
    uint8_t refuses[2];
    uint8_t finishes[2];
    uint8_t closes[2];
    uint8_t deaths[2];
    bool late; /* a reader may publish its index late */
};

/* A frame in a ring, with what the protocol does not carry: the opener's life, an offset. */
struct packet {
    struct stream_frame frame;
    uint8_t life;
    uint8_t offset;
};

/* A ring; its reader has read some of the frames, and has not published that. */
struct pipe {
    struct packet packets[RING];
    uint8_t count;
    uint8_t read;
};

enum user_state { NOBODY, CALLING, CALLED, TALKING };

/* Who uses a stream at one end. */
struct user {
    uint32_t number;
    uint8_t state;
    uint8_t life;     /* of the side that opened it */
    uint8_t sent;     /* bytes; offsets count modulo 256 */
    uint8_t received; /* likewise */
    uint8_t stored;   /* received and not taken */
    bool wants;       /* waits for its turn */
    bool finished;
    bool peer_finished;
};

struct party {
    struct streams streams;
    struct stream table[SLOTS];
    struct user users[SLOTS];
    struct setting left; /* how much it may still do */
    uint8_t life;
    uint8_t index; /* as the ring's: has grown if the process wrote anything */
    bool wrote;
};

struct world {
    struct party party[2];
    struct pipe pipe[2]; /* written by that side */
};

static const char *const party_name[] = {"frontend", "backend"};
static const struct setting *setting;
static char broken[256]; /* the first rule broken, or "" */
static bool telling;

static void __attribute__((format(printf, 1, 2))) break_rule(const char *format, ...)
{
    va_list arguments;

    if (broken[0])
        return;
    va_start(arguments, format);
    vsnprintf(broken, sizeof(broken), format, arguments);
    va_end(arguments);
}

static void __attribute__((format(printf, 1, 2))) narrate(const char *format, ...)
{
    va_list arguments;

    if (!telling)
        return;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
}

static uint32_t number_slot(uint32_t number)
{
    return (number & 1) * MOST + (number >> 1 & 0xfff);
}

static uint32_t number_generation(uint32_t number)
{
    return number >> 13;
}

static void tell_frame(int me, const char *verb, const struct stream_frame *frame)
{
    static const char *const names[] = {"?",      "OPEN",   "ACCEPT", "REFUSE",  "DATA",
                                        "CREDIT", "FINISH", "RESET",  "RESTART"};

    narrate("%s %s %s %u", party_name[me], verb, names[frame->type], frame->value);
    if (frame->type >= STREAM_FRAME_RESTART)
        narrate(" of %u", frame->number);
    else
        narrate(" of %c%u.%u", "fb"[frame->number & 1], frame -> number >> 1 & 0xfff,
                number_generation(frame->number));
    narrate("\n");
}

static bool uses(const struct user *user, uint32_t number, uint8_t life)
{
    return user->state != NOBODY && user->number == number && user->life == life;
}

static bool spend(uint8_t *left)
{
    if (*left == 0)
        return false;
    if (*left != NO_LIMIT)
        --*left;
    return true;
}

static void party_begins(struct party *party, int me)
{
    streams_init(&party->streams, party->table, MOST, me == 1, setting->credit);
    memset(party->users, 0, sizeof(party->users));
    party->wrote = false;
}

static void world_begins(struct world *world)
{
    memset(world, 0, sizeof(*world));
    for (int me = 0; me < 2; me++) {
        world->party[me].left = *setting;
        party_begins(&world->party[me], me);
    }
}

static void world_copy(struct world *to, const struct world *from)
{
    memcpy(to, from, sizeof(*to));
    for (int me = 0; me < 2; me++)
        to->party[me].streams.table = to->party[me].table;
}

/* ---- what comes ---- */

static void pipe_publish(struct pipe *pipe)
{
    pipe->count -= pipe->read;
    memmove(pipe->packets, pipe->packets + pipe->read, pipe->count * sizeof(pipe->packets[0]));
    pipe->read = 0;
}

static uint32_t pipe_bytes(const struct pipe *pipe)
{
    uint32_t bytes = 0;

    for (int i = pipe->read; i < pipe->count; i++)
        bytes +=
            STREAMS_HEADER +
            (pipe->packets[i].frame.type == STREAM_FRAME_DATA ? pipe->packets[i].frame.value : 0);
    return bytes;
}

static void user_gets_data(struct user *user, const struct packet *packet)
{
    if (user->state != TALKING || user->peer_finished)
        break_rule("payload comes for a stream that is not open");
    else if (!uses(user, packet->frame.number, packet->life))
        break_rule("payload of another stream comes");
    else if (user->received != packet->offset)
        break_rule("payload is lost, repeated or out of order: byte %u instead of %u",
                   packet->offset, user->received);
    user->received += (uint8_t)packet->frame.value;
    user->stored += (uint8_t)packet->frame.value;
    if (user->stored > setting->credit)
        break_rule("more is to be stored than was granted at first");
}

static void user_gets_end(struct user *user, const struct packet *packet)
{
    if (user->state != TALKING || user->peer_finished)
        break_rule("FINISH comes for a stream that is not open");
    else if (!uses(user, packet->frame.number, packet->life))
        break_rule("FINISH of another stream comes");
    else if (user->received != packet->offset)
        break_rule("FINISH comes before all bytes");
    user->peer_finished = true;
    if (user->finished)
        user->state = NOBODY;
}

static void user_is_called(struct user *user, const struct packet *packet)
{
    if (user->state != NOBODY)
        break_rule("a stream is opened at the place of one that has not ended");
    *user = (struct user){.state = CALLED, .number = packet->frame.number, .life = packet->life};
}

static void party_gets(struct party *party, const struct packet *packet,
                       const struct stream_event *event)
{
    struct user *user = &party->users[event->slot % SLOTS];

    if (event->payload != (packet->frame.type == STREAM_FRAME_DATA ? packet->frame.value : 0))
        break_rule("the payload's length is wrong");
    switch (event->type) {
    case STREAM_NOTHING:
        return;
    case STREAM_OPENED:
        user_is_called(user, packet);
        return;
    case STREAM_ACCEPTED:
        if (user->state != CALLING)
            break_rule("a stream is accepted that was not opened");
        user->state = TALKING;
        return;
    case STREAM_DATA:
        user_gets_data(user, packet);
        return;
    case STREAM_SENDABLE:
        if (user->state != TALKING)
            break_rule("a stream may be sent that is not open");
        return;
    case STREAM_FINISHED:
        user_gets_end(user, packet);
        return;
    case STREAM_ENDED:
        if (user->state == NOBODY)
            break_rule("a stream ends twice");
        if (event->reason == STREAM_BROKEN)
            break_rule("an honest side is said to have broken a rule for a stream");
        user->state = NOBODY;
        return;
    case STREAM_RESTARTED:
        memset(party->users, 0, sizeof(party->users));
        return;
    }
}

/* ---- the steps: each returns whether it can be done now ---- */

static bool step_read(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct pipe *pipe = &world->pipe[!me];
    struct party *party = &world->party[me];
    struct packet packet = pipe->packets[pipe->read % RING];
    uint32_t available = pipe_bytes(pipe);
    uint8_t header[STREAMS_HEADER];
    struct stream_event event;

    (void)slot, (void)count;
    if (pipe->read == pipe->count)
        return false;
    pipe->read++;
    if (!setting->late)
        pipe_publish(pipe);
    tell_frame(me, "reads", &packet.frame);
    stream_frame_pack(packet.frame, header);
    if (streams_receive(&party->streams, header, available, &event) != 0)
        break_rule("the %s takes an honest peer's frame for a corrupt channel", party_name[me]);
    else
        party_gets(party, &packet, &event);
    return true;
}

static bool step_publish(struct world *world, int me, uint32_t slot, uint8_t count)
{
    (void)slot, (void)count;
    if (world->pipe[!me].read == 0)
        return false;
    narrate("%s publishes what it has read\n", party_name[me]);
    pipe_publish(&world->pipe[!me]);
    return true;
}

static void party_writes(struct world *world, int me, const struct stream_frame *frame,
                         uint8_t offset)
{
    struct party *party = &world->party[me];
    struct pipe *pipe = &world->pipe[me];
    struct packet *packet = &pipe->packets[pipe->count++];

    tell_frame(me, "writes", frame);
    *packet = (struct packet){.frame = *frame, .offset = offset};
    if (frame->type < STREAM_FRAME_RESTART)
        packet->life = party->users[number_slot(frame->number)].life;
    if (frame->type == STREAM_FRAME_RESET && frame->value == STREAM_BROKEN)
        break_rule("an honest side is told that it has broken a rule for a stream");
    if (!party->wrote)
        party->index++;
    party->wrote = true;
}

static bool step_write(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];
    struct stream_frame frame;
    uint8_t offset = 0;

    (void)slot, (void)count;
    if (world->pipe[me].count >= setting->ring || !streams_owes(&party->streams))
        return false;
    if (!streams_next_frame(&party->streams, &frame)) {
        break_rule("a frame is owed, and there is none");
        return true;
    }
    if (frame.type == STREAM_FRAME_FINISH)
        offset = party->users[number_slot(frame.number)].sent;
    party_writes(world, me, &frame, offset);
    return true;
}

/* Nobody's turn: then nobody may have bytes that could be sent. */
static void check_no_turn(const struct party *party)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (party->users[slot].wants && streams_sendable(&party->streams, slot) > 0)
            break_rule("slot %u has bytes and credit, and does not get its turn", slot);
}

static bool step_turn(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];
    bool owes = streams_owes(&party->streams);
    struct stream_frame frame;
    struct user *user;

    if (world->pipe[me].count >= setting->ring || setting->burst[me] < count)
        return false;
    slot = streams_next_turn(&party->streams);
    if (slot == STREAMS_NO_SLOT && !owes)
        check_no_turn(party);
    if (slot == STREAMS_NO_SLOT)
        return false;
    if (owes)
        break_rule("slot %u gets a turn while a frame is owed", slot);
    user = &party->users[slot];
    if (user->state != TALKING || !user->wants)
        break_rule("slot %u gets a turn that it does not want", slot);
    if (streams_sendable(&party->streams, slot) < count)
        return false;
    frame = streams_send(&party->streams, slot, count);
    party_writes(world, me, &frame, user->sent);
    user->sent += count;
    user->wants = false;
    return true;
}

static uint8_t party_callers(const struct party *party, int me)
{
    uint8_t count = 0;

    for (uint32_t slot = 0; slot < MOST; slot++)
        count += party->users[(uint32_t)me * MOST + slot].state != NOBODY;
    return count;
}

static bool step_open(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];

    (void)count;
    if (party_callers(party, me) >= setting->at_once[me] ||
        streams_open(&party->streams, &slot) != 0 || !spend(&party->left.opens[me]))
        return false;
    narrate("%s opens slot %u\n", party_name[me], slot);
    if (party->users[slot].state != NOBODY)
        break_rule("a stream is opened at the place of one of ours that has not ended");
    party->users[slot] =
        (struct user){.state = CALLING, .number = party->table[slot].number, .life = party->life};
    return true;
}

static bool step_accept(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];

    (void)count;
    if (party->users[slot].state != CALLED)
        return false;
    narrate("%s accepts slot %u\n", party_name[me], slot);
    streams_accept(&party->streams, slot);
    party->users[slot].state = TALKING;
    return true;
}

static bool step_refuse(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];

    (void)count;
    if (party->users[slot].state != CALLED || !spend(&party->left.refuses[me]))
        return false;
    narrate("%s refuses slot %u\n", party_name[me], slot);
    streams_refuse(&party->streams, slot, STREAM_DENIED);
    party->users[slot].state = NOBODY;
    return true;
}

static bool step_want(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];
    struct user *user = &party->users[slot];

    (void)count;
    if (setting->burst[me] == 0 || user->wants || user->finished ||
        (user->state != TALKING && user->state != CALLING))
        return false;
    narrate("%s wants to send on slot %u\n", party_name[me], slot);
    streams_want_turn(&party->streams, slot);
    user->wants = true;
    return true;
}

/* Takes one byte (count 1) or all, if that is more. */
static bool step_take(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];
    struct user *user = &party->users[slot];

    if (user->state != TALKING || user->stored < count)
        return false;
    if (count > 1)
        count = user->stored;
    narrate("%s takes %u of slot %u\n", party_name[me], count, slot);
    streams_took(&party->streams, slot, count);
    user->stored -= count;
    return true;
}

static bool step_finish(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];
    struct user *user = &party->users[slot];

    (void)count;
    if (user->state != TALKING || user->finished || !spend(&party->left.finishes[me]))
        return false;
    narrate("%s finishes slot %u\n", party_name[me], slot);
    streams_finish(&party->streams, slot);
    user->finished = true;
    user->wants = false;
    if (user->peer_finished)
        user->state = NOBODY;
    return true;
}

static bool step_reset(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];

    (void)count;
    if (party->users[slot].state == NOBODY || !spend(&party->left.resets[me]))
        return false;
    narrate("%s resets slot %u\n", party_name[me], slot);
    streams_reset(&party->streams, slot, STREAM_FAILED);
    party->users[slot].state = NOBODY;
    return true;
}

static bool step_close(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];

    (void)slot, (void)count;
    if (party->streams.ending || !spend(&party->left.closes[me]))
        return false;
    narrate("%s closes\n", party_name[me]);
    streams_close(&party->streams, STREAM_ENDING);
    for (slot = 0; slot < SLOTS; slot++)
        party->users[slot].state = NOBODY;
    return true;
}

/* The process dies, and another takes over. It reads again what was read and not published. */
static bool step_die(struct world *world, int me, uint32_t slot, uint8_t count)
{
    struct party *party = &world->party[me];

    (void)slot, (void)count;
    if (!spend(&party->left.deaths[me]))
        return false;
    narrate("%s dies and is replaced, at index %u\n", party_name[me], party->index);
    party_begins(party, me);
    streams_restart(&party->streams, party->index);
    party->life++;
    world->pipe[!me].read = 0;
    return true;
}

/* ---- the rules ---- */

static void check_user(const struct party *party, int me, uint32_t slot)
{
    const struct user *user = &party->users[slot];
    const struct stream *stream = &party->table[slot];

    if (user->state == NOBODY)
        return;
    if (stream->state == A_FREE || stream->number != user->number)
        break_rule("the %s's slot %u is free or another stream's, and not ended", party_name[me],
                   slot);
    if (streams_is_finished(&party->streams, slot) != user->peer_finished)
        break_rule("the %s is wrong whether slot %u is finished", party_name[me], slot);
    if (!user->peer_finished && stream->granted + stream->taken + user->stored != setting->credit)
        break_rule("the %s has granted %u, taken %u, stored %u of slot %u", party_name[me],
                   stream->granted, stream->taken, user->stored, slot);
}

static void check_queue(const struct party *party, int me, int which)
{
    uint32_t slot = party->streams.queues[which].first, count = 0;

    for (; slot < SLOTS && count <= SLOTS; count++)
        slot = party->table[slot].next[which];
    if (count > SLOTS)
        break_rule("the %s's queue %d has no end", party_name[me], which);
}

static void check_party(const struct party *party, int me)
{
    uint32_t open = 0, in_use = 0;

    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        check_user(party, me, slot);
        open += party->users[slot].state != NOBODY;
        in_use += party->table[slot].state != A_FREE;
    }
    for (int which = 0; which < 3; which++)
        check_queue(party, me, which);
    if (party->streams.open != open || open > MOST)
        break_rule("the %s counts %u open streams, and has %u", party_name[me], party->streams.open,
                   open);
    if (party->streams.in_use != in_use)
        break_rule("the %s counts %u places in use, and has %u", party_name[me],
                   party->streams.in_use, in_use);
}

/* Nothing is under way, and nobody owes anything. Changes the queues of the copy it is given. */
static bool world_is_quiet(struct world *copy)
{
    for (int me = 0; me < 2; me++)
        if (copy->pipe[me].read != copy->pipe[me].count || streams_owes(&copy->party[me].streams))
            return false;
    return true;
}

/* Bytes from one side to the other, when nothing is under way. */
static void check_quiet_way(const struct world *world, int from, uint32_t slot)
{
    const struct user *sender = &world->party[from].users[slot];
    const struct user *reader = &world->party[!from].users[slot];
    uint32_t sendable = streams_sendable(&world->party[from].streams, slot);

    if (sender->finished != reader->peer_finished)
        break_rule("the sides differ about who has finished slot %u", slot);
    if (sender->sent != reader->received)
        break_rule("bytes of slot %u are lost", slot);
    if (sender->state != TALKING || sender->finished)
        return;
    if (sendable != world->party[!from].table[slot].granted)
        break_rule("the sides differ about the credit of slot %u", slot);
    if (reader->stored == 0 && sendable == 0)
        break_rule("slot %u may not send, and its reader has taken everything", slot);
}

static void check_quiet_slot(const struct world *world, uint32_t slot)
{
    const struct user *opener = &world->party[slot >= MOST].users[slot];
    const struct user *other = &world->party[slot < MOST].users[slot];

    if (opener->state == NOBODY && other->state == NOBODY)
        return;
    if (!uses(other, opener->number, opener->life) || opener->state == NOBODY)
        break_rule("only one side has the stream of slot %u", slot);
    else if ((opener->state == CALLING) != (other->state == CALLED))
        break_rule("the sides differ about whether slot %u was accepted", slot);
    check_quiet_way(world, 0, slot);
    check_quiet_way(world, 1, slot);
}

/* Whoever has bytes and credit gets a turn. Changes the copy. */
static void check_quiet_turns(struct party *copy)
{
    uint32_t slot;

    while ((slot = streams_next_turn(&copy->streams)) != STREAMS_NO_SLOT)
        copy->users[slot].wants = false;
    check_no_turn(copy);
}

/* As many streams can be opened as there is room for. Changes the copy. */
static void check_quiet_room(struct party *copy, int me)
{
    uint32_t room = copy->streams.ending ? 0 : MOST - copy->streams.open, count = 0, slot;

    if (copy->streams.open != copy->streams.in_use)
        break_rule("the %s owes nothing, and has a place that is not free", party_name[me]);
    while (count <= SLOTS && streams_open(&copy->streams, &slot) == 0)
        count++;
    if (count != room)
        break_rule("the %s has room for %u streams, and %u can be opened", party_name[me], room,
                   count);
}

static void check_world(const struct world *world)
{
    static struct world copy;

    for (int me = 0; me < 2; me++)
        check_party(&world->party[me], me);
    world_copy(&copy, world);
    if (broken[0] || !world_is_quiet(&copy))
        return;
    for (int me = 0; me < 2; me++)
        if (!world->party[me].streams.in_step || !world->party[me].streams.knows_peer)
            break_rule("the %s waits for a RESTART that nobody owes", party_name[me]);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        check_quiet_slot(world, slot);
    for (int me = 0; me < 2; me++) {
        check_quiet_turns(&copy.party[me]);
        check_quiet_room(&copy.party[me], me);
    }
}

/* ---- moves ---- */

enum step_kind {
    READ,
    WRITE,
    TURN,
    TAKE,
    PUBLISH, /* until here a world comes to rest by itself */
    WANT,
    ACCEPT,
    OPEN,
    FINISH,
    REFUSE,
    RESET,
    CLOSE,
    DIE,
    KINDS
};

static const struct {
    bool (*act)(struct world *world, int me, uint32_t slot, uint8_t count);
    uint8_t slots;
    uint8_t counts;
    uint8_t seldom; /* in a random walk */
} kinds[KINDS] = {
    [READ] = {step_read, 1, 1, 2},          [WRITE] = {step_write, 1, 1, 2},
    [TURN] = {step_turn, 1, 2, 2},          [TAKE] = {step_take, SLOTS, 2, 4},
    [PUBLISH] = {step_publish, 1, 1, 4},    [WANT] = {step_want, SLOTS, 1, 4},
    [ACCEPT] = {step_accept, SLOTS, 1, 4},  [OPEN] = {step_open, 1, 1, 8},
    [FINISH] = {step_finish, SLOTS, 1, 24}, [REFUSE] = {step_refuse, SLOTS, 1, 32},
    [RESET] = {step_reset, SLOTS, 1, 64},   [CLOSE] = {step_close, 1, 1, 250},
    [DIE] = {step_die, 1, 1, 200},
};

struct move {
    uint8_t me, kind, slot, count;
};

static bool play_move(struct world *world, struct move move)
{
    return kinds[move.kind].act(world, move.me, move.slot, move.count);
}

/* The next one in the order of all. */
static bool following_move(struct move *move)
{
    if (++move->count <= kinds[move->kind].counts)
        return true;
    move->count = 1;
    if (++move->slot < kinds[move->kind].slots)
        return true;
    move->slot = 0;
    if (++move->kind < KINDS)
        return true;
    move->kind = 0;
    return ++move->me < 2;
}

/* ---- a world as few bytes: those that matter ---- */

struct code {
    uint64_t words[64];
    size_t length;
};

static void code_put(struct code *code, uint32_t value)
{
    if (code->length == sizeof(code->words))
        abort();
    ((uint8_t *)code->words)[code->length++] = (uint8_t)value;
}

/* Generations count from the opener's, unless it may die and begin anew. */
static void code_number(struct code *code, const struct world *world, uint32_t number)
{
    uint32_t slot = number_slot(number);
    const struct party *opener = &world->party[slot / MOST];
    uint32_t base = opener->left.deaths[slot / MOST] ? 0 : opener->table[slot].number;

    code_put(code, number_generation(number) - number_generation(base));
}

/* An offset from what the reader has received, if it still has the stream. */
static void code_offset(struct code *code, const struct party *reader, uint32_t number,
                        uint8_t life, uint8_t offset)
{
    const struct user *user = &reader->users[number_slot(number)];

    code_put(code, life);
    code_put(code, uses(user, number, life) ? offset - user->received : 0);
}

static void code_user(struct code *code, const struct world *world, int me, uint32_t slot)
{
    const struct stream *stream = &world->party[me].table[slot];
    const struct user *user = &world->party[me].users[slot];

    code_put(code, user->state | user->wants << 2 | user->finished << 3 | user->peer_finished << 4);
    code_offset(code, &world->party[!me], user->number, user->life, user->sent);
    code_put(code, user->stored);
    code_put(code, stream->sendable);
    code_put(code, stream->granted);
    code_put(code, stream->taken);
}

static void code_slot(struct code *code, const struct world *world, int me, uint32_t slot)
{
    const struct stream *stream = &world->party[me].table[slot];
    const struct user *user = &world->party[me].users[slot];

    code_put(code, stream->state);
    code_put(code, stream->flags);
    code_put(code, stream->flags >> 8);
    if (stream->state != A_FREE || slot / MOST == (uint32_t)me)
        code_number(code, world, stream->number);
    if (user->state != NOBODY) {
        code_user(code, world, me, slot);
    } else if (stream->state != A_FREE) {
        code_put(code, stream->reason);
        code_offset(code, &world->party[!me], stream->number, user->life, user->sent);
    }
}

static void code_queue(struct code *code, const struct party *party, int which)
{
    uint32_t slot = party->streams.queues[which].first;

    for (uint32_t i = 0; i < SLOTS && slot < SLOTS; i++) {
        code_put(code, slot);
        slot = party->table[slot].next[which];
    }
    code_put(code, slot < SLOTS ? slot : SLOTS);
}

static void code_party(struct code *code, const struct world *world, int me)
{
    const struct party *party = &world->party[me];
    const struct streams *streams = &party->streams;

    code_put(code, party->left.opens[me]);
    code_put(code, party->left.resets[me]);
    code_put(code, party->left.refuses[me]);
    code_put(code, party->left.finishes[me]);
    code_put(code, party->left.closes[me]);
    code_put(code, party->left.deaths[me]);
    code_put(code, streams->ending | streams->owes_restart << 1 | streams->knows_peer << 2 |
                       streams->in_step << 3);
    code_put(code, party->left.deaths[me] ? party->index << 1 | party->wrote : 0);
    code_put(code, streams->epoch);
    code_put(code, streams->peer_epoch);
    for (int which = 0; which < 3; which++)
        code_queue(code, party, which);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        code_slot(code, world, me, slot);
}

static void code_pipe(struct code *code, const struct world *world, int from)
{
    const struct pipe *pipe = &world->pipe[from];

    code_put(code, pipe->count);
    code_put(code, pipe->read);
    for (int i = 0; i < pipe->count; i++) {
        const struct packet *packet = &pipe->packets[i];

        code_put(code, packet->frame.type);
        code_put(code, packet->frame.value);
        if (packet->frame.type >= STREAM_FRAME_RESTART) {
            code_put(code, packet->frame.number);
            continue;
        }
        code_put(code, number_slot(packet->frame.number));
        code_number(code, world, packet->frame.number);
        code_offset(code, &world->party[!from], packet->frame.number, packet->life, packet->offset);
    }
}

static uint64_t world_hash(const struct world *world)
{
    struct code code;
    uint64_t sum = 0x9e3779b97f4a7c15u;

    code.length = 0;
    for (int me = 0; me < 2; me++) {
        code_party(&code, world, me);
        code_pipe(&code, world, me);
    }
    while (code.length % 8)
        code_put(&code, 0);
    for (size_t i = 0; i < code.length / 8; i++) {
        sum = (sum ^ code.words[i]) * 0xff51afd7ed558ccdu;
        sum ^= sum >> 32;
    }
    return sum ? sum : 1;
}

/* ---- the search ---- */

struct node {
    uint32_t parent;
    struct move move;
};

struct wave {
    struct world *worlds;
    uint32_t *nodes;
    size_t count, room;
};

static struct {
    struct node *nodes;
    size_t count, room;
    uint64_t *known; /* hashes of the states; 0: none */
    size_t size;     /* a power of two */
    unsigned long transitions;
    struct wave waves[2]; /* being expanded, and those found */
} search;

static void *grow_array(void *array, size_t count, size_t size)
{
    array = realloc(array, count * size);
    if (!array)
        abort();
    return array;
}

/* Returns whether it was not known. */
static bool learn_hash(uint64_t hash)
{
    size_t i = hash & (search.size - 1);

    while (search.known[i] && search.known[i] != hash)
        i = (i + 1) & (search.size - 1);
    if (search.known[i])
        return false;
    search.known[i] = hash;
    return true;
}

static void learn_more(void)
{
    uint64_t *old = search.known;
    size_t size = search.size;

    search.size = size ? 2 * size : 1 << 16;
    search.known = calloc(search.size, sizeof(search.known[0]));
    if (!search.known)
        abort();
    for (size_t i = 0; i < size; i++)
        if (old[i])
            learn_hash(old[i]);
    free(old);
}

static void wave_add(struct wave *wave, const struct world *world, uint32_t node)
{
    if (wave->count == wave->room) {
        wave->room = wave->room ? 2 * wave->room : 1024;
        wave->worlds = grow_array(wave->worlds, wave->room, sizeof(wave->worlds[0]));
        wave->nodes = grow_array(wave->nodes, wave->room, sizeof(wave->nodes[0]));
    }
    wave->worlds[wave->count] = *world;
    wave->nodes[wave->count++] = node;
}

static void reach_world(const struct world *world, uint32_t parent, struct move move)
{
    search.transitions++;
    if (search.size < 2 * search.count + 2)
        learn_more();
    if (!broken[0] && !learn_hash(world_hash(world)))
        return;
    check_world(world);
    if (search.count == search.room) {
        search.room = search.room ? 2 * search.room : 1024;
        search.nodes = grow_array(search.nodes, search.room, sizeof(search.nodes[0]));
    }
    search.nodes[search.count] = (struct node){parent, move};
    wave_add(&search.waves[1], world, (uint32_t)search.count++);
}

static void expand_world(const struct world *world, uint32_t node)
{
    struct world next;
    struct move move = {.count = 1};

    do {
        world_copy(&next, world);
        if (play_move(&next, move) || broken[0])
            reach_world(&next, node, move);
    } while (!broken[0] && following_move(&move));
}

static void tell_moves(const struct move *moves, size_t count)
{
    struct world world;

    telling = true;
    world_begins(&world);
    for (size_t i = 0; i < count; i++)
        play_move(&world, moves[i]);
    telling = false;
    printf("%s: %s\n", setting->name, broken);
}

/* The last node's way. */
static void tell_search(void)
{
    struct move *moves = NULL;
    size_t count = 0, i;

    for (uint32_t at = (uint32_t)search.count - 1; at != 0; at = search.nodes[at].parent)
        count++;
    moves = grow_array(moves, count + 1, sizeof(moves[0]));
    i = count;
    for (uint32_t at = (uint32_t)search.count - 1; at != 0; at = search.nodes[at].parent)
        moves[--i] = search.nodes[at].move;
    tell_moves(moves, count);
    free(moves);
}

static void search_free(void)
{
    free(search.nodes);
    free(search.known);
    for (int i = 0; i < 2; i++) {
        free(search.waves[i].worlds);
        free(search.waves[i].nodes);
    }
    memset(&search, 0, sizeof(search));
}

/* Breadth first, so that a fault's trace is a shortest one. Returns whether all rules hold. */
static bool explore_world(const struct setting *of)
{
    struct world world;

    setting = of;
    broken[0] = '\0';
    world_begins(&world);
    reach_world(&world, 0, (struct move){0});
    while (!broken[0] && search.waves[1].count > 0) {
        struct wave wave = search.waves[0];

        search.waves[0] = search.waves[1];
        search.waves[1] = wave;
        search.waves[1].count = 0;
        wave = search.waves[0];
        for (size_t i = 0; i < wave.count && !broken[0]; i++)
            expand_world(&wave.worlds[i], wave.nodes[i]);
    }
    if (broken[0])
        tell_search();
    else
        printf("%s: %zu states, %lu transitions\n", of->name, search.count, search.transitions);
    fflush(stdout);
    search_free();
    return !broken[0];
}

/* ---- random walks ---- */

#define WALK 400   /* steps from one beginning */
#define REST 10000 /* more than a world takes to come to rest */

static struct {
    uint64_t random;
    struct world world;
    struct move moves[WALK + REST];
    size_t count;
} walk;

static uint32_t walk_random(uint32_t below)
{
    walk.random ^= walk.random << 13;
    walk.random ^= walk.random >> 7;
    walk.random ^= walk.random << 17;
    return (uint32_t)((walk.random >> 32) % below);
}

static bool walk_move(struct move move)
{
    static struct world before;

    world_copy(&before, &walk.world);
    walk.moves[walk.count++] = move;
    if (play_move(&walk.world, move) || broken[0]) {
        check_world(&walk.world);
        return true;
    }
    walk.count--;
    world_copy(&walk.world, &before);
    return false;
}

/* Some kind of move, of those that can be made. */
static void walk_on(void)
{
    struct move move = {.me = (uint8_t)walk_random(2)};
    uint32_t slots, at;

    do
        move.kind = (uint8_t)walk_random(KINDS);
    while (walk_random(kinds[move.kind].seldom) != 0);
    slots = kinds[move.kind].slots;
    at = walk_random(slots);
    move.count = (uint8_t)(1 + walk_random(kinds[move.kind].counts));
    for (uint32_t i = 0; i < slots; i++) {
        move.slot = (uint8_t)((at + i) % slots);
        if (walk_move(move))
            return;
    }
}

static bool walk_rests(void)
{
    struct move move = {.count = 1};

    do {
        if (move.kind <= PUBLISH && walk_move(move))
            return false;
    } while (following_move(&move));
    return true;
}

static bool random_walk(const struct setting *of, uint64_t seed, unsigned long steps)
{
    unsigned long made = 0;

    setting = of;
    broken[0] = '\0';
    walk.random = (2 * seed + 1) * 0x9e3779b97f4a7c15u;
    while (!broken[0] && made < steps) {
        world_begins(&walk.world);
        for (walk.count = 0; walk.count < WALK && !broken[0];)
            walk_on();
        while (!broken[0] && !walk_rests())
            if (walk.count >= WALK + REST - 1)
                break_rule("the sides never come to rest");
        made += walk.count;
    }
    if (broken[0])
        tell_moves(walk.moves, walk.count);
    printf("%s: seed %llu, %lu steps\n", of->name, (unsigned long long)seed, made);
    return !broken[0];
}

/* ---- the worlds ---- */

#define BOTH(x)                                                                                    \
    {                                                                                              \
        x, x                                                                                       \
    }

static const struct setting worlds[] = {
    {.name = "one stream",
     .credit = 2,
     .ring = 2,
     .burst = {2, 1},
     .opens = {1, 0},
     .at_once = {1, 0},
     .resets = BOTH(1),
     .refuses = {0, 1},
     .finishes = BOTH(1)},
    {.name = "credit",
     .credit = 3,
     .ring = 3,
     .burst = BOTH(2),
     .opens = {0, 1},
     .at_once = {0, 1},
     .finishes = {0, 1}},
    {.name = "places used again",
     .credit = 2,
     .ring = 2,
     .opens = {NO_LIMIT, 0},
     .at_once = {1, 0},
     .resets = {2, 2},
     .refuses = {0, 2},
     .finishes = BOTH(NO_LIMIT)},
    {.name = "both open",
     .credit = 2,
     .ring = 2,
     .opens = BOTH(2),
     .at_once = BOTH(2),
     .resets = {1, 0},
     .refuses = {0, 1},
     .finishes = BOTH(1)},
    {.name = "two streams send",
     .credit = 3,
     .ring = 2,
     .burst = {2, 0},
     .opens = {2, 0},
     .at_once = {2, 0},
     .finishes = {1, 0}},
    {.name = "closes",
     .credit = 2,
     .ring = 2,
     .burst = {1, 0},
     .opens = BOTH(1),
     .at_once = BOTH(1),
     .finishes = {1, 0},
     .closes = BOTH(1)},
    {.name = "one dies",
     .credit = 2,
     .ring = 2,
     .burst = {1, 0},
     .opens = {2, 1},
     .at_once = {1, 1},
     .deaths = {1, 0}},
    {.name = "one dies twice",
     .credit = 2,
     .ring = 3,
     .opens = {2, 2},
     .at_once = {1, 1},
     .deaths = {0, 2}},
    {.name = "both die",
     .credit = 2,
     .ring = 2,
     .opens = {2, 2},
     .at_once = {1, 1},
     .deaths = {1, 1}},
    {.name = "one dies, published late",
     .credit = 2,
     .ring = 2,
     .burst = {1, 0},
     .opens = {2, 1},
     .at_once = {1, 1},
     .deaths = {1, 0},
     .late = true},
    {.name = "two streams send both ways",
     .credit = 2,
     .ring = 2,
     .burst = {1, 1},
     .opens = BOTH(1),
     .at_once = BOTH(1)},
    {.name = "places used again, with bytes",
     .credit = 2,
     .ring = 3,
     .burst = {1, 1},
     .opens = {NO_LIMIT, 0},
     .at_once = {1, 0},
     .resets = {1, 1},
     .finishes = BOTH(NO_LIMIT)},
    {.name = "both die twice, published late",
     .credit = 2,
     .ring = 3,
     .opens = {1, 1},
     .at_once = {1, 1},
     .deaths = {2, 2},
     .late = true},
};

static const struct setting wide = {
    .name = "random walk",
    .credit = 3,
    .ring = 5,
    .burst = BOTH(2),
    .opens = BOTH(NO_LIMIT),
    .at_once = BOTH(MOST),
    .resets = BOTH(NO_LIMIT),
    .refuses = BOTH(NO_LIMIT),
    .finishes = BOTH(NO_LIMIT),
    .closes = BOTH(1),
    .deaths = BOTH(4),
    .late = true,
};

int main(int count, char **arguments)
{
    uint64_t seed = count > 1 ? strtoull(arguments[1], NULL, 0) : 1;
    unsigned long steps = count > 2 ? strtoul(arguments[2], NULL, 0) : 2000000;
    bool holds = true;

    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++)
        if (count <= 3 || strstr(worlds[i].name, arguments[3]))
            holds &= explore_world(&worlds[i]);
    if (steps > 0)
        holds &= random_walk(&wide, seed, steps);
    return holds ? 0 : 1;
}
