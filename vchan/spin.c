/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/spin.h"

#include <sched.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "state/clock.h"
#include "vchan/barrier.h"

/* About the cost of going to sleep and being woken. */
#define LOOK_NS 50000u

/*
 * After polling has failed: try at most one wait in INTERVAL_MAX, for 1/TRIAL_PART of a full poll.
 */
#define INTERVAL_MAX 1024
#define TRIAL_PART 4

/*
 * A fair scheduler hands the CPU straight back to whichever side has run less, until both are even.
 * That seldom takes longer than this.
 */
#define YIELD_NS 50000u

/*
 * If we get the CPU back later than this, other processes than the peer had it: the peer needs less
 * for each byte. That costs as much as a thousand waits, so yielding rests for a multiple of that
 * time, which doubles each time it happens again.
 */
#define AWAY_NS 1000000u
#define AWAY_BYTE_NS 2u
#define AWAY_REST_MIN 8
#define AWAY_REST_MAX 256

#define LINGER_NS 500u
#define LONG_NS 1000u

#define PAUSES_MAX 16

/* An interrupt makes a sample longer, so the shortest of several counts. */
#define SAMPLES       8
#define SAMPLE_PAUSES 256

/* Both are the same for the whole process, whichever thread computes them. 0: not known yet. */
static uint32_t pauses_in_a_look; /* pauses that take LOOK_NS */
static uint32_t cpus;

static void pause_once(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield");
#endif
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void pause_for(uint32_t pauses)
{
    for (uint32_t i = 0; i < pauses; i++)
        pause_once();
}

static uint64_t sample(void)
{
    uint64_t start = (uint64_t)clock_ns();

    pause_for(SAMPLE_PAUSES);
    return (uint64_t)clock_ns() - start;
}

static uint64_t shortest_sample(void)
{
    uint64_t shortest = sample();

    for (int i = 1; i < SAMPLES; i++) {
        uint64_t took = sample();

        if (took < shortest)
            shortest = took;
    }
    return shortest;
}

static uint32_t pauses_of_a_look(void)
{
    uint32_t pauses = load_once(&pauses_in_a_look);
    uint64_t took;

    if (pauses)
        return pauses;
    took = shortest_sample();
    pauses = (uint32_t)((uint64_t)SAMPLE_PAUSES * LOOK_NS / (took ? took : 1));
    store_once(&pauses_in_a_look, pauses);
    return pauses;
}

/* With one CPU, the peer cannot answer while we poll. */
static bool is_alone(void)
{
    if (load_once(&cpus) == 0)
        store_once(&cpus, (uint32_t)get_nprocs());
    return load_once(&cpus) == 1;
}

static bool is_time(struct spin_luck *luck)
{
    if (luck->skip == 0)
        return true;
    luck->skip--;
    return false;
}

static void learn(struct spin_luck *luck, bool came)
{
    if (came)
        luck->interval = 0;
    else if (luck->interval < INTERVAL_MAX)
        luck->interval = luck->interval ? luck->interval * 2 : 1;
    luck->skip = luck->interval;
}

bool spin_start(struct spin *spin, struct spin_attempt *attempt)
{
    if (!is_time(&spin->look) || is_alone())
        return false;
    attempt->pauses = pauses_of_a_look() / (spin->look.interval > 1 ? TRIAL_PART : 1);
    attempt->step = 1;
    attempt->spent = 0;
    attempt->since = 0;
    return true;
}

bool spin_is_long(const struct spin_attempt *attempt)
{
    return attempt->spent > pauses_of_a_look() / (LOOK_NS / LONG_NS);
}

bool spin_again(struct spin_attempt *attempt)
{
    if (attempt->pauses < attempt->step)
        return false;
    attempt->pauses -= attempt->step;
    attempt->spent += attempt->step;
    pause_for(attempt->step);
    if (attempt->step < PAUSES_MAX)
        attempt->step *= 2;
    if (attempt->since == 0 && spin_is_long(attempt))
        attempt->since = (uint64_t)clock_ns();
    return true;
}

void spin_linger(void)
{
    pause_for(pauses_of_a_look() / (LOOK_NS / LINGER_NS));
}

/* Polling took longer than its pauses do: something else had the CPU. */
static bool was_interrupted(const struct spin_attempt *attempt)
{
    return attempt->since && (uint64_t)clock_ns() - attempt->since > LOOK_NS;
}

void spin_end(struct spin *spin, const struct spin_attempt *attempt, bool came)
{
    learn(&spin->look, came && !was_interrupted(attempt));
}

/* Whether to begin yielding. */
static bool yield_pays(struct spin *spin, uint64_t now)
{
    return now >= spin->crowded && is_time(&spin->yield);
}

bool spin_yield(struct spin *spin, struct spin_attempt *attempt)
{
    uint64_t now = (uint64_t)clock_ns();

    if (attempt->since == 0 && !yield_pays(spin, now))
        return false;
    if (attempt->since == 0)
        attempt->since = now;
    if (now - attempt->since > YIELD_NS)
        return false;
    sched_yield();
    return true;
}

void spin_yield_end(struct spin *spin, const struct spin_attempt *attempt, bool good,
                    uint32_t bytes)
{
    uint64_t now = (uint64_t)clock_ns(), away = now - attempt->since;

    if (attempt->since == 0)
        return;
    learn(&spin->yield, good);
    if (away <= AWAY_NS + (uint64_t)bytes * AWAY_BYTE_NS)
        spin->rest = 0;
    else if (spin->rest < AWAY_REST_MAX)
        spin->rest = spin->rest ? spin->rest * 2 : AWAY_REST_MIN;
    spin->crowded = now + away * spin->rest;
}
