/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accepts clients at a listening socket: one whenever the kind wants one, and not more often than
 * the service can afford. A client that is not accepted stays in the socket's queue.
 */
#ifndef SERVICE_KINDS_LISTENER_H
#define SERVICE_KINDS_LISTENER_H

#include <stdbool.h>

#include "service/backoff.h"
#include "service/quota.h"

struct connection;
struct event;

struct listener_ops {
    /* Whether a client may be accepted now. If not, none is until listener_start(). NULL: always.
     */
    bool (*may_accept)(void *arg);
    /* A client has come. fd (non-blocking) is the callee's. It may call the functions below. */
    void (*accepted)(void *arg, int fd);
};

struct listener {
    struct connection *connection;
    bool wanted;            /* clients are to be accepted */
    struct event *incoming; /* pending while a client may be accepted */
    struct event *pause;    /* pending: too many clients came */
    struct backoff backoff; /* after accept() failed */
    struct rate clients;
    const struct listener_ops *ops;
    void *arg;
};

/*
 * Initialises; accepts nothing yet. fd stays the caller's, and must stay open until
 * listener_close(), as connection and arg must stay valid. Clients that cannot be accepted are the
 * error of the connection's endpoint. Returns 0 or -ENOMEM with nothing left.
 */
int listener_open(struct listener *listener, struct connection *connection, int fd,
                  const struct listener_ops *ops, void *arg);

/* Accepts clients from now on, until listener_stop(). May be repeated. */
void listener_start(struct listener *listener);

/* Accepts none from now on. May be repeated. */
void listener_stop(struct listener *listener);

/* Frees. Does not close fd. */
void listener_close(struct listener *listener);

#endif
