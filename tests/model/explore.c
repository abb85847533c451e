/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/model/explore.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the world ---- */

/* One side: what its process knows. A crash loses everything that is not in xenstore. */
struct side {
    uint8_t alive : 1;
    uint8_t begun : 1, held : 1, ready : 1, draining : 1, drained : 1, finished : 1;
    uint8_t leaving : 1, failed : 1;
    /* backend: was Connected with this ring, and delivers whatever its state is */
    uint8_t connected : 1;
    uint8_t had_ring : 1;   /* it held a ring in this life */
    uint8_t dirty : 1;      /* an event tells it to look */
    uint8_t publishing : 1; /* it has acted, but not yet written its state */
    uint8_t next : 4;       /* the state to write */
    uint8_t ring : 4;       /* the ring that it holds */
    uint8_t index : 4;      /* its own index in the frontend's ring */
    uint8_t has_tried : 1;  /* it tried to map what was granted, since its last state */
    uint8_t tried : 4;      /* the ring that it tried; 0: there were no keys */
};

struct world {
    struct side side[2];
    uint8_t state[2];     /* F/state and B/state; 0: removed */
    uint8_t online : 1;   /* B/online */
    uint8_t unplugged : 1, removed : 1;
    uint8_t crashes : 3;  /* crashes still allowed */
    uint8_t lives : 3;    /* how often the frontend's program may still be restarted */
    uint8_t keys : 4;     /* the ring that ring-ref names; 0: none */
    uint8_t rings : 4;    /* made so far */
    uint8_t used : 4;     /* the ring through which bytes went last */
    uint8_t kept : 4;     /* the ring that exists even without its two processes; 0: none */
    uint8_t written : 4;  /* the ring that page[] belongs to: the last one granted */
    uint8_t live[2];      /* per side, of the frontend's current ring: 0 left, 1 here, 2 awaited */
    uint8_t page[2];      /* the ring's indices: written by the frontend, taken by the backend */
    /* bytes that the backend's connection has; it outlives the backend's process */
    uint8_t delivered;
    uint8_t meddles;      /* meddling still allowed */
    uint8_t strange;      /* there was some */
};

enum { F = MACHINE_FRONTEND, B = MACHINE_BACKEND };
static const char *const side_name[] = {"frontend", "backend"};

/* Bytes that a frontend writes in one life. */
#define BYTES 1

/* A value in a state node that is not an XenbusState. */
#define NONSENSE 9

/* ---- the search ---- */

/* Which actor did what. Only a trace makes text of it: there are millions of moves. */
struct move {
    const char *who;
    const char *verb;
    const char *what;
};

struct node {
    struct world world;
    uint32_t parent;
    uint32_t hash_next;
    struct move move;
};

struct search {
    explore_step_fn *step;
    const struct explore_limits *limits;
    struct explore_result *result;
    struct node *nodes;
    uint32_t count, room;
    uint32_t *buckets;
    uint32_t bucket_count;
    uint32_t at;      /* the node that is being expanded */
    bool progress;    /* the current move happens by itself (not a crash or a program's wish) */
    bool can_progress;
};

#define NO_NODE UINT32_MAX

static void fault(struct search *search, const char *text)
{
    if (search->result->fault[0] == '\0')
        snprintf(search->result->fault, sizeof(search->result->fault), "%s", text);
}

static uint32_t hash(const struct world *world)
{
    const uint8_t *bytes = (const uint8_t *)world;
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < sizeof(*world); i++)
        sum = (sum ^ bytes[i]) * 16777619u;
    return sum;
}

static void reach_by(struct search *search, const struct world *world, struct move move)
{
    uint32_t *bucket = &search->buckets[hash(world) % search->bucket_count];
    struct node *node;

    search->result->transitions++;
    search->can_progress |= search->progress;
    for (uint32_t i = *bucket; i != NO_NODE; i = search->nodes[i].hash_next) {
        if (memcmp(&search->nodes[i].world, world, sizeof(*world)) == 0)
            return;
    }
    if (search->count == search->room) {
        search->room = search->room ? search->room * 2 : 4096;
        search->nodes = realloc(search->nodes, search->room * sizeof(search->nodes[0]));
        if (!search->nodes)
            abort();
    }
    node = &search->nodes[search->count];
    node->world = *world;
    node->parent = search->at;
    node->hash_next = *bucket;
    node->move = move;
    *bucket = search->count++;
}

