/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/worker/process.h"

/* How many processes in a row may die before one of them has the rings. */
#define ATTEMPTS_MAX 3

/* How many requests may be sent before their answers, so that the socket has room for all. */
#define REQUESTS_AT_ONCE 16

LIST_HEAD(process_list, worker_process);

struct workers {
    struct event_base *base;
    struct fdstore *fdstore;
    enum machine_role role;
    struct worker_process *spare; /* or NULL */
    struct event *spare_timer;    /* pending: a spare process is to be started */
    struct process_list attached; /* those that have a worker */
    struct process_list leaving;  /* those that have none any more, and may have rings */
};

/* ---- processes without a worker ---- */

static void leaving_exited(struct worker_process *process)
{
    LIST_REMOVE(process, next);
    process_close(process);
}

static void spare_exited(struct worker_process *process)
{
    struct workers *workers = process->workers;

    workers->spare = NULL;
    process_close(process);
}

static int start_spare(struct workers *workers)
{
    int rc = process_start(workers->base, workers->role, &workers->spare);

    if (rc < 0)
        return rc;
    workers->spare->name = "a channel to come";
    workers->spare->workers = workers;
    workers->spare->exited = spare_exited;
    return 0;
}

static void on_spare_wanted(evutil_socket_t fd, short what, void *arg)
{
    struct workers *workers = arg;

    (void)fd, (void)what;
    if (!workers->spare)
        start_spare(workers); /* or when it is needed */
}

static int take_spare(struct workers *workers, struct worker_process **process)
{
    static const struct timeval soon = {0};
    int rc = workers->spare ? 0 : start_spare(workers);

    *process = workers->spare;
    workers->spare = NULL;
    event_add(workers->spare_timer, &soon);
    return rc;
}

/* The process that an earlier broker started for the worker. -ENOENT: there is none. */
static int take_found(struct worker *worker, struct worker_process **process)
{
    const struct workers *workers = worker->workers;
    int fd = fdstore_take(workers->fdstore, worker->id, FDSTORE_WORKER);
    int pidfd = fd < 0 ? -ENOENT : fdstore_take(workers->fdstore, worker->id, FDSTORE_WORKER_PIDFD);
    int rc;

    if (fd < 0)
        return -ENOENT;
    rc = pidfd < 0 ? -ENOENT : process_find(workers->base, workers->role, fd, pidfd, process);
    if (rc == 0)
        return 0;
    if (pidfd < 0)
        close(fd); /* the process exits when it finds that */
    fdstore_drop(workers->fdstore, worker->id, FDSTORE_WORKER);
    fdstore_drop(workers->fdstore, worker->id, FDSTORE_WORKER_PIDFD);
    return rc;
}

/* ---- a worker's process ---- */

static void on_reported(struct worker_process *process);
static void on_exited(struct worker_process *process);

/* Both descriptors are kept, or none. */
static void store_process(struct worker *worker)
{
    struct fdstore *fdstore = worker->workers->fdstore;
    bool lasting = fdstore_has_room(fdstore, 2);

    fdstore_add(fdstore, worker->id, FDSTORE_WORKER_PIDFD, worker->process->pidfd, lasting);
    fdstore_add(fdstore, worker->id, FDSTORE_WORKER, worker->process->fd, lasting);
}

/* Gives the worker the process that an earlier broker started for it, or the spare one. */
static int attach_process(struct worker *worker, bool may_be_found)
{
    struct workers *workers = worker->workers;
    struct worker_process *process;
    int rc = may_be_found ? take_found(worker, &process) : -ENOENT;

    if (rc == -ENOENT)
        rc = take_spare(workers, &process);
    if (rc < 0)
        return rc;
    process->name = worker->id;
    process->quota = worker->quota;
    process->reported = on_reported;
    process->exited = on_exited;
    process->workers = workers;
    process->worker = worker;
    LIST_INSERT_HEAD(&workers->attached, process, next);
    worker->process = process;
    store_process(worker);
    return 0;
}

void worker_counts_add(struct worker_counts *sum, const struct worker_counts *more)
{
    sum->channel.received += more->channel.received;
    sum->channel.sent += more->channel.sent;
    sum->channel.wakes += more->channel.wakes;
    sum->channel.sleeps += more->channel.sleeps;
    sum->opened += more->opened;
    sum->refused += more->refused;
    sum->reset += more->reset;
}

/* Takes the worker's process away, which the caller must then close, or let go. */
static struct worker_process *detach_process(struct worker *worker)
{
    struct fdstore *fdstore = worker->workers->fdstore;
    struct worker_process *process = worker->process;

    worker_counts_add(&worker->counts_before, process->counts);
    worker->lost_streams = process->counts->open;
    fdstore_drop(fdstore, worker->id, FDSTORE_WORKER);
    fdstore_drop(fdstore, worker->id, FDSTORE_WORKER_PIDFD);
    LIST_REMOVE(process, next);
    process->worker = NULL;
    process->quota = NULL;
    process->name = "a closed channel";
    worker->process = NULL;
    worker->sent = worker->held = false;
    return process;
}

static void release_process(struct worker *worker)
{
    struct workers *workers = worker->workers;

    worker->asked.type = 0;
    worker->attempts = 0;
    if (worker->process) {
        struct worker_process *process = detach_process(worker);

        process->exited = leaving_exited;
        LIST_INSERT_HEAD(&workers->leaving, process, next);
        process_leave(process);
    }
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
    worker->attempts = 0;
    repeat_requests(worker);
    return 0;
}

