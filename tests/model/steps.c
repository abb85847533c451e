/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/model/steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/lib/fake-xen.h"
#include "vchan/barrier.h"

#define DEPTH_MAX 1000u
#define QUEUE_MAX 8u
#define FIELDS    24u

/* Far apart, so that valgrind recognises them as stacks. */
#define STACK_SIZE   (256u << 10)
#define STACK_STRIDE (8u << 20)

#define TABLE_SIZE (1u << 21)

struct store {
    const volatile void *pointer;
    unsigned int size;
    uint32_t value;
};

/*
 * Code on a stack of its own. swapcontext() would also save the signal mask, with two system calls
 * at each step.
 */
struct thread {
    ucontext_t start;
    bool started;
    jmp_buf stopped;
};

struct side {
    struct thread thread;
    bool finished;
    bool asleep;
    evtchn_port_t port; /* the port that would wake it */
    enum shared_kind next;
    uint64_t history;
    struct store queue[QUEUE_MAX];
    unsigned int queued;
};

/* The possible moves: side 0 or 1 takes its next step, or its oldest store reaches memory. */
enum move { RUN_0, RUN_1, FLUSH_0, FLUSH_1, MOVES };

struct event {
    enum move move;
    int what; /* an enum shared_kind, or one of these */
    uint32_t offset, value;
};
enum { EVENT_WAKE = 100, EVENT_SAW, EVENT_FLUSH };

/* A state on the path to the current one. */
struct frame {
    uint64_t key;
    unsigned int untried; /* a set of moves */
    enum move taken;
    double schedules;
};

static struct {
    const struct steps_scenario *scenario;
    struct steps_result *result;
    struct side sides[2];
    unsigned int current;
    bool stepping;
    bool giving_up;
    struct thread scheduler;
    uint8_t *stacks;
    struct frame path[DEPTH_MAX + 1];
    unsigned int replayed, replay_end; /* moves of the path that are being replayed */
    struct event events[DEPTH_MAX + 1];
    unsigned int happened;
    struct {
        uint64_t key; /* 0: free */
        double schedules;
    } * seen;
} steps;

/* ---- texts ---- */

static const char *field_name(uint32_t offset)
{
    static const char *const names[FIELDS] = {
        [0] = "left.cons", [4] = "left.prod", [8] = "right.cons",  [12] = "right.prod",
        [20] = "cli_live", [21] = "srv_live", [22] = "cli_notify", [23] = "srv_notify",
    };

    return offset < FIELDS && names[offset] ? names[offset] : "-";
}

static const char *event_name(int what)
{
    switch (what) {
    case SHARED_LOAD:
        return "load";
    case SHARED_STORE:
        return "store";
    case SHARED_OR:
        return "or, was";
    case SHARED_AND:
        return "and, was";
    case SHARED_FENCE:
        return "fence";
    case SHARED_CALL:
        return "signals or sleeps";
    case EVENT_WAKE:
        return "wakes";
    case EVENT_SAW:
        return "saw";
    default:
        return "store reaches memory:";
    }
}

static void write_trace(char *to, size_t room)
{
    size_t at = 0;

    for (unsigned int i = 0; i < steps.happened && at < room; i++) {
        const struct event *event = &steps.events[i];

        at += (size_t)snprintf(to + at, room - at, "  %s %s %s %u\n",
                               event->move % 2 ? "client" : "server", event_name(event->what),
                               field_name(event->offset), event->value);
    }
}

void steps_fault(const char *format, ...)
{
    va_list args;

    if (steps.giving_up || steps.result->fault[0])
        return;
    va_start(args, format);
    vsnprintf(steps.result->fault, sizeof(steps.result->fault), format, args);
    va_end(args);
    write_trace(steps.result->trace, sizeof(steps.result->trace));
}

/* ---- a side's view: accesses ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ (value + 1)) * 0x9e3779b97f4a7c15u; /* so that a zero counts, too */
    return hash ^ hash >> 29;
}

static void remember(enum move move, int what, const volatile void *pointer, uint32_t value)
{
    struct event *event = &steps.events[steps.happened];
    uint32_t bytes;
    const uint8_t *address = (const uint8_t *)(uintptr_t)pointer;
    const uint8_t *area = pointer ? fake_area(address, &bytes) : NULL;

    if (steps.happened < DEPTH_MAX)
        steps.happened++;
    *event = (struct event){.move = move, .what = what, .offset = FIELDS, .value = value};
    if (area)
        event->offset = (uint32_t)(address - area);
}

static void flush(unsigned int number)
{
    struct side *side = &steps.sides[number];
    struct store oldest = side->queue[0];

    side->queued--;
    memmove(side->queue, side->queue + 1, side->queued * sizeof(side->queue[0]));
    shared_perform(SHARED_STORE, oldest.pointer, oldest.size, oldest.value);
    remember(number == 0 ? FLUSH_0 : FLUSH_1, EVENT_FLUSH, oldest.pointer, oldest.value);
}

