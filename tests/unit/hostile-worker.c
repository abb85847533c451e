/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/worker/worker.h beside workers that a guest has taken over: this program itself, which
 * does to the broker whatever it can. An honest worker beside each of them serves on, and nothing
 * is left: no process, no descriptor. HOSTILE_SECONDS=600 tries random ones for so long (make
 * hostile).
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/log.h"
#include "service/quota.h"
#include "service/packets.h"
#include "service/worker/worker.h"
#include "state/clock.h"
#include "tests/lib/check-main.h"

/* What a process is is said by the peer that it is to map rings of. */
enum peer {
    HONEST,
    BABBLES,  /* sends packets of random bytes and sizes */
    LIES,     /* sends statuses of random contents, with the right era */
    FLOODS,   /* sends valid statuses as fast as they are taken */
    PASSES,   /* sends descriptors along */
    DEAF,     /* reads nothing any more */
    DIES,     /* as soon as it is asked for rings */
    VANISHES, /* closes its socket, and stays */
    GROWS,    /* writes into its counts, and tries to take them away */
    FAILS,    /* says that it has failed, but has rings */
    PEERS,
};

static unsigned int seed;

static uint32_t random_number(void)
{
    return (uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed);
}

/* ---- the worker ---- */

static struct worker_status honest = {.version = WORKER_VERSION};
static int counts_fd = -1;

static bool tell(const void *packet, size_t size, const int *fds, unsigned int count)
{
    int rc = packets_send(WORKER_FD, packet, size, fds, count);

    return rc == 0 || rc == -EAGAIN;
}

static void scramble(void *memory, size_t size)
{
    uint8_t *bytes = memory;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_number();
}

static void babble(void)
{
    static uint8_t bytes[65536];
    size_t size = random_number() % (random_number() % 2 ? sizeof(bytes) : sizeof(honest) + 8);

    scramble(bytes, size);
    if (random_number() % 2 && size > sizeof(uint32_t[2]))
        memcpy(bytes + sizeof(uint32_t), &honest.era, sizeof(honest.era));
    if (size > 0 && !tell(bytes, size, NULL, 0))
        _exit(0);
}

static void lie(void)
{
    struct worker_status status = honest;
    uint32_t *words = (uint32_t *)&status;
    size_t count = sizeof(status) / sizeof(*words);

    for (uint32_t i = random_number() % 4; i > 0; i--)
        words[2 + random_number() % (count - 2)] =
            random_number() % 2 ? random_number() : (uint32_t) - (int32_t)(random_number() % 200);
    if (!tell(&status, sizeof(status), NULL, 0))
        _exit(0);
}

static void pass(void)
{
    const int fds[PACKETS_FDS_MAX] = {0, 1, 2};

    if (!tell(&honest, sizeof(honest), fds, PACKETS_FDS_MAX))
        _exit(0);
}

static void flood(void)
{
    honest.pending = (honest.pending + 1) % 1000;
    if (!tell(&honest, sizeof(honest), NULL, 0))
        _exit(0);
}

static void grow(void)
{
    struct worker_counts *counts =
        mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, counts_fd, 0);

    if (counts != MAP_FAILED)
        scramble(counts, sizeof(*counts));
    (void)!ftruncate(counts_fd, 0);
}

static void be_hostile(enum peer peer)
{
    switch (peer) {
    case BABBLES:
        babble();
        break;
    case LIES:
        lie();
        break;
    case FLOODS:
        flood();
        break;
    case PASSES:
        pass();
        break;
    default:
        break;
    }
}

static _Noreturn void stay(void)
{
    for (;;)
        pause();
}

/* It has the rings that it was asked for, or has something else to do. */
static void answer_map(const struct worker_request *ask)
{
    honest.flags = WORKER_HELD;
    honest.peer = ask->peer;
    honest.ring_ref = ask->ring_ref;
    honest.port = ask->port;
    honest.pages = 2;
    if (ask->peer == DIES)
        _exit(1);
    if (ask->peer == FAILS)
        honest.result = -EPROTO;
    if (ask->peer == GROWS)
        grow();
    if (ask->peer == VANISHES) {
        close(WORKER_FD);
        stay();
    }
}

static void answer(const struct worker_request *ask, const struct packets_fds *fds)
{
    if (ask->type == WORKER_HELLO && fds->count > 0)
        counts_fd = dup(fds->fd[0]);
    if (ask->type == WORKER_HELLO)
        honest.era = ask->era;
    if (ask->type == WORKER_MAP)
        answer_map(ask);
    honest.seen = ask->number;
    if (ask->type == WORKER_RELEASE && honest.peer != LIES)
        _exit(0);
    if (!tell(&honest, sizeof(honest), NULL, 0))
        _exit(0);
    if (ask->type == WORKER_MAP && ask->peer == DEAF)
        stay();
}

