/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/log.h"
#include "service/worker/packets.h"
#include "service/worker/start.h"
#include "state/clock.h"
#include "vchan/pace.h"
#include "vchan/ring.h"

/* The name under which the fdstore keeps a worker's socket. */
#define STORED_AS "worker"

/* A worker that takes longer to answer a request has hung, or a guest has taken it over. */
#define ANSWER_SECONDS  30
#define RELEASE_SECONDS 5

/* How many statuses are read at a time. Only the last one counts. */
#define STATUSES_AT_ONCE 16

/* A worker that sends too many statuses is not read for this long. */
#define PAUSE_MICROSECONDS 10000

/* After more deaths than this, each within DEATHS_MS of the one before, the rings are given up. */
#define DEATHS_MAX     5
#define DEATHS_MS      10000
#define RING_PAGES_MAX (2u << (RING_ORDER_MAX - RING_ORDER_PAGE))

struct worker_process {
    LIST_ENTRY(worker_process) next; /* in workers->staying or workers->leaving */
    struct workers *workers;
    struct worker *worker; /* NULL: it is spare, or leaves */
    bool leaving;          /* it was asked to release its rings and exit */
    bool found;            /* an earlier broker started it */
    int fd, pidfd;         /* pidfd is -1 until its first status */
    struct event *event;
    struct event *answer_timer; /* pending: it has requests to answer */
    struct event *rest_timer;   /* pending: it sent too many statuses, and is not read until then */
    struct pace pace;
    struct channel_counts *counts; /* memory that the process writes */
    uint32_t era, number;          /* number: the last request sent */
    struct worker_status status;   /* seen 0: none yet */
};

struct workers {
    struct event_base *base;
    struct fdstore *fdstore;
    enum machine_role role;
    struct worker_process *spare;        /* or NULL */
    struct event *spare_timer;           /* pending: a spare process is to be started */
    LIST_HEAD(, worker_process) staying; /* the spare process, and those that have a worker */
    LIST_HEAD(, worker_process) leaving;
    bool closed;
};

/* ---- a process ---- */

static void forget_event(struct event **event)
{
    if (*event)
        event_free(*event);
    *event = NULL;
}

static void workers_free(struct workers *workers)
{
    if (!workers->closed || !LIST_EMPTY(&workers->leaving))
        return;
    free(workers);
}

static void process_free(struct worker_process *process)
{
    struct workers *workers = process->workers;

    LIST_REMOVE(process, next);
    forget_event(&process->event);
    forget_event(&process->answer_timer);
    forget_event(&process->rest_timer);
    if (process->counts)
        munmap(process->counts, sizeof(*process->counts));
    if (process->fd >= 0)
        close(process->fd);
    if (process->pidfd >= 0)
        close(process->pidfd);
    if (workers->spare == process)
        workers->spare = NULL;
    free(process);
    workers_free(workers);
}

static void process_kill(const struct worker_process *process)
{
    if (process->pidfd >= 0)
        pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
    else
        shutdown(process->fd, SHUT_RDWR);
}

static void expect_answer(struct worker_process *process, time_t seconds)
{
    const struct timeval time = {.tv_sec = seconds};

    event_add(process->answer_timer, &time);
}

/*
 * Returns the request's number. If it cannot be sent, the process is dead or killed here, and
 * on_worker_status() handles that later.
 */
static uint32_t process_send(struct worker_process *process, struct worker_request *request,
                             const int *fds, unsigned int count)
{
    request->version = WORKER_VERSION;
    request->number = ++process->number;
    if (packets_send(process->fd, request, sizeof(*request), fds, count) == -EAGAIN)
        process_kill(process);
    if (!event_pending(process->answer_timer, EV_TIMEOUT, NULL))
        expect_answer(process, ANSWER_SECONDS);
    return request->number;
}

/*
 * Makes the memory in which the process counts bytes. Its size is sealed: reading it could raise
 * SIGBUS if the process could shrink it.
 */