static void switch_to(struct thread *from, struct thread *to)
{
    from->started = true;
    if (_setjmp(from->stopped))
        return;
    if (to->started)
        _longjmp(to->stopped, 1);
    setcontext(&to->start);
}

/*
 * Switches to what comes next: directly on a known path, otherwise to where the next move is
 * chosen.
 */
static void yield(void)
{
    unsigned int me = steps.current;

    while (steps.replayed < steps.replay_end) {
        enum move move = steps.path[steps.replayed++].taken;

        if (move == RUN_0 + me)
            return;
        if (move == RUN_0 || move == RUN_1) {
            steps.current = 1 - me;
            switch_to(&steps.sides[me].thread, &steps.sides[1 - me].thread);
            return;
        }
        flush(move - FLUSH_0);
    }
    switch_to(&steps.sides[me].thread, &steps.scheduler);
}

/* A side sees its own stores at once. */
static uint32_t load(const struct side *side, const volatile void *pointer, unsigned int size)
{
    for (unsigned int i = side->queued; i-- > 0;)
        if (side->queue[i].pointer == pointer)
            return side->queue[i].value;
    return shared_perform(SHARED_LOAD, pointer, size, 0);
}

static uint32_t access_queued(struct side *side, enum shared_kind kind,
                              const volatile void *pointer, unsigned int size, uint32_t value)
{
    if (kind == SHARED_LOAD)
        return load(side, pointer, size);
    if (kind != SHARED_STORE)
        return shared_perform(kind, pointer, size, value);
    side->queue[side->queued++] = (struct store){pointer, size, value};
    return value;
}

/* An access that neither side can notice in the other is not a step. */
static bool is_step(const struct side *side, enum shared_kind kind)
{
    if (kind == SHARED_STORE)
        return side->queued == QUEUE_MAX;
    return kind != SHARED_FENCE || side->queued > 0;
}

uint32_t shared_access(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                       uint32_t value)
{
    struct side *side = &steps.sides[steps.current];
    uint32_t result;

    if (steps.stepping && !steps.giving_up && is_step(side, kind)) {
        side->next = kind;
        yield();
    }
    if (!steps.stepping || steps.giving_up)
        return shared_perform(kind, pointer, size, value);
    result = access_queued(side, kind, pointer, size, value);
    side->history = mix(side->history, (uint64_t)kind << 32 | result);
    remember((enum move)steps.current, (int)kind, pointer, result);
    return result;
}

bool steps_wait(evtchn_port_t port)
{
    struct side *side = &steps.sides[steps.current];

    shared_access(SHARED_CALL, NULL, 0, 0);
    if (steps.giving_up)
        return false;
    side->asleep = true;
    side->port = port;
    yield();
    side->asleep = false;
    if (steps.giving_up)
        return false;
    fake_take(port);
    side->history = mix(side->history, EVENT_WAKE);
    remember((enum move)steps.current, EVENT_WAKE, NULL, port);
    return true;
}

void steps_saw(uint32_t value)
{
    struct side *side = &steps.sides[steps.current];

    side->history = mix(side->history, (uint64_t)EVENT_SAW << 32 | value);
    if (!steps.giving_up)
        remember((enum move)steps.current, EVENT_SAW, NULL, value);
}

void steps_forget(uint64_t knows)
{
    if (!steps.scenario->forgets_nothing)
        steps.sides[steps.current].history = knows;
}

uint64_t steps_hash(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < count; i++)
        hash = mix(hash, byte[i]);
    return hash;
}

/* ---- one run ---- */

static void run_side(void)
{
    steps.scenario->side[steps.current]();
    steps.sides[steps.current].finished = true;
    yield();
}

static void start_side(unsigned int number)
{
    struct side *side = &steps.sides[number];

    memset(side, 0, sizeof(*side));
    side->history = 1;
    getcontext(&side->thread.start);
    side->thread.start.uc_stack.ss_sp = steps.stacks + number * STACK_STRIDE;
    side->thread.start.uc_stack.ss_size = STACK_SIZE;
    makecontext(&side->thread.start, run_side, 0);
}

static void resume(unsigned int number)
{
    steps.current = number;
    switch_to(&steps.scheduler, &steps.sides[number].thread);
}

static void start_run(void)
{
    steps.stepping = steps.giving_up = false;
    steps.happened = 0;
    steps.replayed = steps.replay_end = 0;
    steps.scenario->begin();
    steps.stepping = true;
    for (unsigned int i = 0; i < 2; i++) {
        start_side(i);
        resume(i); /* runs it up to its first step */
    }
    steps.result->runs++;
}

/* Lets the sides release what they have. */
static void stop_run(void)
{
    for (unsigned int i = 0; i < 2; i++)
        while (steps.sides[i].queued > 0)
            flush(i);
    steps.giving_up = true;
    for (unsigned int i = 0; i < 2; i++)
        while (!steps.sides[i].finished)
            resume(i);
    steps.stepping = false;
}

static bool side_can_run(const struct side *side)
{
    if (side->finished)
        return false;
    if (side->asleep)
        return fake_pending(side->port);
    if (side->next == SHARED_LOAD)
        return true;
    return side->next == SHARED_STORE ? side->queued < QUEUE_MAX : side->queued == 0;
}

