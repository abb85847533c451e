/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a service stands on, whichever side's it is: an event loop, xenstored, Xen, signals, the
 * service manager, and a lock, so that it runs once in a domain.
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
    struct workers *workers; /* which have the channels' rings */
    struct ledger *ledger; /* their statistics */
    struct fdstore *fdstore;     /* what outlives the process; NULL if ops->keeps is false */
    struct ring_holder *ring_holder; /* which has rings that outlive it; NULL: none */
    const struct loop_ops *ops;
    void *service;
};

/* A service. Its functions are called in the loop's thread; none may block. */
struct loop_ops {
    enum machine_role role;
    bool keeps;             /* its connections go on in its next process (fdstore.h) */
    const char *program;    /* its name in errors, and the lock's */
    const char *watch;      /* the directory in xenstore where its devices come and go */
    const char *statistics; /* the one where theirs are written */

    /* Begins: looks at what is there. 0, or a negative errno after a line in the log. */
    int (*start)(const struct loop *loop, void *service);
    /* Something at this path changed, or may have: remembers it. */
    void (*changed)(void *service, const char *path);
    /* Does what any number of changes call for. */
    void (*settle)(void *service);
    /* Lets go of all devices, in order. After start() only. */
    void (*stop)(void *service);
    /*
     * A signal to stop: ends all devices in order, and tells whether none holds rings any more. It
     * stops then, or after 10 seconds, or at the next signal. NULL: at once.
     */
    void (*drain)(void *service);
    bool (*drained)(void *service);
    /* How many channels it serves, and how many of those are open, for the service manager. */
    void (*count)(void *service, unsigned int *channels, unsigned int *connected);
    /* A device is about to give back what it has of Xen. NULL: that needs no thought. */
    void (*releasing)(void *service);
    /*
     * SIGHUP. NULL: a service that keeps goes on as a new process; another is ended by it, as
     * everything is that does not ask for it.
     */
    void (*reload)(void *service);
};

enum loop_exit { LOOP_STOPPED = 0, LOOP_FAILED = 1 };

/*
 * Runs a service until SIGTERM or SIGINT, or until it cannot go on, which is logged; then until
 * all commands that it started have ended. Gives the exit code.
 */
enum loop_exit loop_serve(const struct loop_ops *ops, void *service);

/* For devices: the state of one is another. */
void loop_moved(const struct loop *loop);

#endif
