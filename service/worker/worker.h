/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker as the broker sees it: the rings of one channel (state/rings.h), from the moment they
 * are mapped or granted to the moment they are given back, in a process of their own. The broker
 * maps nothing of a guest's, and believes nothing that such a process says but about its own
 * channel.
 *
 * One process for each channel, and for each time it connects: what it may do can then be taken
 * from it for good once its rings are mapped. One is always started ahead.
 *
 * All functions belong to the thread of the event loop, and none blocks but workers_open() and, for
 * the time that it takes to start a process, the first call for new rings.
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
struct worker_process;
struct workers;

/*
 * All of a service's. fdstore: what outlives the broker, or NULL. Waits until the first process has
 * opened Xen's devices. 0, or a negative errno: -ENODEV, -EACCES (as xen_open()), -ENOMEM, -EAGAIN
 * (no process can be started), -ETIMEDOUT.
 */
int workers_open(struct event_base *base, struct fdstore *fdstore, enum machine_role role,
                 struct workers **workers);

/*
 * No more will be needed. Those that give their rings back still do, and have events of the loop
 * until they have ended, 5 s at most. workers is freed with the last. NULL is allowed.
 */
void workers_close(struct workers *workers);

/*
 * The domain has begun another life: nothing that any of them has may be given back. They stay as
 * they are ("vchan-stale") for as long as the kernel runs, and all rings are lost.
 */
void workers_abandon(struct workers *workers);

/* Who moves bytes with it (service/carrier.h). */
struct worker_user {
    void (*told)(void *arg);  /* its status is another. It may release the rings. */
    void (*anew)(void *arg);  /* another process has the rings, and is told what it is to do */
    bool (*whole)(void *arg); /* whether that can go on where the one that died has stopped */
    void *arg;
};

struct worker {
    struct rings rings; /* for endpoint_open() */
    struct workers *workers;
    const char *id;                      /* "5/0": who keeps it */
    void (*lost)(void *arg, bool whole); /* the process that had the rings died */
    void *arg;

    struct worker_process *process; /* NULL: none */
    struct worker_request asked;    /* for its rings; type 0: nothing was */
    bool sent;                      /* that was */
    bool held;                      /* and it has them */
    bool resumable, ended, gone;    /* what it was told, for another one */
    unsigned int deaths;
    int64_t died; /* the last time; clock_ms() */

    struct worker_user user;      /* told NULL: nobody */
    struct channel_counts before; /* of the processes that died */
    void (*moved)(void *arg);     /* worker_on_traffic() */
    void *moved_arg;
    uint32_t moved_since; /* a request's number */
};

/* To be called once, before endpoint_open(). id is the caller's, as are workers. */
void worker_init(struct worker *worker, struct workers *workers, const char *id,
                 void (*lost)(void *arg, bool whole), void *arg);

/*
 * Has it do something with its rings, in order, with copies of descriptors (count of them). Returns
 * the request's number, or 0 if there is no process that has rings now.
 */
uint32_t worker_tell(struct worker *worker, enum worker_request_type type, uint32_t flags,
                     const int *fds, unsigned int count);

/*
 * Its status, if it has rings, and everything that it was told before is done; or NULL. Of what it
 * says: descriptors of errno are 0 or negative ones, and all else is as the worker wants it to be.
 */
const struct worker_status *worker_status(const struct worker *worker);

/* The same, if it has come at least as far as this request. */
const struct worker_status *worker_status_since(const struct worker *worker, uint32_t number);

/* What has moved since the rings are there. */
struct channel_counts worker_counts(const struct worker *worker);

/* As channel_on_traffic(). */
void worker_on_traffic(struct worker *worker, void (*moved)(void *arg), void *arg);

#endif
