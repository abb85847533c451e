/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The best that two CPUs can do, for comparison: a ring that does nothing but copy.
 *
 *   limit ring SIZE RING TOTAL   memcpy() in, an index, memcpy() out, in pieces of SIZE: bytes per
 *                                second
 *   limit pass HOW SIZE TIMES    one CPU writes a block, then the other reads it: bytes per second
 *                                of the slower of the two copies (medians). HOW it is written:
 *                                memcpy, or past, as pvchan does if the reader is on another CPU
 *   limit echo ROUNDS            one cache line there and back: median and 99th percentile, in
 *                                seconds
 *
 * It has no wrap-around, checks, signals or fences, never sleeps, and keeps both indices in cache
 * lines of their own. It prints one JSON object.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "state/store.h"
#include "vchan/barrier.h"
#include "vchan/copy.h"

static struct {
    uint32_t size, ring, total;
    uint8_t *data;
    double *took[2]; /* times of each copy in, and of each copy out */
    uint32_t prod __attribute__((aligned(128)));
    uint32_t cons __attribute__((aligned(128)));
} work;

static double seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Starts the other end on CPU 1 from its first instruction; this end runs on CPU 0. */
static int start_other(void *(*run)(void *), void *arg, pthread_t *other)
{
    pthread_attr_t attributes;
    cpu_set_t set;
    int error;

    CPU_ZERO(&set);
    CPU_SET(1, &set);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
    error = pthread_create(other, &attributes, run, arg);
    pthread_attr_destroy(&attributes);
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return error ? error : sched_setaffinity(0, sizeof(set), &set);
}

static void await_number(const uint32_t *at, uint32_t from, uint32_t distance)
{
    while (load_acquire(at) - from < distance)
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void *empty_ring(void *arg)
{
    uint8_t *to = calloc(1, work.size);

    (void)arg;
    for (uint32_t done = 0; to && done < work.total; done += work.size) {
        await_number(&work.prod, done, work.size);
        memcpy(to, work.data + done % work.ring, work.size);
        store_release(&work.cons, done + work.size);
    }
    free(to);
    return NULL;
}

static void fill_ring(void)
{
    uint8_t *from = calloc(1, work.size);

    for (uint32_t done = 0; from && done < work.total; done += work.size) {
        await_number(&work.cons, done - work.ring, work.size);
        memcpy(work.data + done % work.ring, from, work.size);
        store_release(&work.prod, done + work.size);
    }
    free(from);
}

static int run_ring(void)
{
    double start;
    pthread_t other;

    work.data = calloc(1, work.ring);
    start = seconds();
    if (!work.data || start_other(empty_ring, NULL, &other) != 0)
        return 1;
    fill_ring();
    pthread_join(other, NULL);
    printf("{\"rate\": %.0f}\n", work.total / (seconds() - start));
    free(work.data);
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A percentile of times, which it sorts. */
static double percentile(double *times, uint32_t count, uint32_t percent)
{
    qsort(times, count, sizeof(times[0]), compare);
    return times[(uint64_t)count * percent / 100];
}

static void copy_plain(uint8_t *to, const uint8_t *from, size_t size)
{
    memcpy(to, from, size);
}

typedef void copier(uint8_t *to, const uint8_t *from, size_t size);

static double copy(copier *how, uint8_t *to, const uint8_t *from)
{
    double start = seconds();

    how(to, from, work.size);
    __asm__ __volatile__("" : : "r"(to) : "memory");
    return seconds() - start;
}

static void *read_block(void *arg)
{
    uint8_t *to = arg;

    for (uint32_t i = 0; i < work.total; i++) {
        await_number(&work.prod, i, 1);
        work.took[1][i] = copy(copy_plain, to, work.data);
        store_release(&work.cons, i + 1);
    }
    return NULL;
}

static int run_pass(copier *how)
{
    uint8_t *from = calloc(1, work.size), *to = calloc(1, work.size);
    double in, out;
    pthread_t other;

    work.data = calloc(1, work.size);
    work.took[0] = calloc(work.total, sizeof(double));
    work.took[1] = calloc(work.total, sizeof(double));
    if (!from || !to || !work.data || !work.took[0] || !work.took[1] ||
        start_other(read_block, to, &other) != 0)
        return 1;
    for (uint32_t i = 0; i < work.total; i++) {
        work.took[0][i] = copy(how, work.data, from);
        store_release(&work.prod, i + 1);
        await_number(&work.cons, i, 1);
    }
    pthread_join(other, NULL);
    in = work.size / percentile(work.took[0], work.total, 50);
    out = work.size / percentile(work.took[1], work.total, 50);
    printf("{\"rate\": %.0f, \"in\": %.0f, \"out\": %.0f}\n", in < out ? in : out, in, out);
    return 0;
}

static void *answer(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < work.total; i++) {
        await_number(&work.prod, i, 1);
        store_release(&work.cons, i + 1);
    }
    return NULL;
}

static int run_echo(void)
{
    double *times = calloc(work.total, sizeof(times[0]));
    pthread_t other;

    if (!times || start_other(answer, NULL, &other) != 0)
        return 1;
    for (uint32_t i = 0; i < work.total; i++) {
        double start = seconds();

        store_release(&work.prod, i + 1);
        await_number(&work.cons, i, 1);
        times[i] = seconds() - start;
    }
    pthread_join(other, NULL);
    printf("{\"median\": %.9f, \"p99\": %.9f}\n", percentile(times, work.total, 50),
           percentile(times, work.total, 99));
    free(times);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "ring") == 0 &&
        parse_number(argv[2], 1u << 20, &work.size) == 0 &&
        parse_number(argv[3], 1u << 20, &work.ring) == 0 &&
        parse_number(argv[4], UINT32_MAX, &work.total) == 0 && work.size > 0 &&
        work.ring % work.size == 0 && work.total % work.size == 0)
        return run_ring();
    if (argc == 5 && strcmp(argv[1], "pass") == 0 &&
        (strcmp(argv[2], "memcpy") == 0 || strcmp(argv[2], "past") == 0) &&
        parse_number(argv[3], 1u << 20, &work.size) == 0 &&
        parse_number(argv[4], 1u << 24, &work.total) == 0 && work.size > 0 && work.total > 0)
        return run_pass(argv[2][0] == 'm' ? copy_plain : copy_past_caches);
    if (argc == 3 && strcmp(argv[1], "echo") == 0 &&
        parse_number(argv[2], 1u << 24, &work.total) == 0 && work.total > 0)
        return run_echo();
    fprintf(stderr, "usage: limit ring SIZE RING TOTAL | limit pass HOW SIZE TIMES | limit echo ROUNDS\n");
    return 2;
}
