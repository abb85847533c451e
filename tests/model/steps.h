/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs two sides of a page, each an ordinary function over the shipped code, through every
 * interleaving. A step is one access to shared memory (tests/model/fuzz-barrier.h), one signal or
 * one wake-up. Stores reach memory as on x86: each side has a store queue, emptied step by step and
 * before every atomic, fence, signal and sleep, so that a missing fence shows.
 *
 * Known states are not explored again. A state consists of what each side knows, the queues, the
 * fields of the page and the pending signals. What a side knows is all that it saw since
 * steps_forget(), and that call's argument; its next action must depend on nothing else.
 */
#ifndef TESTS_MODEL_STEPS_H
#define TESTS_MODEL_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xenevtchn.h>

struct steps_scenario {
    const char *name;
    void (*begin)(void); /* before each run; its accesses are not steps */
    void (*side[2])(void);
    void (*end)(void);        /* after each complete run */
    uint8_t *(*fields)(void); /* the 24 bytes of the page that count as state */
    bool forgets_nothing;     /* steps_forget() does nothing: slow, but the same schedules */
};

struct steps_result {
    unsigned long states;
    unsigned long runs; /* runs that were needed */
    double schedules;   /* the interleavings that they cover */
    char fault[256];    /* the first rule broken, or "" */
    char trace[16384];  /* the steps that led there, one a line */
};

/* Explores. Both sides of a run must end: neither may sleep for ever. */
void steps_explore(const struct steps_scenario *scenario, struct steps_result *result);

/*
 * Sleeps until the side's port is signalled. Returns false if the run is abandoned: then the side
 * releases what it has and returns without waiting again.
 */
bool steps_wait(evtchn_port_t port);

/* A step that is not an access: value (0 if nothing) becomes part of what the side knows. */
void steps_saw(uint32_t value);

/* From now on the caller depends on nothing but knows. */
void steps_forget(uint64_t knows);

/* Extends a hash by more bytes. */
uint64_t steps_hash(uint64_t hash, const void *bytes, size_t count);

/* Records a broken rule. Does nothing if the run is already abandoned. */
void steps_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