static _Noreturn void play_worker(void)
{
    struct worker_request ask;
    struct packets_fds fds;

    seed = (unsigned int)getpid();
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        bool hostile = honest.flags & WORKER_HELD && honest.peer != HONEST;
        struct timeval pause = {.tv_usec = 100};
        fd_set readable;
        ssize_t got;

        FD_ZERO(&readable);
        FD_SET(WORKER_FD, &readable);
        if (select(WORKER_FD + 1, &readable, NULL, NULL, hostile ? &pause : NULL) > 0) {
            got = packets_receive(WORKER_FD, &ask, sizeof(ask), &fds);
            if (got < WORKER_HELLO_BYTES)
                _exit(0);
            answer(&ask, &fds);
            packets_close_fds(&fds);
        } else if (hostile) {
            be_hostile((enum peer)honest.peer);
        }
    }
}

/* ---- the broker ---- */

struct side {
    struct worker worker;
    struct rings_keys keys;
    domid_t peer;
    bool asked;
    int rc; /* of map() */
    unsigned int lost;
};

static struct event_base *base;
static const struct ring_orders orders = {.read = 12, .write = 12};

static void ask_for_rings(struct side *side)
{
    side->rc = side->worker.rings.ops->map(&side->worker.rings, side->peer, &side->keys, &orders);
    side->asked = side->rc == -EINPROGRESS;
}

static void on_fired(void *arg)
{
    struct side *side = arg;

    if (side->asked)
        ask_for_rings(side);
}

static void on_lost(void *arg, bool resumable)
{
    struct side *side = arg;

    (void)resumable;
    side->lost++;
    side->rc = -EPIPE;
    if (side->lost < 3)
        ask_for_rings(side);
}

static void open_side(struct side *side, struct workers *workers, struct quota *quota,
                      const char *id, enum peer peer)
{
    *side = (struct side){.peer = (domid_t)peer, .keys = {.ring_ref = 7 + peer, .port = 3}};
    worker_init(&side->worker, workers, id, quota, on_lost, side);
    side->worker.rings.fired = on_fired;
    side->worker.rings.arg = side;
    ask_for_rings(side);
}

static void close_side(struct side *side)
{
    side->worker.rings.ops->release(&side->worker.rings);
    ck_assert_ptr_null(side->worker.process);
}

static void on_turn_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    *(bool *)arg = true;
}

/* turn MS: the broker's loop runs for so long. */
static void turn(long ms)
{
    const struct timeval time = {.tv_usec = ms * 1000};
    bool over = false;
    struct event *event = evtimer_new(base, on_turn_over, &over);

    event_add(event, &time);
    while (!over)
        event_base_loop(base, EVLOOP_ONCE);
    event_free(event);
}

/* An honest worker does what it is told, within 10 s. */
static void check_honest(struct side *side)
{
    int64_t until = clock_ms() + 10000;
    uint32_t number = worker_send(&side->worker, WORKER_KICK, 0, NULL, 0);

    ck_assert_uint_gt(number, 0);
    while (!worker_status_after(&side->worker, number)) {
        ck_assert_msg(clock_ms() < until, "the honest worker was not heard for 10 s");
        turn(1);
    }
    ck_assert_int_eq(side->rc, 0);
    ck_assert_uint_eq(side->lost, 0);
}

static void check_hostile(const struct side *side)
{
    const struct worker_status *status = worker_status(&side->worker);

    ck_assert_int_le(side->rc, 0);
    if (!status)
        return;
    ck_assert_uint_le(status->pages, 512);
    ck_assert_int_le(status->pending, 1 << 20);
    ck_assert_int_le(status->result, 0);
    ck_assert_int_gt(status->failed, -4096);
}

static void provoke(struct side *side)
{
    int pipes[2];

    ck_assert_int_eq(pipe(pipes), 0);
    for (uint32_t i = random_number() % 8; i > 0; i--)
        worker_send(&side->worker, (enum worker_request_type)(random_number() % WORKER_RELEASE), 0,
                    pipes, random_number() % 3);
    close(pipes[0]);
    close(pipes[1]);
}

static unsigned int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Serves an honest worker of one guest beside a hostile one of another. */
static void serve_beside(struct quota *quota, struct quota *others, enum peer peer, int turns)
{
    struct side hostile, good;
    struct workers *workers;

    ck_assert_int_eq(workers_open(base, NULL, MACHINE_BACKEND, &workers), 0);
    open_side(&good, workers, others, "1/0", HONEST);
    while (good.asked)
        turn(1);
    open_side(&hostile, workers, quota, "2/0", peer);
    for (int i = 0; i < turns; i++) {
        provoke(&hostile);
        turn(1 + random_number() % 8);
        check_hostile(&hostile);
        check_honest(&good);
    }
    close_side(&hostile);
    check_honest(&good);
    close_side(&good);
    workers_close(workers);
}

