/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The local program at a connection that has one descriptor: a client, a server, or the user of a
 * terminal. With reconnect=0 the program and the guest's channel end together. With reconnect=1 one
 * program follows another while the channel stays open.
 */
#ifndef SERVICE_KINDS_PROGRAM_H
#define SERVICE_KINDS_PROGRAM_H

#include <stdbool.h>

#include "service/connection.h"
#include "service/carrier.h"

/* The properties of one kind's programs. */
struct program_ops {
    const char *noun; /* "client" */
    /* No program is connected and the channel stays open: get the next one. May be repeated. */
    void (*want_next)(void *arg);
    /* reconnect=1: end of file means that the program has left. It cannot half-close. */
    bool eof_is_leaving;
    /* The kind fetches the next program itself, even to deliver only what the guest left. */
    bool next_is_sure;
    /* A terminal: it has no half-close, and stays open when the guest or the user has ended. */
    bool terminal;
};

struct program {
    struct connection *connection;
    const struct program_ops *ops;
    void *arg;
    int fd; /* -1: none is connected */
    struct carrier carrier;
    int null_sink;    /* /dev/null, for a terminal that was hung up; else -1 */
    bool guest_ended; /* the guest's end was passed on, after all that it sent */
};

/* Initialises program, with none connected. connection and ops must outlive it. */
void program_init(struct program *program, struct connection *connection,
                  const struct program_ops *ops, void *arg);

/* For the kind's open(), before connection_take(). */
void program_open(struct program *program);

/*
 * A program has connected; not to be called before the kind's start(). Takes ownership of fd,
 * except a terminal's. who describes the program in a few words, for the log and statistics.
 */
void program_attach(struct program *program, int fd, const char *who);

/* For the kind's stir() and close(). */
void program_stir(struct program *program);
void program_close(struct program *program);

#endif