static void reach(struct search *search, const struct world *world, const char *who,
                  const char *what)
{
    reach_by(search, world, (struct move){who, "", what});
}

/* ---- what a side's process does: the model of state/endpoint.c ---- */

static enum xenbus_state seen(uint8_t state, enum xenbus_state nonsense)
{
    return state == NONSENSE ? nonsense : (enum xenbus_state)state;
}

static void view_of(const struct search *search, const struct world *world, int me,
                    struct machine_view *view)
{
    const struct side *side = &world->side[me];

    *view = (struct machine_view){
        .own = seen(world->state[me], XenbusStateClosed),
        .peer = seen(world->state[!me], XenbusStateUnknown),
        .online = world->online,
        .reattach = search->limits->reattach,
        .kept = me == B && !side->begun && world->kept,
        .begun = side->begun,
        .held = side->held,
        .ready = side->ready,
        .draining = side->draining,
        .drained = side->drained,
        .finished = side->finished,
        .leaving = side->leaving,
        .failed = side->failed,
        /* A page that the frontend has since replaced counts as left. */
        .lost = side->held && (world->side[F].ring != side->ring || world->live[!me] == 0),
    };
}

static void wake(struct world *world, int who)
{
    world->side[who].dirty = world->side[who].alive;
}

static void let_go(struct world *world, int me)
{
    struct side *side = &world->side[me];

    if (side->held && world->side[F].ring == side->ring) {
        world->live[me] = 0;
        wake(world, !me);
    }
    side->held = side->ready = side->draining = side->drained = side->finished = 0;
    side->connected = side->ring = side->index = 0;
}

/* Both return whether they succeeded. */
static bool grant(struct search *search, struct world *world)
{
    struct side *side = &world->side[F];

    if (side->held)
        fault(search, "the frontend grants while it holds a ring");
    if (world->state[F] == 0)
        return false; /* the device was removed meanwhile, so the keys' transaction fails */
    world->rings++;
    side->held = side->ready = side->had_ring = 1;
    side->ring = world->keys = world->written = world->rings;
    world->live[F] = 1;
    world->live[B] = 2;
    world->page[F] = world->page[B] = 0;
    return true;
}

/* The indices are taken over as they are in the page. */
static bool map(struct search *search, struct world *world, uint8_t ring)
{
    struct side *side = &world->side[B];

    if (side->held)
        fault(search, "the backend maps while it has a ring mapped");
    if (ring == 0 || (world->side[F].ring != ring && world->kept != ring))
        return false; /* nothing is granted there any more */
    side->held = 1;
    side->ring = ring & 15;
    side->index = world->page[B] & 15;
    world->kept = search->limits->keeps ? side->ring : 0;
    if (world->side[F].ring == ring)
        world->live[B] = 1;
    wake(world, F);
    return true;
}

/* Whether the frontend wrote something that was not delivered. */
static bool is_unread(const struct world *world, uint8_t ring)
{
    return ring == world->written && world->page[F] != world->page[B];
}

/* A service that starts anew releases what was kept for an earlier one. */
static void begin(struct search *search, struct world *world, int me)
{
    world->side[me].begun = 1;
    if (me == F || world->kept == 0)
        return;
    if (world->online && !world->strange && is_unread(world, world->kept))
        fault(search, "the backend begins anew, and there are bytes that were kept for it");
    world->kept = 0;
}

/*
 * A new connection, which has received nothing yet. (A meddling guest may offer a used ring as a
 * new one.)
 */
