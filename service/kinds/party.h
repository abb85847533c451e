/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whoever a channel is plugged into over one descriptor: a client, a server, who has a terminal
 * open. Either it and the guest's channel end together (reconnect=0), or one such party comes after
 * the other while the channel stays (reconnect=1).
 */
#ifndef SERVICE_KINDS_PARTY_H
#define SERVICE_KINDS_PARTY_H

#include <stdbool.h>

#include "service/connection.h"
#include "service/stream.h"

/* What a party's descriptor is called while it is kept (connection_take). */
#define PARTY_KEPT "party"

/* What a terminal is, which is there without one, too. */
#define TERMINAL_KEPT "terminal"

/* How a kind's parties are. */
struct party_ops {
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

struct party {
    struct connection *connection;
    const struct party_ops *ops;
    void *arg;
    int fd; /* -1: nobody is there */
    struct stream stream;
    int nowhere; /* where a terminal's bytes go when it was hung up; -1: it was not */
    bool guest_ended; /* and all that it sent is with parties */
};

/* With the device: nobody is there. */
void party_init(struct party *party, struct connection *connection, const struct party_ops *ops,
                void *arg);

/* The guest opens the channel: before connection_take(). */
void party_open(struct party *party);

/*
 * One comes, after the connection's start(); who it is, for log and statistics, in a few words. The
 * descriptor is the party's from now on, but for a terminal's.
 */
void party_come(struct party *party, int fd, const char *who);

/* As the connection's stir() and close(). */
void party_stir(struct party *party);
void party_close(struct party *party);

#endif
