/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a wait tries before it sleeps, how a copy is made, and what is learned from both. The test
 * replaces the kernel's scheduler.
 */
#include <sched.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/check-main.h"
#include "vchan/spin.h"
#include "vchan/trial.h"

#define WAITS 20000

static int cpus;
static int yields;
static long away_ns; /* how long other processes then have the CPU */

/* If not 0, this is the time; each call advances it by TICK_NS, and one is an interruption. */
static long clock_ns;
static int clock_calls;
static int interrupted_call;

#define TICK_NS      10000
#define INTERRUPT_NS 100000000

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock_ns == 0)
        return (int)syscall(SYS_clock_gettime, clock, time);
    clock_ns += ++clock_calls == interrupted_call ? INTERRUPT_NS : TICK_NS;
    *time = (struct timespec){.tv_sec = clock_ns / 1000000000, .tv_nsec = clock_ns % 1000000000};
    return 0;
}

int get_nprocs(void)
{
    return cpus;
}

int sched_yield(void)
{
    const struct timespec away = {.tv_nsec = away_ns};

    yields++;
    return away_ns ? nanosleep(&away, NULL) : 0;
}

static void wait_for(struct spin *spin, uint32_t bytes)
{
    struct spin_attempt attempt = {0};

    if (spin_yield(spin, &attempt))
        spin_yield_end(spin, &attempt, bytes > 0, bytes);
}

static void wait_once(struct spin *spin, bool comes)
{
    wait_for(spin, comes ? 64 : 0);
}

static void setup(void)
{
    cpus = 2;
    yields = 0;
    away_ns = 0;
}

/* One wait: how many looks it took. Either the last one found something, or none did. */
static unsigned int looks(struct spin *spin, bool comes)
{
    struct spin_attempt attempt;
    unsigned int count = 0;

    if (!spin_start(spin, &attempt))
        return 0;
    while (spin_again(&attempt) && ++count < WAITS && !comes)
        ;
    spin_end(spin, &attempt, comes);
    return count;
}

/* With one CPU, the peer cannot answer meanwhile. */
START_TEST(does_not_look_on_one_cpu)
{
    struct spin spin = {0};

    cpus = 1;
    ck_assert_uint_eq(looks(&spin, true), 0);
}
END_TEST

/* How many pauses the first look of this process may take: the clock determines that. */
static uint32_t calibrate(int interrupted)
{
    struct spin spin = {0};
    struct spin_attempt attempt;

    interrupted_call = interrupted;
    clock_ns = 1;
    ck_assert(spin_start(&spin, &attempt));
    clock_ns = 0;
    return attempt.pauses;
}

/*
 * The interruption may come at any of the calls, or at none; a process for each. 256 pauses seem to
 * take TICK_NS.
 */
START_TEST(calibrates_despite_an_interruption)
{
    ck_assert_uint_eq(calibrate(_i), 256 * 50000 / TICK_NS);
}
END_TEST

/* A look is bounded, and is tried less and less often if it finds nothing. */
START_TEST(looks_seldom_in_vain)
{
    struct spin spin = {0};
    unsigned int tried = 0, count;

    for (int i = 0; i < WAITS; i++) {
        count = looks(&spin, false);
        ck_assert_uint_lt(count, WAITS);
        tried += count > 0;
    }
    ck_assert_uint_ge(tried, 1);
    ck_assert_uint_le(tried, WAITS / 1024 + 12);
    ck_assert(!spin_pays(&spin));
}
END_TEST

/* After one success, each wait looks again. */
START_TEST(looks_again_once_it_finds)
{
    struct spin spin = {0};

    for (int i = 0; i < 10; i++)
        looks(&spin, false);
    for (int i = 0; !spin_pays(&spin); i++) {
        ck_assert_msg(i < 1000 * WAITS, "it found something, and is done as seldom as before");
        looks(&spin, true);
    }
    ck_assert_uint_ge(looks(&spin, true), 1);
}
END_TEST

/* An idle peer does not take the CPU that is yielded, and nothing comes. */
START_TEST(yields_seldom_in_vain)
{
    struct spin spin = {0};

    for (int i = 0; i < WAITS; i++)
        wait_once(&spin, false);
    ck_assert_int_ge(yields, 1);
    ck_assert_int_le(yields, WAITS / 1024 + 12);
}
END_TEST

/*
 * A scheduler hands the CPU straight back to a side that has run less than the peer, for some time.
 */