static void try_peer(enum peer peer, int turns)
{
    static const struct quota_limits limits = QUOTA_LIMITS;
    struct quota_sum sum = {0};
    struct quota guest, other;
    unsigned int before = count_descriptors();

    quota_init(&guest, &limits, &sum);
    quota_init(&other, &limits, &sum);
    serve_beside(&guest, &other, peer, turns);
    ck_assert_uint_eq(count_descriptors(), before);
    errno = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0) /* which have exited */
        ;
    ck_assert_int_eq(errno, ECHILD);
}

static void set_up(void)
{
    log_set_level(LOG_ERRORS);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* a worker that is left is a child then */
    base = event_base_new();
    ck_assert_ptr_nonnull(base);
    seed = 1;
    log_line(LOG_ERRORS, "killing workers that do not answer"); /* opens the log */
}

static void tear_down(void)
{
    event_base_free(base);
}

START_TEST(test_each_hostile_worker_harms_itself_only)
{
    try_peer((enum peer)_i, 20);
}
END_TEST

/* One hostile worker without others, and what it needs. */
struct alone {
    struct quota_sum sum;
    struct quota quota;
    struct workers *workers;
    struct side side;
};

static void open_alone(struct alone *alone, enum peer peer)
{
    static const struct quota_limits limits = QUOTA_LIMITS;

    alone->sum = (struct quota_sum){0};
    quota_init(&alone->quota, &limits, &alone->sum);
    ck_assert_int_eq(workers_open(base, NULL, MACHINE_BACKEND, &alone->workers), 0);
    open_side(&alone->side, alone->workers, &alone->quota, "2/0", peer);
}

static void close_alone(struct alone *alone)
{
    close_side(&alone->side);
    workers_close(alone->workers);
}

/* A guest whose worker reports without end is read at its rate. */
START_TEST(test_a_flood_is_not_read_faster_than_allowed)
{
    struct alone alone;
    struct side *side = &alone.side;

    open_alone(&alone, FLOODS);
    while (side->asked)
        turn(1);
    alone.quota.statuses.next = clock_us() + 3600000000; /* its share of an hour is used up */
    turn(50); /* one more may be read until that is seen */
    for (int i = 0; i < 10; i++) {
        struct worker_status before = *worker_status_after(&side->worker, 0);

        turn(20);
        ck_assert_mem_eq(worker_status_after(&side->worker, 0), &before, sizeof(before));
    }
    close_alone(&alone);
}
END_TEST

/* Each of three processes died: the error is the broker's own, not the frontend's. */
START_TEST(test_workers_that_die_are_tried_three_times)
{
    struct alone alone;
    struct side *side = &alone.side;

    open_alone(&alone, DIES);
    for (int i = 0; i < 2000 && side->asked; i++)
        turn(5);
    ck_assert_int_eq(side->rc, -EPIPE);
    ck_assert_uint_eq(side->lost, 0);
    close_alone(&alone);
}
END_TEST

/* The spare process was taken, and the next one is not started yet. */
START_TEST(test_closing_leaves_no_spare_process)
{
    struct alone alone;

    open_alone(&alone, HONEST);
    close_alone(&alone);
    ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
}
END_TEST

START_TEST(test_random_hostile_workers)
{
    const char *text = getenv("HOSTILE_SECONDS");
    int64_t until = clock_ms() + (text ? strtol(text, NULL, 10) : 2) * 1000, said = clock_ms();
    unsigned int tries = 0;

    do {
        seed = ++tries;
        try_peer((enum peer)(1 + random_number() % (PEERS - 1)), 1 + (int)(random_number() % 8));
        if (clock_ms() - said > 50000) {
            said = clock_ms();
            printf("%u hostile workers\n", tries);
            fflush(stdout);
        }
    } while (clock_ms() < until);
    printf("%u hostile workers\n", tries);
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase;

    (void)argc;
    if (strcmp(argv[0], WORKER_NAME) == 0)
        play_worker();
    tcase = tcase_create("hostile");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, test_each_hostile_worker_harms_itself_only, HONEST, PEERS);
    tcase_add_test(tcase, test_a_flood_is_not_read_faster_than_allowed);
    tcase_add_test(tcase, test_workers_that_die_are_tried_three_times);
    tcase_add_test(tcase, test_closing_leaves_no_spare_process);
    tcase_add_test(tcase, test_random_hostile_workers);
    return check_main("hostile-worker", tcase);
}