static int give_rings_up(struct worker *worker, int rc)
{
    release_process(worker);
    return rc;
}

/* An earlier broker's process that has other rings, or none, or another version. */
static bool is_useless(const struct worker *worker)
{
    const struct worker_process *process = worker->process;
    const struct worker_status *status = &process->status;

    return process->found && (status->version != WORKER_VERSION || !(status->flags & WORKER_HELD) ||
                              !has_requested_rings(status, &worker->asked));
}

/* Takes the request for rings one step further. Returns 0, -EINPROGRESS or a negative errno. */
static int advance_rings(struct worker *worker)
{
    struct worker_process *process = worker->process;

    if (!process)
        return give_rings_up(worker, -EPIPE);
    if (process->ending || !process_is_answered(process))
        return -EINPROGRESS;
    if (is_useless(worker)) {
        process_end(process); /* on_exited() takes another */
        return -EINPROGRESS;
    }
    if (process->status.flags & WORKER_HELD)
        return accept_rings(worker);
    if (process->status.result < 0)
        return give_rings_up(worker, process->status.result);
    if (worker->sent)
        return give_rings_up(worker, -EPIPE);
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
    worker->lost_found = false;
    worker->counts_before = (struct worker_counts){0};
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
                 struct quota *quota, void (*rings_lost)(void *arg, bool resumable), void *arg)
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

    *worker = (struct worker){.rings.ops = &ops,
                              .workers = workers,
                              .id = id,
                              .quota = quota,
                              .rings_lost = rings_lost,
                              .arg = arg};
}

/* ---- what a process reports ---- */

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

static void on_reported(struct worker_process *process)
{
    pass_status_on(process->worker, process);
}

/* A new process can go on if what the old one was doing is recorded outside of it. */
static void lose_rings(struct worker *worker)
{
    bool resumable = !worker->user.status_changed || worker->user.can_resume(worker->user.arg);

    worker->asked.type = 0;
    worker->rings_lost(worker->arg, resumable);
}

/* It died before it had the rings, so another one is asked for them, or there is an error. */
static void try_another(struct worker *worker)
{
    if (++worker->attempts < ATTEMPTS_MAX)
        attach_process(worker, false);
    worker->rings.fired(worker->rings.arg);
}

static void on_exited(struct worker_process *process)
{
    struct worker *worker = process->worker;
    bool held = worker->held;

    worker->lost_found |= process->found && !held;
    process_close(detach_process(worker));
    if (held)
        lose_rings(worker);
    else
        try_another(worker);
}

/* ---- for the code that moves bytes ---- */

uint32_t worker_send(struct worker *worker, enum worker_request_type type, uint32_t flags,
                     const int *fds, unsigned int count)
{
    struct worker_request request = {.type = type, .flags = flags};

    return worker_send_request(worker, &request, fds, count);
}

uint32_t worker_send_request(struct worker *worker, struct worker_request *request, const int *fds,
                             unsigned int count)
{
    return worker->held ? process_send(worker->process, request, fds, count) : 0;
}

bool worker_has_room(const struct worker *worker)
{
    const struct worker_process *process = worker->process;

    return worker->held && !process->ending && !(process->status.flags & WORKER_FULL) &&
           process->number - process->status.seen < REQUESTS_AT_ONCE;
}

const struct worker_status *worker_status(const struct worker *worker)
{
    return worker->held && process_is_answered(worker->process) ? &worker->process->status : NULL;
}

const struct worker_status *worker_status_after(const struct worker *worker, uint32_t number)
{
    return worker->held && worker->process->status.seen >= number ? &worker->process->status : NULL;
}

struct worker_counts worker_counts(const struct worker *worker)
{
    struct worker_counts sum = worker->counts_before;

    if (worker->held) {
        worker_counts_add(&sum, worker->process->counts);
        sum.open = worker->process->counts->open;
        sum.stored = worker->process->counts->stored;
    }
    return sum;
}

void worker_on_traffic(struct worker *worker, void (*moved)(void *arg), void *arg)
{
    worker->moved = moved;
    worker->moved_arg = arg;
    worker->moved_since = moved ? worker_send(worker, WORKER_COUNT, 0, NULL, 0) : 0;
}

/* ---- all workers ---- */

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
    LIST_INIT(&workers->attached);
    LIST_INIT(&workers->leaving);
    workers->spare_timer = evtimer_new(base, on_spare_wanted, workers);
    if (workers->spare_timer)
        rc = start_spare(workers);
    if (rc == 0)
        rc = process_await(workers->spare); /* it finds out whether Xen's devices can be opened */
    if (rc < 0)
        workers_close(workers);
    else
        *out = workers;
    return rc;
}

static void drop_spare(struct workers *workers)
{
    if (workers->spare_timer)
        event_del(workers->spare_timer);
    if (!workers->spare)
        return;
    process_end(workers->spare);
    process_close(workers->spare);
    workers->spare = NULL;
}

void workers_abandon(struct workers *workers)
{
    struct worker_request stale = {.type = WORKER_STALE};
    struct worker_process *process;

    drop_spare(workers);
    while ((process = LIST_FIRST(&workers->attached))) {
        process_send(process, &stale, NULL, 0);
        process_close(detach_process(process->worker));
    }
}

void workers_close(struct workers *workers)
{
    if (!workers)
        return;
    drop_spare(workers);
    while (!LIST_EMPTY(&workers->leaving))
        event_base_loop(workers->base, EVLOOP_ONCE);
    if (workers->spare_timer)
        event_free(workers->spare_timer);
    free(workers);
}