static int make_counts(struct worker_process *process)
{
    int fd = memfd_create("vchan-counts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *memory = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct channel_counts)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        memory = mmap(NULL, sizeof(struct channel_counts), PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        int rc = -errno;

        if (fd >= 0)
            close(fd);
        return rc;
    }
    process->counts = memory;
    return fd;
}

static int say_hello(struct worker_process *process)
{
    struct worker_request hello = {
        .type = WORKER_HELLO, .role = process->workers->role, .era = process->era};
    int counts = make_counts(process);

    if (counts < 0)
        return counts;
    process_send(process, &hello, &counts, 1);
    close(counts);
    return 0;
}

static void on_worker_status(evutil_socket_t fd, short what, void *arg);
static void on_answer_timeout(evutil_socket_t fd, short what, void *arg);
static void on_rest_over(evutil_socket_t fd, short what, void *arg);

/* Returns a number that, very likely, no earlier broker used for the same process. */
static uint32_t new_era(void)
{
    static uint32_t last;

    last = last ? last + 1 : (uint32_t)clock_us();
    return last;
}

/* Takes ownership of fd, on failure too. Returns NULL if memory or descriptors ran out. */
static struct worker_process *process_new(struct workers *workers, int fd)
{
    struct worker_process *process = calloc(1, sizeof(*process));
    static const int on = 1;

    if (!process) {
        close(fd);
        return NULL;
    }
    process->workers = workers;
    process->fd = fd;
    process->pidfd = -1;
    LIST_INSERT_HEAD(&workers->staying, process, next);
    process->era = new_era();
    process->event = event_new(workers->base, fd, EV_READ | EV_PERSIST, on_worker_status, process);
    process->answer_timer = evtimer_new(workers->base, on_answer_timeout, process);
    process->rest_timer = evtimer_new(workers->base, on_rest_over, process);
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    if (!process->event || !process->answer_timer || !process->rest_timer ||
        event_add(process->event, NULL) < 0 || say_hello(process) < 0) {
        process_free(process);
        return NULL;
    }
    return process;
}

static struct worker_process *process_start(struct workers *workers, int *rc)
{
    int fd = start_process(WORKER_NAME);
    struct worker_process *process = fd < 0 ? NULL : process_new(workers, fd);

    *rc = fd < 0 ? fd : process ? 0 : -ENOMEM;
    return process;
}

/* Asks the process to release its rings and exit. It is killed if it does not. */
static void process_request_release(struct worker_process *process)
{
    struct worker_request request = {.type = WORKER_RELEASE};

    process->worker = NULL;
    process->leaving = true;
    LIST_REMOVE(process, next);
    LIST_INSERT_HEAD(&process->workers->leaving, process, next);
    process_send(process, &request, NULL, 0);
    expect_answer(process, RELEASE_SECONDS);
}

/* ---- the spare process ---- */

static void start_spare(evutil_socket_t fd, short what, void *arg)
{
    struct workers *workers = arg;
    int rc;

    (void)fd, (void)what;
    if (!workers->spare)
        workers->spare = process_start(workers, &rc);
}

static struct worker_process *take_spare(struct workers *workers, int *rc)
{
    static const struct timeval soon = {0};
    struct worker_process *process = workers->spare;

    *rc = 0;
    workers->spare = NULL;
    event_add(workers->spare_timer, &soon);
    return process ? process : process_start(workers, rc);
}

/* ---- a worker's process ---- */

static bool is_answered(const struct worker_process *process)
{
    return process->status.seen == process->number;
}

static void keep_socket(struct worker *worker)
{
    struct fdstore *fdstore = worker->workers->fdstore;

    fdstore_add(fdstore, worker->id, STORED_AS, worker->process->fd, fdstore_has_room(fdstore, 1));
}

static void add_counts(struct channel_counts *sum, const struct channel_counts *more)
{
    sum->received += more->received;
    sum->sent += more->sent;
    sum->wakes += more->wakes;
    sum->sleeps += more->sleeps;
}

