/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/process.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "service/log.h"
#include "service/quota.h"
#include "service/packets.h"
#include "service/start.h"
#include "service/timer.h"
#include "state/clock.h"
#include "vchan/ring.h"

/* A process that takes longer to answer a request has hung, or a guest has taken it over. */
#define ANSWER_SECONDS  30
#define RELEASE_SECONDS 5

/* The kernel needs microseconds to end a killed process, unless the machine is in trouble. */
#define EXIT_SECONDS 5

/* How many statuses are read at a time. Only the last one counts. */
#define STATUSES_AT_ONCE 16

#define RING_PAGES_MAX (2u << (RING_ORDER_MAX - RING_ORDER_PAGE))

/* ---- its end ---- */

static void set_timer(struct event *timer, time_t seconds)
{
    const struct timeval time = {.tv_sec = seconds};

    event_add(timer, &time);
}

static void await_exit(const struct worker_process *process)
{
    struct pollfd pollfd = {.fd = process->pidfd, .events = POLLIN};

    poll(&pollfd, 1, EXIT_SECONDS * 1000);
}

static void on_worker_exit(evutil_socket_t fd, short what, void *arg)
{
    struct worker_process *process = arg;

    (void)fd, (void)what;
    process->ending = false; /* it is not waited for any more, even if it has not exited */
    process->exited(process);
}

/*
 * Its rings can be mapped again, and its port bound, only once it has exited. That its socket is
 * closed comes earlier.
 */
void process_end(struct worker_process *process)
{
    if (process->ending)
        return;
    process->ending = true;
    event_del(process->readable);
    event_del(process->rest_timer);
    event_del(process->answer_timer);
    pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
    set_timer(process->exit, EXIT_SECONDS);
}

static void on_answer_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct worker_process *process = arg;

    (void)fd, (void)what;
    log_line(LOG_ERRORS, "%s: " WORKER_NAME " did not answer within %d s; killed it", process->name,
             process->leaving ? RELEASE_SECONDS : ANSWER_SECONDS);
    process_end(process);
}

static void forget_event(struct event **event)
{
    if (*event)
        event_free(*event);
    *event = NULL;
}

void process_close(struct worker_process *process)
{
    if (process->ending)
        await_exit(process);
    forget_event(&process->readable);
    forget_event(&process->exit);
    forget_event(&process->answer_timer);
    forget_event(&process->rest_timer);
    if (process->counts)
        munmap(process->counts, sizeof(*process->counts));
    close(process->fd);
    close(process->pidfd);
    free(process);
}

/* ---- requests ---- */

static size_t request_size(const struct worker_request *request)
{
    return request->type == WORKER_HELLO || request->type == WORKER_RELEASE ? WORKER_HELLO_BYTES
                                                                           : sizeof(*request);
}

uint32_t process_send(struct worker_process *process, struct worker_request *request,
                      const int *fds, unsigned int count)
{
    request->version = WORKER_VERSION;
    request->number = ++process->number;
    if (process->ending)
        return request->number;
    if (packets_send(process->fd, request, request_size(request), fds, count) < 0)
        process_end(process);
    else if (!event_pending(process->answer_timer, EV_TIMEOUT, NULL))
        set_timer(process->answer_timer, ANSWER_SECONDS);
    return request->number;
}

bool process_is_answered(const struct worker_process *process)
{
    return process->status.seen == process->number;
}

void process_leave(struct worker_process *process)
{
    struct worker_request request = {.type = WORKER_RELEASE};

    process->leaving = true;
    process->reported = NULL;
    process_send(process, &request, NULL, 0);
    if (!process->ending)
        set_timer(process->answer_timer, RELEASE_SECONDS);
}

/*
 * Makes the memory in which the process counts bytes. Its size is sealed: reading it could raise
 * SIGBUS if the process could shrink it.
 */
static int make_counts(struct worker_process *process)
{
    int fd = memfd_create("vchan-counts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *memory = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct worker_counts)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        memory = mmap(NULL, sizeof(struct worker_counts), PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        int rc = -errno;

        if (fd >= 0)
            close(fd);
        return rc;
    }
    process->counts = memory;
    return fd;
}

static int say_hello(struct worker_process *process, enum machine_role role)
{
    struct worker_request hello = {.type = WORKER_HELLO, .role = role, .era = process->era};
    int counts = make_counts(process);

    if (counts < 0)
        return counts;
    process_send(process, &hello, &counts, 1);
    close(counts);
    return 0;
}

/* ---- statuses ---- */

static int as_error(int32_t value)
{
    return value <= 0 && value > -4096 ? value : -EIO;
}

static bool is_pending_valid(int32_t pending)
{
    return pending >= 0 ? pending <= 1 << RING_ORDER_MAX
                        : pending == -EAGAIN || pending == -EPIPE || pending == -EPROTO;
}

