/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's side of workers. A worker implements the rings of one channel (state/rings.h) by a
 * process that maps or grants them. So the broker maps no memory of a guest. What such a process
 * reports can affect only its own channel.
 *
 * Each channel gets a new process each time it connects: once the process has its rings, it gives
 * up for good the ability to get others. One spare process is always started in advance.
 *
 * All functions belong to the thread of the event loop. Only workers_open() and workers_close()
 * block, and a call for new rings if no spare process is ready, for the time of two forks.
 */
#ifndef SERVICE_WORKER_WORKER_H
#define SERVICE_WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "service/handover/fdstore.h"
#include "service/worker/protocol.h"
#include "state/machine.h"
#include "state/rings.h"

struct event_base;
struct quota;
struct worker_process;
struct workers;

/*
 * Creates the workers of a service, and waits until the first process has opened Xen's devices.
 * fdstore keeps the sockets of processes for the next broker; it may be NULL, stays the caller's
 * and must outlive *workers, as must base. Returns 0, or a negative errno: -ENODEV, -EACCES (as
 * xen_open()), -ENOMEM, -EAGAIN (no process can be started), -ETIMEDOUT (no answer within 30 s). On
 * failure *workers is NULL.
 */
int workers_open(struct event_base *base, struct fdstore *fdstore, enum machine_role role,
                 struct workers **workers);

/*
 * Ends the spare process, and waits until each process that is releasing its rings has exited,
 * which takes at most 10 s; runs the event loop for that. NULL is allowed.
 */
void workers_close(struct workers *workers);

/*
 * For a domain that was restored or migrated, in which the kernel must not release the old rings.
 * The processes keep them, under the name "vchan-stale", as long as the kernel runs. All workers
 * lose their rings.
 */
void workers_abandon(struct workers *workers);

/* Callbacks to the code that has a worker move bytes (service/carrier.h). */
struct worker_user {
    void (*status_changed)(void *arg); /* it may release the rings */
    /* A new process has the rings. It must be sent the requests that its predecessor had. */
    void (*restarted)(void *arg);
    /* The process died: whether a new one can continue where it stopped. */
    bool (*can_resume)(void *arg);
    void *arg;
};

struct worker {
    struct rings rings; /* for endpoint_open() */
    struct workers *workers;
    const char *id; /* "5/0": the owner's name in the fdstore */
    struct quota *quota;
    /* The process that had the rings died. resumable: a new one can continue where it stopped. */
    void (*rings_lost)(void *arg, bool resumable);
    void *arg;

    struct worker_process *process; /* or NULL */
    struct worker_request asked;    /* the request for rings; type 0: none */
    bool sent;                      /* that request was sent */
    bool held;                      /* the process has the rings */
    bool resumable, ended, gone;    /* what the process was sent, to repeat it to a new one */
    unsigned int attempts;          /* processes in a row that died before they had the rings */
    uint32_t lost_streams; /* how many streams ended with the last process that died */
    bool lost_found; /* an earlier broker's process was lost, with what it had not recorded */

    struct worker_user user;             /* status_changed NULL: none */
    struct worker_counts counts_before; /* of the processes that died */
    void (*moved)(void *arg);            /* worker_on_traffic() */
    void *moved_arg;
    uint32_t moved_since; /* the number of that request; 0: it was not sent */
};

/*
 * Call it once, before endpoint_open(). workers, id and quota (NULL: none) stay the caller's and
 * must outlive worker.
 */
void worker_init(struct worker *worker, struct workers *workers, const char *id,
                 struct quota *quota, void (*rings_lost)(void *arg, bool resumable), void *arg);

/*
 * Sends the process a request, with copies of count descriptors. The process carries requests out
 * in order. Returns the request's number, or 0 if no process has the rings now.
 */
uint32_t worker_send(struct worker *worker, enum worker_request_type type, uint32_t flags,
                     const int *fds, unsigned int count);

/* As worker_send(), for a request with other fields. Sets its version and number. */
uint32_t worker_send_request(struct worker *worker, struct worker_request *request, const int *fds,
                             unsigned int count);

/*
 * Whether the process can be sent a request that it may be slow to carry out. If not, a later
 * status_changed() shows that it can.
 */
bool worker_has_room(const struct worker *worker);

/*
 * Returns the process's status if it has the rings and has carried out all requests, else NULL.
 * The error fields are 0 or negative errnos, and pages and pending are in range. Nothing else is
 * checked: a hostile process may report anything.
 */
const struct worker_status *worker_status(const struct worker *worker);

/* The same, but requires only that this request was carried out. */
const struct worker_status *worker_status_after(const struct worker *worker, uint32_t number);

/* Returns what has moved since the worker got its rings, over all its processes. */
struct worker_counts worker_counts(const struct worker *worker);

/* Adds what adds up: all but what is open and stored now, which does not outlive a process. */
void worker_counts_add(struct worker_counts *sum, const struct worker_counts *more);

/* As channel_on_traffic(): calls moved(arg) once, when the next byte has moved. NULL: does not. */
void worker_on_traffic(struct worker *worker, void (*moved)(void *arg), void *arg);

#endif
