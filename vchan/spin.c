/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/spin.h"

#include <sched.h>
#include <time.h>

#include "vchan/barrier.h"

/* About what going to sleep and being woken costs; and a wait of that kind with the waking in it. */
#define LOOK_NS 50000u
#define SHORT_SLEEP_NS 150000u

/* After so many sleeps that were long, there is no looking until one is short. */
#define MISSES_MAX 6

#define PAUSES_MAX 16
#define CALIBRATION 2048

/* Both are the process's, and the same whoever computes them. 0: not known yet. */
static uint32_t pauses_in_a_look; /* that take LOOK_NS */
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

static uint64_t nanoseconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint32_t pauses_of_a_look(void)
{
    uint32_t pauses = load_once(&pauses_in_a_look);
    uint64_t start, took;

    if (pauses)
        return pauses;
    start = nanoseconds();
    for (int i = 0; i < CALIBRATION; i++)
        pause_once();
    took = nanoseconds() - start;
    pauses = (uint32_t)((uint64_t)CALIBRATION * LOOK_NS / (took ? took : 1));
    store_once(&pauses_in_a_look, pauses);
    return pauses;
}

static void count_cpus(void)
{
    cpu_set_t set;

    store_once(&cpus, sched_getaffinity(0, sizeof(set), &set) < 0 ? 2u : (uint32_t)CPU_COUNT(&set));
}

bool spin_is_off(void)
{
    if (load_once(&cpus) == 0)
        count_cpus();
    return load_once(&cpus) == 1;
}

void spin_start(const struct spin *spin, struct spin_turn *turn)
{
    turn->pauses = spin->misses < MISSES_MAX ? pauses_of_a_look() >> spin->misses : 0;
    turn->step = 1;
}

bool spin_again(struct spin_turn *turn)
{
    if (turn->pauses < turn->step)
        return false;
    turn->pauses -= turn->step;
    for (uint32_t i = 0; i < turn->step; i++)
        pause_once();
    if (turn->step < PAUSES_MAX)
        turn->step *= 2;
    return true;
}

void spin_hit(struct spin *spin)
{
    spin->misses = 0;
}

void spin_slept(struct spin *spin, uint64_t took)
{
    if (took <= SHORT_SLEEP_NS)
        spin->misses = 0;
    else if (spin->misses < MISSES_MAX)
        spin->misses++;
    count_cpus(); /* somebody may have moved us to one CPU, or off it */
}