static bool sanitize_status(struct worker_status *status)
{
    status->result = as_error(status->result);
    status->failed = as_error(status->failed);
    status->source_error = as_error(status->source_error);
    status->sink_error = as_error(status->sink_error);
    status->ring_error = as_error(status->ring_error);
    if (status->last_reason >= STREAM_REASONS)
        status->last_reason = STREAM_FAILED;
    return status->pages <= RING_PAGES_MAX && is_pending_valid(status->pending);
}

/* Reads statuses. Returns 1 if there was one, 0 if none, or a negative errno: end the process. */
static int read_statuses(struct worker_process *process)
{
    struct worker_status status;
    int news = 0;

    for (int i = 0; i < STATUSES_AT_ONCE; i++) {
        ssize_t got = packets_receive_bytes(process->fd, &status, sizeof(status));

        if (got == -EAGAIN)
            break;
        if (got <= 0)
            return -EPIPE;
        if (got < (ssize_t)(3 * sizeof(uint32_t)) || status.era != process->era)
            continue; /* for an earlier broker */
        if (got != (ssize_t)sizeof(status) || !sanitize_status(&status))
            return -EPROTO;
        process->status = status;
        news = 1;
    }
    return news;
}

/* Every status that is read costs the broker time, so a guest has only so much of it. */
static void rest_if_hasty(struct worker_process *process)
{
    int64_t wait = quota_take_status(process->quota);

    if (wait == 0)
        return;
    event_del(process->readable);
    timer_start(process->rest_timer, wait);
}

static void on_rest_over(evutil_socket_t fd, short what, void *arg)
{
    struct worker_process *process = arg;

    (void)fd, (void)what;
    event_add(process->readable, NULL);
}

static void on_worker_status(evutil_socket_t fd, short what, void *arg)
{
    struct worker_process *process = arg;
    uint32_t before = process->status.seen;
    int news = read_statuses(process);

    (void)fd, (void)what;
    if (news < 0) {
        process_end(process);
        return;
    }
    if (process_is_answered(process) && !process->leaving)
        event_del(process->answer_timer);
    else if (process->status.seen != before && !process->leaving)
        set_timer(process->answer_timer, ANSWER_SECONDS); /* it is slow, but works */
    rest_if_hasty(process);
    if (news > 0 && process->reported)
        process->reported(process);
}

/* ---- its beginning ---- */

/* Returns a number that, very likely, no earlier broker used for the same process. */
static uint32_t new_era(void)
{
    static uint32_t last;

    last = last ? last + 1 : (uint32_t)clock_us();
    return last;
}

static int make_events(struct worker_process *process)
{
    struct event_base *base = process->base;

    process->readable =
        event_new(base, process->fd, EV_READ | EV_PERSIST, on_worker_status, process);
    process->exit = event_new(base, process->pidfd, EV_READ, on_worker_exit, process);
    process->answer_timer = evtimer_new(base, on_answer_timeout, process);
    process->rest_timer = evtimer_new(base, on_rest_over, process);
    if (!process->readable || !process->exit || !process->answer_timer || !process->rest_timer ||
        event_add(process->readable, NULL) < 0)
        return -ENOMEM;
    return 0;
}

static int process_open(struct event_base *base, enum machine_role role, int fd, int pidfd,
                        struct worker_process **out)
{
    struct worker_process *process = calloc(1, sizeof(*process));
    int rc = -ENOMEM;

    *out = NULL;
    if (!process) {
        close(fd);
        close(pidfd);
        return rc;
    }
    process->base = base;
    process->fd = fd;
    process->pidfd = pidfd;
    process->era = new_era();
    rc = make_events(process);
    if (rc == 0)
        rc = say_hello(process, role);
    if (rc < 0)
        process_close(process);
    else
        *out = process;
    return rc;
}

int process_start(struct event_base *base, enum machine_role role, struct worker_process **out)
{
    int pidfd, fd = start_process(WORKER_NAME, &pidfd);

    *out = NULL;
    return fd < 0 ? fd : process_open(base, role, fd, pidfd, out);
}

int process_find(struct event_base *base, enum machine_role role, int fd, int pidfd,
                 struct worker_process **out)
{
    int rc = process_open(base, role, fd, pidfd, out);

    if (rc == 0)
        (*out)->found = true;
    return rc;
}

int process_await(struct worker_process *process)
{
    struct pollfd pollfd = {.fd = process->fd, .events = POLLIN};
    int rc;

    if (poll(&pollfd, 1, ANSWER_SECONDS * 1000) <= 0)
        return -ETIMEDOUT;
    rc = read_statuses(process);
    if (rc < 0)
        return rc;
    event_del(process->answer_timer);
    return process->status.result;
}