static bool map_new(struct search *search, struct world *world)
{
    world->side[B].has_tried = 1;
    world->side[B].tried = world->keys;
    if (world->side[F].ring != world->keys || !map(search, world, world->keys))
        return false; /* the port went with the frontend */
    if (!world->strange && world->used == world->keys)
        fault(search, "a ring is mapped as a new one after bytes went through it");
    world->delivered = 0;
    return true;
}

/* The previous connection continues. */
static bool reattach(struct search *search, struct world *world)
{
    struct side *side = &world->side[B];
    uint8_t ring = world->kept ? world->kept : world->keys;

    side->begun = 1;
    if (!search->limits->reattach)
        fault(search, "the backend reattaches, and has not offered it");
    if (!map(search, world, ring))
        return false;
    if (!world->strange && world->used != ring)
        fault(search, "the backend reattaches to a frontend that has started over");
    side->finished = world->state[B] == XenbusStateClosing;
    return true;
}

/* No sent byte may be dropped while a process exists, or will exist, that could deliver it. */
static void release(struct search *search, struct world *world, int me)
{
    const struct side *side = &world->side[me];
    bool wanted = !side->leaving && !side->failed && world->online && !world->strange;
    bool unread = is_unread(world, side->ring);

    if (!side->held)
        fault(search, "a side gives up a ring that it does not hold");
    if (me == B && wanted && unread && world->state[B] != 0)
        fault(search, "the backend gives up bytes that it has not delivered");
    if (me == F && wanted && unread && !world->side[B].held && search->limits->reattach &&
        world->state[B] != 0 && world->state[B] != XenbusStateClosed)
        fault(search, "the frontend gives up bytes that a backend will come back for");
    if (me == F)
        world->keys = 0;
    else
        world->kept = 0;
    let_go(world, me);
}

static bool act(struct search *search, struct world *world, int me, enum machine_action action)
{
    struct side *side = &world->side[me];

    switch (action) {
    case MACHINE_BEGIN:
        begin(search, world, me);
        return true;
    case MACHINE_GRANT:
        return grant(search, world);
    case MACHINE_MAP:
        return map_new(search, world);
    case MACHINE_REATTACH:
        return reattach(search, world);
    case MACHINE_DRAIN:
        side->draining = 1;
        side->drained |= me == B && !side->connected && (world->used != side->ring || !world->online);
        return true;
    case MACHINE_RELEASE:
        release(search, world, me);
        return true;
    default:
        return true;
    }
}

/* A resumed connection that is over does not become Connected again. */
static void resume(struct world *world)
{
    struct side *side = &world->side[B];
    bool over = world->state[B] == XenbusStateClosing || (side->draining && world->used == side->ring);

    side->connected |= side->held && side->ready && over;
}

/* A side looks: refresh, decide, act. Writing its state is a separate step. */
static void move_look(struct search *search, struct world world, int me)
{
    struct side *side = &world.side[me];
    struct machine_view view;
    struct machine_step step;

    if (!side->alive || !side->dirty || side->publishing)
        return;
    if (!side->held && world.state[me] == XenbusStateClosed)
        side->failed = 0;
    resume(&world);
    view_of(search, &world, me, &view);
    step = search->step((enum machine_role)me, &view);
    side->dirty = step.action != MACHINE_WAIT;
    if (!act(search, &world, me, step.action)) {
        side->failed = 1;
    } else if (step.action != MACHINE_WAIT && step.next != world.state[me]) {
        side->publishing = 1;
        side->next = step.next & 15;
    }
    reach(search, &world, side_name[me], machine_action_name(step.action));
}

/*
 * A backend writes Connected for its own rings, not for rings that a restarted frontend has since
 * granted.
 */
static bool is_stale(const struct world *world, int me)
{
    return me == B && world->side[B].held && world->side[B].next == XenbusStateConnected &&
           world->state[B] != XenbusStateReconfiguring &&
           (world->side[F].ring != world->side[B].ring || world->live[F] == 0);
}

