/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs two sides of a page, each an ordinary function over the shipped code, through every
 * interleaving. A step is one access to shared memory (tests/model/fuzz-barrier.h), one signal, or one
 * awakening. Stores reach memory as on x86: each side has a queue of its own, emptied step by step
 * and before every atomic, fence, signal and sleep; so an absent fence shows too.
 *
 * States that were seen are not gone through again. A state is what each side knows, the queues,
 * the fields of the page and the pending signals. What a side knows is all that it saw since
 * steps_forget(), and that function's argument: what it does next has to follow from these.
 */
#ifndef TESTS_MODEL_STEPS_H
#define TESTS_MODEL_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xenevtchn.h>

struct steps_scenario {
    const char *name;
    void (*begin)(void); /* before each run; its accesses are no steps */
    void (*side[2])(void);
    void (*end)(void);        /* after each run that came to its end */
    uint8_t *(*fields)(void); /* the 24 bytes of the page that count as state */
    bool forgets_nothing;     /* steps_forget() is without effect: slow, and the same schedules */
};

struct steps_result {
    unsigned long states;
    unsigned long runs; /* that it took */
    double schedules;   /* the interleavings that these stand for */
    char fault[256];    /* the first rule that was broken, or "" */
    char trace[16384];  /* the steps that led there, a line each */
};

/* Explores. Both ends of a run have to come: nobody sleeps for ever. */
void steps_explore(const struct steps_scenario *scenario, struct steps_result *result);

/*
 * A side sleeps until its port is signalled. False: the run is given up, the side shall release
 * what it has and return, without another wait.
 */
bool steps_wait(evtchn_port_t port);

/* One step that is no access: what it saw (0 if nothing) is part of what the side knows. */
void steps_saw(uint32_t value);

/* This is all that the caller goes by from now on. */
void steps_forget(uint64_t knows);

/* A hash, of more and more. */
uint64_t steps_hash(uint64_t hash, const void *bytes, size_t count);

/* Notes that a rule is broken; nothing happens if the run is given up already. */
void steps_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