/* Takes the worker's process away, which the caller must then release or free. */
static struct worker_process *detach_process(struct worker *worker)
{
    struct worker_process *process = worker->process;

    if (!process)
        return NULL;
    add_counts(&worker->counts_before, process->counts);
    fdstore_drop(worker->workers->fdstore, worker->id, STORED_AS);
    worker->process = NULL;
    worker->sent = worker->held = false;
    process->worker = NULL;
    return process;
}

static void release_process(struct worker *worker)
{
    struct worker_process *process = detach_process(worker);

    if (process)
        process_request_release(process);
    worker->asked.type = 0;
}

/* Gives the worker the process that an earlier broker started for it, or the spare one. */
static int attach_process(struct worker *worker, bool may_be_found)
{
    struct workers *workers = worker->workers;
    int fd = may_be_found ? fdstore_take(workers->fdstore, worker->id, STORED_AS) : -ENOENT;
    int rc = 0;

    worker->process = fd >= 0 ? process_new(workers, fd) : take_spare(workers, &rc);
    if (!worker->process)
        return rc < 0 ? rc : -ENOMEM;
    worker->process->found = fd >= 0;
    worker->process->worker = worker;
    keep_socket(worker);
    return 0;
}

/* ---- a worker's rings ---- */

/* If the frontend has gone, rings that an earlier broker had mapped count as adopted ones. */
static bool has_requested_rings(const struct worker_status *status,
                                const struct worker_request *asked)
{
    return status->peer == asked->peer && status->ring_ref == asked->ring_ref &&
           (asked->type == WORKER_ADOPT || status->port == asked->port);
}

static void repeat_requests(struct worker *worker)
{
    if (worker->resumable)
        worker_send(worker, WORKER_SET_RESUMABLE, WORKER_ON, NULL, 0);
    if (worker->ended)
        worker_send(worker, WORKER_SET_ENDED, 0, NULL, 0);
    if (worker->gone)
        worker_send(worker, WORKER_SET_GONE, 0, NULL, 0);
    if (worker->moved)
        worker_on_traffic(worker, worker->moved, worker->moved_arg);
    if (worker->user.status_changed)
        worker->user.restarted(worker->user.arg);
}

static int accept_rings(struct worker *worker)
{
    worker->held = true;
    repeat_requests(worker);
    return 0;
}

/* The process of an earlier broker has other rings, or another version: starts a new one. */
static int replace_process(struct worker *worker)
{
    struct worker_request asked = worker->asked;
    int rc;

    release_process(worker);
    worker->asked = asked;
    rc = attach_process(worker, false);
    return rc < 0 ? rc : -EINPROGRESS;
}

static int give_rings_up(struct worker *worker, int rc)
{
    release_process(worker);
    return rc;
}

/* Takes the request for rings one step further. Returns 0, -EINPROGRESS or a negative errno. */
static int advance_rings(struct worker *worker)
{
    struct worker_process *process = worker->process;

    if (!process)
        return give_rings_up(worker, -EIO);
    if (!is_answered(process))
        return -EINPROGRESS;
    if (!worker->sent && (process->status.version != WORKER_VERSION ||
                          (process->status.flags & WORKER_HELD &&
                           !has_requested_rings(&process->status, &worker->asked))))
        return replace_process(worker);
    if (process->status.flags & WORKER_HELD)
        return accept_rings(worker);
    if (process->status.result < 0)
        return give_rings_up(worker, process->status.result);
    if (worker->sent)
        return give_rings_up(worker, -EIO);
    worker->sent = true;
    process_send(process, &worker->asked, NULL, 0);
    return -EINPROGRESS;
}

static bool is_asked(const struct worker *worker, const struct worker_request *wanted)
{
    const struct worker_request *asked = &worker->asked;

    return asked->type == wanted->type && asked->peer == wanted->peer &&
           asked->ring_ref == wanted->ring_ref && asked->port == wanted->port;
}