/* A backend writes Closed for the frontend that it tried, not for the next one. */
static bool is_late(const struct world *world, int me)
{
    const struct side *side = &world->side[B];
    bool is_answer = world->online && !side->leaving && (side->has_tried || !side->failed);

    if (me != B || side->next != XenbusStateClosed || world->state[B] != XenbusStateInitWait || !is_answer)
        return false;
    return world->state[F] == XenbusStateInitialising ||
           (world->state[F] == XenbusStateInitialised &&
            (!side->has_tried || world->keys != side->tried));
}

static void check_answer(struct search *search, const struct world *world)
{
    const struct side *f = &world->side[F], *b = &world->side[B];

    if (b->next == XenbusStateClosed && world->state[B] == XenbusStateInitWait && world->online &&
        !b->leaving && !world->strange && f->alive && f->held &&
        world->state[F] == XenbusStateInitialised && f->ring != b->tried)
        fault(search, "a frontend is refused because of what the one before it had granted");
}

static void move_publish(struct search *search, struct world world, int me)
{
    struct side *side = &world.side[me];
    struct move move = {side_name[me], "writes ", xenbus_state_name(side->next)};

    if (!side->alive || !side->publishing)
        return;
    side->publishing = 0;
    if (is_late(&world, me)) {
        side->failed = 0;
    } else if (world.state[me] != 0 && world.state[me] != side->next && !is_stale(&world, me)) {
        if (me == B)
            check_answer(search, &world);
        world.state[me] = side->next;
        side->has_tried = side->tried = 0;
        wake(&world, !me);
        if (me == B && side->held && side->next == XenbusStateConnected) {
            world.used = side->ring;
            side->connected = 1;
        }
    }
    side->next = 0;
    wake(&world, me);
    reach_by(search, &world, move);
}

/* Only the frontend's bytes are modelled. */
static bool all_read(const struct world *world, int me)
{
    const struct side *side = &world->side[me];

    return me == F || world->written != side->ring || side->index == world->page[F];
}

/* The backend's process moves a byte: into its connection, and only then out of the ring. */
static void move_deliver(struct search *search, struct world world)
{
    struct side *side = &world.side[B];

    if (!side->alive || !side->connected || all_read(&world, B))
        return;
    if (side->index != world.delivered && !world.strange)
        fault(search, "the connection gets a byte again, or misses one");
    world.delivered++;
    side->index++;
    world.page[B] = side->index;
    wake(&world, F);
    reach(search, &world, "backend", "delivers a byte");
}

/* The connection opens; the peer's bytes are delivered. */
static void moves_of_connection(struct search *search, const struct world *world, int me)
{
    const struct side *side = &world->side[me];
    struct world next = *world;
    struct machine_view view;

    if (!side->alive || !side->held)
        return;
    view_of(search, world, me, &view);
    if (!side->ready) {
        next.side[me].ready = 1;
        resume(&next);
        wake(&next, me);
        reach(search, &next, side_name[me], "ready");
    }
    next = *world;
    if (!side->drained && side->ready && all_read(world, me) &&
        (side->draining || (view.lost && !search->limits->reattach))) { /* the ring shows it, too */
        next.side[me].drained = 1;
        wake(&next, me);
        reach(search, &next, side_name[me], "drained");
    }
}

/* ---- what may happen at any time ---- */

static void moves_of_program(struct search *search, const struct world *world, int me)
{
    const struct side *side = &world->side[me];
    struct world next = *world;

    if (side->alive && side->held && !side->finished &&
        world->state[me] == XenbusStateConnected) {
        next.side[me].finished = 1;
        wake(&next, me);
        reach(search, &next, side_name[me], "finished");
    }
    next = *world;
    if (me == F && side->alive && side->held && !side->finished &&
        world->state[F] == XenbusStateConnected && world->page[F] < BYTES) {
        next.page[F]++;
        wake(&next, B);
        reach(search, &next, "frontend", "writes a byte");
    }
    next = *world;
    if (me == F && side->alive && !side->leaving) {
        next.side[me].leaving = 1;
        wake(&next, me);
        reach(search, &next, "frontend", "closes");
    }
}

