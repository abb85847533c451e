/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frame of a service, for either side: an event loop, connections to xenstored and Xen,
 * signals, the service manager, and a lock so that a domain runs the service once.
 */
#ifndef SERVICE_LOOP_H
#define SERVICE_LOOP_H

#include <stdbool.h>
#include <stddef.h>

#include "state/store.h"
#include "state/machine.h"

struct event_base;
struct ring_holder;
struct loop_ops;
struct fdstore;
struct ledger;

/* What all devices of a service share. */
struct loop {
    struct event_base *base;
    struct store *store;
    struct workers *workers;         /* the processes that have the channels' rings */
    struct ledger *ledger;           /* where statistics are written */
    struct fdstore *fdstore;         /* NULL unless ops->hands_over */
    struct ring_holder *ring_holder; /* or NULL */
    const struct loop_ops *ops;
    void *service;
};

/*
 * What differs between the services. The functions are called in the loop's thread and must not
 * block.
 */
struct loop_ops {
    enum machine_role role;
    bool hands_over;        /* its connections continue in its next process (fdstore.h) */
    const char *program;    /* its name in errors, and its lock's name */
    const char *watch;      /* the directory in xenstore of its devices */
    const char *statistics; /* the directory for their statistics */

    /*
     * Starts, and looks at what is there. Returns 0, or a negative errno after a line in the log.
     */
    int (*start)(const struct loop *loop, void *service);
    /* Something at this path changed, or may have: marks it, for settle(). */
    void (*changed)(void *service, const char *path);
    /* Does what the changes so far call for. */
    void (*settle)(void *service);
    /* Closes all devices cleanly. Called only after start(). */
    void (*stop)(void *service);
    /*
     * drain() starts to end all devices cleanly after a signal to stop; drained() returns whether
     * none has rings any more. The service stops then, after 10 seconds, or at the next signal.
     * NULL: it stops at once.
     */
    void (*drain)(void *service);
    bool (*drained)(void *service);
    /* Counts the channels that it serves, and those that are open, for the service manager. */
    void (*count)(void *service, unsigned int *channels, unsigned int *connected);
    /* A device is about to release its rings. May be NULL. */
    void (*releasing)(void *service);
    /*
     * SIGHUP. NULL: a service that hands over replaces itself by a new process; for another SIGHUP
     * is not handled, and ends it.
     */
    void (*reload)(void *service);
};

enum loop_exit { LOOP_STOPPED = 0, LOOP_FAILED = 1 };

/*
 * Runs a service until SIGTERM or SIGINT, or until an error that it logs; then until all commands
 * and workers have ended. Returns the exit code.
 */
enum loop_exit loop_serve(const struct loop_ops *ops, void *service);

/* For devices: the state of one has changed. */
void loop_state_changed(const struct loop *loop);

#endif