static int request_from_worker(struct worker *worker, const struct worker_request *wanted)
{
    int rc = 0;

    if (!is_asked(worker, wanted)) {
        release_process(worker);
        worker->asked = *wanted;
        rc = attach_process(worker, true);
    }
    if (rc < 0)
        return give_rings_up(worker, rc);
    return worker->held ? 0 : advance_rings(worker);
}

static struct worker *worker_of_rings(struct rings *rings)
{
    return (struct worker *)rings;
}

static int request_rings(struct rings *rings, enum worker_request_type type, domid_t peer,
                         const struct rings_keys *keys, const struct ring_orders *orders)
{
    const struct worker_request wanted = {
        .type = type,
        .peer = peer,
        .ring_ref = keys->ring_ref,
        .port = keys->port,
        .read_order = orders->read,
        .write_order = orders->write,
    };

    return request_from_worker(worker_of_rings(rings), &wanted);
}

static int worker_grant(struct rings *rings, domid_t peer, const struct ring_orders *orders,
                        struct rings_keys *keys)
{
    static const struct rings_keys none;
    int rc = request_rings(rings, WORKER_GRANT, peer, &none, orders);

    if (rc == 0)
        *keys = (struct rings_keys){.ring_ref = worker_of_rings(rings)->process->status.ring_ref,
                                    .port = worker_of_rings(rings)->process->status.port};
    return rc;
}

static int worker_map(struct rings *rings, domid_t peer, const struct rings_keys *keys,
                      const struct ring_orders *most)
{
    return request_rings(rings, WORKER_MAP, peer, keys, most);
}

static int worker_adopt(struct rings *rings, domid_t peer, uint32_t ring_ref,
                        const struct ring_orders *most)
{
    const struct rings_keys keys = {.ring_ref = ring_ref};

    return request_rings(rings, WORKER_ADOPT, peer, &keys, most);
}

static void worker_release(struct rings *rings)
{
    struct worker *worker = worker_of_rings(rings);

    release_process(worker);
    worker->resumable = worker->ended = worker->gone = false;
    worker->deaths = 0;
    worker->counts_before = (struct channel_counts){0};
}

static const struct worker_status *status_of(const struct rings *rings)
{
    static const struct worker_status none;
    const struct worker *worker = (const struct worker *)rings;

    return worker->held ? &worker->process->status : &none;
}

static uint32_t worker_pages(const struct rings *rings)
{
    return status_of(rings)->pages;
}

static bool worker_peer_died(const struct rings *rings)
{
    return status_of(rings)->flags & WORKER_PEER_DIED;
}

static bool worker_peer_left(const struct rings *rings)
{
    return status_of(rings)->flags & WORKER_PEER_LEFT;
}

static void worker_set_resumable(struct rings *rings, bool resumable)
{
    struct worker *worker = worker_of_rings(rings);

    if (resumable == worker->resumable)
        return;
    worker->resumable = resumable;
    worker_send(worker, WORKER_SET_RESUMABLE, resumable ? WORKER_ON : 0, NULL, 0);
}

static void worker_set_ended(struct rings *rings)
{
    worker_of_rings(rings)->ended = true;
    worker_send(worker_of_rings(rings), WORKER_SET_ENDED, 0, NULL, 0);
}

static void worker_set_gone(struct rings *rings)
{
    worker_of_rings(rings)->gone = true;
    worker_send(worker_of_rings(rings), WORKER_SET_GONE, 0, NULL, 0);
}

void worker_init(struct worker *worker, struct workers *workers, const char *id,
                 void (*rings_lost)(void *arg, bool resumable), void *arg)
{
    static const struct rings_ops ops = {
        .grant = worker_grant,
        .map = worker_map,
        .adopt = worker_adopt,
        .release = worker_release,
        .pages = worker_pages,
        .peer_died = worker_peer_died,
        .peer_left = worker_peer_left,
        .set_resumable = worker_set_resumable,
        .set_ended = worker_set_ended,
        .set_gone = worker_set_gone,
    };

    *worker = (struct worker){
        .rings.ops = &ops, .workers = workers, .id = id, .rings_lost = rings_lost, .arg = arg};
}

