/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The local program at a connection that is one descriptor: a client, a server, the user of a
 * terminal. Either it and the guest's channel end together (reconnect=0), or one program comes after
 * the other while the channel stays (reconnect=1).
 */
#ifndef SERVICE_KINDS_PROGRAM_H
#define SERVICE_KINDS_PROGRAM_H

#include <stdbool.h>

#include "service/connection.h"
#include "service/carrier.h"

/* What its descriptor is called while it is kept (connection_take); older services know it by that. */
#define PROGRAM_KEPT "party"

/* What a terminal is, which is there without one, too. */
#define TERMINAL_KEPT "terminal"

/* What the programs of a kind are like. */
struct program_ops {
    const char *noun; /* "client" */
    /* There is nobody, and the channel goes on: have one come. It may be told again. */
    void (*wanted)(void *arg);
    /* reconnect=1: its end of file is all that tells that it has left. */
    bool ends_once;
    /* One is sure to come, if only for what the guest has left behind. */
    bool sure;
    /* A terminal: no half-close, either way. The guest's end is the channel's; it stays open. */
    bool terminal;
};

struct program {
    struct connection *connection;
    const struct program_ops *ops;
    void *arg;
    int fd; /* -1: nobody is there */
    struct carrier carrier;
    int nowhere; /* where a terminal's bytes go when it was hung up; -1: it was not */
    bool guest_ended; /* and all that it sent is with programs */
};

/* With the device: nobody is there. */
void program_init(struct program *program, struct connection *connection, const struct program_ops *ops,
                void *arg);

/* The guest opens the channel: before connection_take(). */
void program_open(struct program *program);

/*
 * One comes, after the connection's start(); who it is, for log and statistics, in a few words. The
 * descriptor is the program's from now on, but for a terminal's.
 */
void program_come(struct program *program, int fd, const char *who);

/* As the connection's stir() and close(). */
void program_stir(struct program *program);
void program_close(struct program *program);

#endif