static void move_crash(struct search *search, struct world world, int me)
{
    if (!world.side[me].alive || world.crashes == 0)
        return;
    world.crashes--;
    let_go(&world, me);
    world.side[me] = (struct side){0};
    reach(search, &world, side_name[me], "killed");
}

/* A dead process is restarted. A frontend's program that has closed may also open again. */
static void move_start(struct search *search, struct world world, int me)
{
    struct side *side = &world.side[me];
    bool over = me == F && side->alive && !side->held && !side->dirty && !side->publishing &&
                world.state[F] == XenbusStateClosed;

    if (side->alive && !over)
        return;
    if (me == F && world.lives == 0)
        return;
    if (me == F)
        world.lives--;
    *side = (struct side){.alive = 1, .dirty = 1};
    reach(search, &world, side_name[me], "started");
}

/* A guest owns its state node, and may write anything there, or remove it. */
static void moves_of_meddler(struct search *search, const struct world *world)
{
    static const uint8_t states[] = {0, 1, 2, 3, 4, 5, 6, 7, NONSENSE};
    int me = search->limits->meddler;

    for (size_t i = 0; world->meddles > 0 && !world->removed && i < sizeof(states); i++) {
        struct world next = *world;

        if (next.state[me] == states[i])
            continue;
        next.meddles--;
        next.strange = 1;
        next.state[me] = states[i];
        wake(&next, F);
        wake(&next, B);
        reach(search, &next, "a guest", "meddles");
    }
}

static void moves_of_toolstack(struct search *search, const struct world *world)
{
    struct world next = *world;

    if (!world->unplugged && !world->removed) {
        next.unplugged = 1;
        next.online = 0;
        if (next.state[B] != XenbusStateClosed)
            next.state[B] = XenbusStateClosing;
        wake(&next, F);
        wake(&next, B);
        reach(search, &next, "toolstack", "unplugs");
    }
    next = *world;
    if (!world->removed) { /* by force, at any moment */
        next.removed = 1;
        next.online = 0;
        next.state[F] = next.state[B] = 0;
        next.keys = 0;
        wake(&next, F);
        wake(&next, B);
        reach(search, &next, "toolstack", "removes");
    }
}

/* ---- what has to hold ---- */

static bool at_rest(const struct world *world, int me)
{
    return !world->side[me].alive || (!world->side[me].dirty && !world->side[me].publishing);
}

/* Nothing more happens by itself: may the system stay like this? */
static void check_quiet(struct search *search, const struct world *world)
{
    const struct side *f = &world->side[F], *b = &world->side[B];
    uint8_t fs = world->state[F], bs = world->state[B];
    bool both = f->alive && b->alive;
    bool open = (fs == XenbusStateConnected || fs == XenbusStateClosing) &&
                (bs == XenbusStateConnected || bs == XenbusStateClosing) &&
                !(fs == XenbusStateClosing && bs == XenbusStateClosing);

    search->result->quiet++;
    if (!at_rest(world, F) || !at_rest(world, B))
        fault(search, "a side waits though it was told to look");
    if (world->removed && (f->held || b->held))
        fault(search, "a ring is held though the device is gone");
    if (b->held && !f->held)
        fault(search, "the backend keeps a ring that the frontend has left");
    if (f->held && !b->alive && world->live[B] != 2 && !search->limits->reattach)
        fault(search, "the frontend waits for a backend that died");
    if (!both || world->removed || world->strange)
        return;
    if (f->held != b->held)
        fault(search, "one side has the ring and waits for ever");
    if (f->held && !open)
        fault(search, "rings are held, and the states do not say so");
    if (world->online && !f->leaving && !f->had_ring)
        fault(search, "a frontend that started never gets a ring");
    if (!f->held && (fs != XenbusStateClosed || bs != XenbusStateClosed))
        fault(search, "both sides live, and it ends neither Connected nor Closed");
}

/*
 * Tries the moves that happen by themselves first; whether there are any decides if the state is
 * quiet.
 */