/* ---- what a process reports ---- */

static int as_error(int32_t value)
{
    return value <= 0 && value > -4096 ? value : -EIO;
}

static bool sanitize_status(struct worker_status *status)
{
    status->result = as_error(status->result);
    status->failed = as_error(status->failed);
    status->source_error = as_error(status->source_error);
    status->sink_error = as_error(status->sink_error);
    status->ring_error = as_error(status->ring_error);
    return status->pages <= RING_PAGES_MAX;
}

static void open_pidfd(struct worker_process *process, pid_t pid)
{
    struct pollfd pollfd = {.fd = process->fd};

    if (process->pidfd >= 0 || pid <= 0)
        return;
    process->pidfd = pidfd_open(pid, 0);
    if (process->pidfd < 0 || (poll(&pollfd, 1, 0) == 0 && !(pollfd.revents & POLLHUP)))
        return;
    close(process->pidfd); /* the sender has ended: the pid may be another process's by now */
    process->pidfd = -1;
}

/* Reads statuses. Returns 1 if there was one, 0 if none, or a negative errno: treat it as dead. */
static int read_status(struct worker_process *process)
{
    struct worker_status status;
    int news = 0;
    pid_t pid;

    for (int i = 0; i < STATUSES_AT_ONCE; i++) {
        ssize_t got = packets_receive_from(process->fd, &status, sizeof(status), &pid);

        if (got == -EAGAIN)
            break;
        if (got <= 0)
            return -EPIPE;
        open_pidfd(process, pid);
        if (got < (ssize_t)(3 * sizeof(uint32_t)) || status.era != process->era)
            continue; /* for an earlier broker */
        if (got != (ssize_t)sizeof(status) || !sanitize_status(&status))
            return -EPROTO;
        process->status = status;
        news = 1;
    }
    return news;
}

static void rest_if_hasty(struct worker_process *process)
{
    static const struct timeval pause = {.tv_usec = PAUSE_MICROSECONDS};

    if (!pace_is_hasty(&process->pace, (uint64_t)clock_ms()))
        return;
    event_del(process->event);
    event_add(process->rest_timer, &pause);
}

static void on_rest_over(evutil_socket_t fd, short what, void *arg)
{
    struct worker_process *process = arg;

    (void)fd, (void)what;
    event_add(process->event, NULL);
}

static void report_traffic(struct worker *worker)
{
    void (*moved)(void *arg) = worker->moved;

    if (!moved || worker->moved_since == 0 || !(worker->process->status.flags & WORKER_MOVED) ||
        worker->process->status.seen < worker->moved_since)
        return;
    worker->moved = NULL;
    moved(worker->moved_arg);
}

/* Each callback may release the process. */
static void pass_status_on(struct worker *worker, const struct worker_process *process)
{
    bool held = worker->held;

    if (held)
        report_traffic(worker);
    if (held && worker->user.status_changed)
        worker->user.status_changed(worker->user.arg);
    if (worker->process == process)
        worker->rings.fired(worker->rings.arg);
}

/* Returns whether the worker's processes have died too often. */
static bool count_death(struct worker *worker)
{
    int64_t now = clock_ms();

    if (now - worker->died > DEATHS_MS)
        worker->deaths = 0;
    worker->died = now;
    return ++worker->deaths > DEATHS_MAX;
}

/* The process died, or did what makes it count as dead. */
static void process_ended(struct worker_process *process)
{
    struct worker *worker = process->worker;
    bool held, found = process->found;

    if (!worker) {
        process_free(process);
        return;
    }
    held = worker->held;
    detach_process(worker);
    process_kill(process);
    process_free(process);
    if (held) {
        bool resumable = !count_death(worker) && (!worker->user.status_changed ||
                                                  worker->user.can_resume(worker->user.arg));

        worker->asked.type = 0;
        worker->rings_lost(worker->arg, resumable);
        return;
    }
    if (found && attach_process(worker, false) == 0)
        return;
    worker->rings.fired(worker->rings.arg); /* then advance_rings() fails: there is no process */
}