static unsigned int moves_possible(void)
{
    unsigned int moves = 0;

    for (unsigned int i = 0; i < 2; i++) {
        moves |= side_can_run(&steps.sides[i]) ? 1u << (RUN_0 + i) : 0;
        moves |= steps.sides[i].queued > 0 ? 1u << (FLUSH_0 + i) : 0;
    }
    return moves;
}

static void make_move(enum move move)
{
    if (move == FLUSH_0 || move == FLUSH_1)
        flush(move - FLUSH_0);
    else
        resume(move - RUN_0);
}

static uint64_t state_key(void)
{
    const uint8_t *fields = steps.scenario->fields();
    uint64_t key = 1;

    for (unsigned int i = 0; i < 2; i++) {
        const struct side *side = &steps.sides[i];

        key = mix(key, side->history);
        key = mix(key, side->asleep + 2u * side->finished +
                           4u * (side->asleep && fake_pending(side->port)));
        for (unsigned int j = 0; j < side->queued; j++)
            key = mix(key, (uint64_t)(uintptr_t)side->queue[j].pointer % FAKE_PAGE << 32 |
                               side->queue[j].value);
        key = mix(key, side->queued);
    }
    for (unsigned int i = 0; i < FIELDS; i++)
        key = mix(key, fields[i]);
    return mix(key, fake_signals()) | 1;
}

/* ---- all runs ---- */

static double *seen_at(uint64_t key, bool *known)
{
    size_t at = key >> 20 & (TABLE_SIZE - 1);

    while (steps.seen[at].key != 0 && steps.seen[at].key != key)
        at = (at + 1) & (TABLE_SIZE - 1);
    *known = steps.seen[at].key == key;
    steps.seen[at].key = key;
    return &steps.seen[at].schedules;
}

/* A state without moves: both sides have ended, or one never will. */
static void check_end(void)
{
    static const char *const names[2] = {"server", "client"};

    for (unsigned int i = 0; i < 2; i++)
        if (!steps.sides[i].finished)
            steps_fault("the %s sleeps for ever", names[i]);
    if (!steps.result->fault[0])
        steps.scenario->end();
}

/*
 * Runs from the start along the path to its last state but one, then makes that state's next move.
 */
static void replay(unsigned int depth)
{
    start_run();
    steps.replay_end = depth;
    while (steps.replayed < steps.replay_end)
        make_move(steps.path[steps.replayed++].taken);
}

/* Records the current state, new on the path. Returns whether there are moves to explore. */
static bool enter(unsigned int depth)
{
    struct frame *frame = &steps.path[depth];
    bool known;
    double *schedules;

    frame->key = state_key();
    frame->untried = 0;
    schedules = seen_at(frame->key, &known);
    frame->schedules = known ? *schedules : 0;
    if (known)
        return false;
    if (++steps.result->states >= TABLE_SIZE / 2 || depth == DEPTH_MAX - 2 * QUEUE_MAX) {
        steps_fault("there is no end to it: %lu states, %u steps", steps.result->states, depth);
        return false;
    }
    frame->untried = moves_possible();
    if (frame->untried)
        return true;
    check_end();
    frame->schedules = *schedules = 1;
    return false;
}

/* Leaves states whose moves were all tried. Returns the depth of one with a move left, or -1. */
static int back_up(int depth)
{
    bool known;

    while (depth >= 0 && steps.path[depth].untried == 0) {
        *seen_at(steps.path[depth].key, &known) = steps.path[depth].schedules;
        if (depth > 0)
            steps.path[depth - 1].schedules += steps.path[depth].schedules;
        depth--;
    }
    return depth;
}

static enum move next_move(struct frame *frame)
{
    frame->taken = (enum move)__builtin_ctz(frame->untried);
    frame->untried &= frame->untried - 1;
    return frame->taken;
}

static void explore_all(void)
{
    int depth = 0;

    start_run();
    for (bool goes_on = enter(0);;) {
        if (!goes_on) {
            stop_run();
            depth = steps.result->fault[0] ? -1 : back_up(depth);
            if (depth < 0)
                return;
            replay((unsigned int)depth);
        }
        make_move(next_move(&steps.path[depth]));
        depth++;
        goes_on = !steps.result->fault[0] && enter((unsigned int)depth);
    }
}

static void *get_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        perror("steps: memory");
        exit(99);
    }
    return memory;
}

void steps_explore(const struct steps_scenario *scenario, struct steps_result *result)
{
    memset(result, 0, sizeof(*result));
    steps.scenario = scenario;
    steps.result = result;
    fake_keep_mappings();
    steps.stacks = get_memory(2u * STACK_STRIDE);
    steps.seen = get_memory(TABLE_SIZE * sizeof(steps.seen[0]));
    explore_all();
    result->schedules = steps.path[0].schedules;
    munmap(steps.seen, TABLE_SIZE * sizeof(steps.seen[0]));
    munmap(steps.stacks, 2u * STACK_STRIDE);
}
