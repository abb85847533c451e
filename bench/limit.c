/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two CPUs can do at best, to compare with: a ring that does nothing but copy.
 *
 *   limit ring SIZE RING TOTAL   memcpy() in, an index, memcpy() out, in pieces of SIZE: bytes per second
 *   limit echo ROUNDS            one cache line there and back: median and 99th percentile, in seconds
 *
 * No wrap, no check, no signal, no fence, nobody ever sleeps, both indices in lines of their own. It prints one
 * JSON object.
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

static struct {
    uint32_t size, ring, total;
    uint8_t *data;
    uint32_t prod __attribute__((aligned(128)));
    uint32_t cons __attribute__((aligned(128)));
} work;

static double seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The other end runs on CPU 1 from its first instruction on, and we on CPU 0. */
static int start_other(void *(*run)(void *), pthread_t *other)
{
    pthread_attr_t attributes;
    cpu_set_t set;
    int error;

    CPU_ZERO(&set);
    CPU_SET(1, &set);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof(set), &set);
    error = pthread_create(other, &attributes, run, NULL);
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
    if (!work.data || start_other(empty_ring, &other) != 0)
        return 1;
    fill_ring();
    pthread_join(other, NULL);
    printf("{\"rate\": %.0f}\n", work.total / (seconds() - start));
    free(work.data);
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

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int run_echo(void)
{
    double *times = calloc(work.total, sizeof(times[0]));
    pthread_t other;

    if (!times || start_other(answer, &other) != 0)
        return 1;
    for (uint32_t i = 0; i < work.total; i++) {
        double start = seconds();

        store_release(&work.prod, i + 1);
        await_number(&work.cons, i, 1);
        times[i] = seconds() - start;
    }
    pthread_join(other, NULL);
    qsort(times, work.total, sizeof(times[0]), compare);
    printf("{\"median\": %.9f, \"p99\": %.9f}\n", times[work.total / 2],
           times[(uint64_t)work.total * 99 / 100]);
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
    if (argc == 3 && strcmp(argv[1], "echo") == 0 &&
        parse_number(argv[2], 1u << 24, &work.total) == 0 && work.total > 0)
        return run_echo();
    fprintf(stderr, "usage: limit ring SIZE RING TOTAL | limit echo ROUNDS\n");
    return 2;
}