static void on_worker_status(evutil_socket_t fd, short what, void *arg)
{
    struct worker_process *process = arg;
    int news = read_status(process);

    (void)fd, (void)what;
    if (news < 0) {
        process_ended(process);
        return;
    }
    if (process->status.seen == process->number && !process->leaving)
        event_del(process->answer_timer);
    rest_if_hasty(process);
    if (news > 0 && process->worker)
        pass_status_on(process->worker, process);
}

static void on_answer_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct worker_process *process = arg;

    (void)fd, (void)what;
    log_line(LOG_ERRORS, "%s: " WORKER_NAME " did not answer within %d s; killed it",
             process->worker ? process->worker->id : "a closed channel",
             process->leaving ? RELEASE_SECONDS : ANSWER_SECONDS);
    process_kill(process);
    process_ended(process);
}

/* ---- for the code that moves bytes ---- */

uint32_t worker_send(struct worker *worker, enum worker_request_type type, uint32_t flags,
                     const int *fds, unsigned int count)
{
    struct worker_request request = {.type = type, .flags = flags};

    return worker->held ? process_send(worker->process, &request, fds, count) : 0;
}

const struct worker_status *worker_status(const struct worker *worker)
{
    return worker->held && is_answered(worker->process) ? &worker->process->status : NULL;
}

const struct worker_status *worker_status_after(const struct worker *worker, uint32_t number)
{
    return worker->held && worker->process->status.seen >= number ? &worker->process->status : NULL;
}

struct channel_counts worker_counts(const struct worker *worker)
{
    struct channel_counts sum = worker->counts_before;

    if (worker->held)
        add_counts(&sum, worker->process->counts);
    return sum;
}

void worker_on_traffic(struct worker *worker, void (*moved)(void *arg), void *arg)
{
    worker->moved = moved;
    worker->moved_arg = arg;
    worker->moved_since = moved ? worker_send(worker, WORKER_COUNT, 0, NULL, 0) : 0;
}

/* ---- all workers ---- */

/* The first process finds out whether Xen's devices can be opened. */
static int await_first_worker(struct workers *workers)
{
    struct worker_process *process = workers->spare;
    struct pollfd pollfd = {.fd = process->fd, .events = POLLIN};
    int rc;

    if (poll(&pollfd, 1, ANSWER_SECONDS * 1000) <= 0)
        return -ETIMEDOUT;
    rc = read_status(process);
    if (rc < 0)
        return rc;
    event_del(process->answer_timer);
    return process->status.result;
}

int workers_open(struct event_base *base, struct fdstore *fdstore, enum machine_role role,
                 struct workers **out)
{
    struct workers *workers = calloc(1, sizeof(*workers));
    int rc = -ENOMEM;

    *out = NULL;
    if (!workers)
        return rc;
    workers->base = base;
    workers->fdstore = fdstore;
    workers->role = role;
    LIST_INIT(&workers->staying);
    LIST_INIT(&workers->leaving);
    workers->spare_timer = evtimer_new(base, start_spare, workers);
    if (workers->spare_timer)
        workers->spare = process_start(workers, &rc);
    if (workers->spare)
        rc = await_first_worker(workers);
    if (rc < 0)
        workers_close(workers);
    else
        *out = workers;
    return rc;
}

void workers_abandon(struct workers *workers)
{
    struct worker_request stale = {.type = WORKER_STALE};
    struct worker_process *process;

    while ((process = LIST_FIRST(&workers->staying))) {
        if (process->worker) { /* the spare process has no rings: it exits when its socket closes */
            process_send(process, &stale, NULL, 0);
            detach_process(process->worker);
        }
        process_free(process);
    }
}

void workers_close(struct workers *workers)
{
    if (!workers)
        return;
    if (workers->spare)
        process_free(workers->spare);
    forget_event(&workers->spare_timer);
    workers->closed = true;
    workers_free(workers);
}
