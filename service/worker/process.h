/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker's process as the broker sees it: the broker sends it requests, it reports its status
 * (protocol.h), and the broker learns when it has exited. A guest may have taken the process over,
 * so no report is trusted, and none that it omits is waited for.
 *
 * All functions belong to the thread of the event loop. None blocks but process_start(), for the
 * time of two forks, process_await() and process_close().
 */
#ifndef SERVICE_WORKER_PROCESS_H
#define SERVICE_WORKER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "service/worker/protocol.h"
#include "state/machine.h"

struct event;
struct event_base;
struct quota;

struct worker_process {
    LIST_ENTRY(worker_process) next; /* the owner's */
    struct event_base *base;
    int fd; /* the socket */
    int pidfd;
    bool found;   /* an earlier broker started it */
    bool leaving; /* it was asked to release its rings and exit */
    bool ending;  /* it was killed, or has closed its socket, and may not have exited yet */
    struct event *readable;
    struct event *exit;         /* made when it is ending */
    struct event *answer_timer; /* pending: it has requests to answer */
    struct event *rest_timer;   /* pending: it sent too many statuses, and is not read until then */
    struct worker_counts *counts; /* memory that the process writes */
    uint32_t era, number;          /* number: the last request sent */
    struct worker_status status;   /* seen 0: none yet */

    /* For the owner to set. Each callback may end or close the process. */
    struct quota *quota; /* limits how often its statuses are read; NULL: nothing does */
    const char *name;    /* in the log */
    void (*reported)(struct worker_process *process); /* it has sent a status. NULL: not needed */
    /* It has exited, and all that it held is released. The owner must close it. */
    void (*exited)(struct worker_process *process);
    void *workers, *worker; /* the owner's own */
};

/*
 * Starts a process and has it open the devices for a role. On failure *process is NULL. Returns 0,
 * or a negative errno: -ENOMEM, -EAGAIN (no process can be forked), -EMFILE.
 */
int process_start(struct event_base *base, enum machine_role role, struct worker_process **process);

/*
 * Takes over a process that an earlier broker started. Owns both descriptors, on failure, too.
 * Returns as process_start().
 */
int process_find(struct event_base *base, enum machine_role role, int fd, int pidfd,
                 struct worker_process **process);

/*
 * Waits until the process has opened its devices, at most 30 s. Returns 0, or a negative errno:
 * -ENODEV, -EACCES (as xen_open()), -EPIPE (it has exited), -ETIMEDOUT.
 */
int process_await(struct worker_process *process);

/*
 * Sends a request, with copies of count descriptors. Returns its number. What prevents sending also
 * ends the process.
 */
uint32_t process_send(struct worker_process *process, struct worker_request *request,
                      const int *fds, unsigned int count);

/* Whether the process has carried out all requests. */
bool process_is_answered(const struct worker_process *process);

/* Asks the process to release its rings and exit. If it has not done so after 5 s, it is killed. */
void process_leave(struct worker_process *process);

/* Kills the process. exited() is called later. */
void process_end(struct worker_process *process);

/*
 * Frees it. A process that was not told to end finds its socket closed, and exits by itself; one
 * that was is waited for, which takes the kernel a moment.
 */
void process_close(struct worker_process *process);

#endif