static void expand(struct search *search)
{
    struct world world = search->nodes[search->at].world;

    search->can_progress = false;
    search->progress = true;
    for (int me = F; me <= B; me++) {
        move_look(search, world, me);
        move_publish(search, world, me);
        moves_of_connection(search, &world, me);
    }
    move_deliver(search, world);
    if (!search->can_progress)
        check_quiet(search, &world);
    search->progress = false;
    for (int me = F; me <= B; me++) {
        moves_of_program(search, &world, me);
        move_crash(search, world, me);
        move_start(search, world, me);
    }
    moves_of_toolstack(search, &world);
    moves_of_meddler(search, &world);
}

/* ---- "for ever": no cycle of moves that go on by themselves ---- */

/*
 * Rings and lives are bounded, so the only way to go on for ever is to rewrite states in a circle.
 * From every state both sides run alternately, and must come to rest after a bounded number of
 * steps.
 */
static void check_settles(struct search *search, const struct world *from)
{
    struct search probe = {.step = search->step, .limits = search->limits};
    static struct explore_result scratch; /* what it has is of no interest */
    struct node scratch_node;
    struct world world = *from;
    uint32_t bucket;

    probe.result = &scratch;
    for (int turn = 0; turn < 200; turn++) {
        bool moved = false;

        for (int me = F; me <= B; me++) {
            bucket = NO_NODE;
            probe.nodes = &scratch_node;
            probe.room = 1;
            probe.count = 0;
            probe.buckets = &bucket;
            probe.bucket_count = 1;
            if (world.side[me].publishing)
                move_publish(&probe, world, me);
            else
                move_look(&probe, world, me);
            if (probe.count == 0)
                continue;
            world = scratch_node.world;
            moved = true;
        }
        if (!moved)
            return;
    }
    fault(search, "the two sides drive each other round for ever");
}

static void describe(const struct node *node, char *line, size_t size)
{
    const struct world *world = &node->world;
    char move[64];

    snprintf(move, sizeof(move), "%s: %s%s", node->move.who, node->move.verb, node->move.what);
    snprintf(line, size, "%-28s F=%-12s B=%-12s%s%s%s\n", move,
             xenbus_state_name(world->state[F]), xenbus_state_name(world->state[B]),
             world->side[F].held ? " F holds" : "", world->side[B].held ? " B holds" : "",
             world->online ? "" : " offline");
}

static void write_trace(struct search *search, uint32_t at)
{
    uint32_t path[256];
    unsigned int length = 0;
    char *out = search->result->trace;
    size_t left = sizeof(search->result->trace);

    for (; at != NO_NODE && length < 256; at = search->nodes[at].parent)
        path[length++] = at;
    while (length-- > 0 && left > 160) {
        describe(&search->nodes[path[length]], out, left);
        left -= strlen(out);
        out += strlen(out);
    }
}

void explore(explore_step_fn *step, const struct explore_limits *limits,
             struct explore_result *result)
{
    struct search search = {
        .step = step, .limits = limits, .result = result, .bucket_count = 1u << 20};
    struct world start;

    memset(result, 0, sizeof(*result));
    memset(&start, 0, sizeof(start));
    start.online = 1;
    start.lives = limits->restarts & 7;
    start.crashes = limits->crashes & 7;
    start.meddles = limits->meddles & 7;
    start.state[F] = start.state[B] = XenbusStateInitialising;
    search.buckets = malloc(search.bucket_count * sizeof(search.buckets[0]));
    if (!search.buckets)
        abort();
    memset(search.buckets, 0xff, search.bucket_count * sizeof(search.buckets[0]));
    search.at = NO_NODE;
    reach(&search, &start, "toolstack", "attaches");
    for (search.at = 0; search.at < search.count && result->fault[0] == '\0'; search.at++) {
        expand(&search);
        check_settles(&search, &search.nodes[search.at].world);
        if (result->fault[0] != '\0')
            write_trace(&search, search.at);
    }
    result->states = search.count;
    free(search.nodes);
    free(search.buckets);
}