START_TEST(yields_more_than_once)
{
    struct spin spin = {0};
    struct spin_attempt attempt = {0};

    ck_assert(spin_yield(&spin, &attempt));
    for (int i = 0; spin_yield(&spin, &attempt); i++) /* none, on a busy machine */
        ck_assert_msg(i < 1000 * WAITS, "it yields in vain for ever");
    spin_yield_end(&spin, &attempt, false, 0);
    ck_assert_int_eq(spin.yield.interval, 1);
}
END_TEST

/* Whatever happened before, a success makes the next wait yield again. */
START_TEST(yields_again_once_it_helps)
{
    struct spin spin = {0};

    for (int i = 0; spin.yield.interval <= 1; i++) { /* other processes may have the CPU, too */
        ck_assert_msg(i < 1000 * WAITS, "it is in vain, and is done as often as before");
        wait_once(&spin, false);
    }
    for (int i = 0; spin.yield.interval > 0; i++) { /* likewise */
        ck_assert_msg(i < 1000 * WAITS, "it helped, and is done as seldom as before");
        wait_once(&spin, true);
    }
    yields = 0;
    wait_once(&spin, true);
    ck_assert_int_eq(yields, 1);
}
END_TEST

/* The peer's bytes are there, but other processes had the CPU for long: sleeping is better. */
START_TEST(does_not_yield_to_others)
{
    struct spin spin = {0};
    unsigned int first;

    away_ns = 200000000; /* so that WAITS waits do not take 8 times as long */
    for (int i = 0; i < WAITS; i++)
        wait_once(&spin, true);
    ck_assert_int_eq(yields, 1);
    first = spin.rest;
    spin.crowded = 1; /* long ago */
    wait_once(&spin, true);
    ck_assert_int_eq(yields, 2);
    ck_assert_int_gt(spin.rest, first);
}
END_TEST

/* A peer needs longer to fill a large ring. */
START_TEST(yields_to_a_peer_that_has_much_to_do)
{
    struct spin spin = {0};

    away_ns = 2000000;
    wait_for(&spin, 1u << 30);
    wait_for(&spin, 1u << 30);
    ck_assert_int_eq(yields, 2);
}
END_TEST

/*
 * The two are learned separately: for a peer on our own CPU looking fails, and yielding succeeds.
 */
START_TEST(learns_each_by_itself)
{
    struct spin spin = {0};
    struct spin_attempt attempt;

    for (int i = 0; i < 100; i++) {
        attempt = (struct spin_attempt){0};
        spin_end(&spin, &attempt, false);
    }
    ck_assert(!spin_pays(&spin));
    ck_assert(!spin_start(&spin, &attempt));
    attempt = (struct spin_attempt){0};
    ck_assert(spin_yield(&spin, &attempt));
}
END_TEST

/*
 * Makes that many copies; one of the two ways takes an hour longer. Returns how many went that way.
 */
static int copies_by_the_slow_way(struct trial *trial, bool slow)
{
    int count = 0;

    for (int i = 0; i < WAITS; i++) {
        uint64_t since;
        bool second = trial_begin(trial, &since);

        if (since && second == slow)
            since -= UINT64_C(3600) * 1000000000u;
        trial_end(trial, second, 16384, since);
        count += second == slow;
    }
    return count;
}

/* Whichever way is faster, also when that changes. */
START_TEST(copies_the_faster_way)
{
    struct trial trial = {0};

    for (int i = 0; i < 4; i++)
        ck_assert_int_le(copies_by_the_slow_way(&trial, i % 2 == 0), WAITS / 512 + 512);
    ck_assert_int_le(copies_by_the_slow_way(&trial, false), WAITS / 512 + 1);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("spin");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, does_not_look_on_one_cpu);
    tcase_add_loop_test(tcase, calibrates_despite_an_interruption, 0, 17);
    tcase_add_test(tcase, looks_seldom_in_vain);
    tcase_add_test(tcase, looks_again_once_it_finds);
    tcase_add_test(tcase, yields_seldom_in_vain);
    tcase_add_test(tcase, yields_more_than_once);
    tcase_add_test(tcase, yields_again_once_it_helps);
    tcase_add_test(tcase, does_not_yield_to_others);
    tcase_add_test(tcase, yields_to_a_peer_that_has_much_to_do);
    tcase_add_test(tcase, learns_each_by_itself);
    tcase_add_test(tcase, copies_the_faster_way);
    return check_main("spin", tcase);
}
