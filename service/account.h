/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics: what each channel has moved, written where the toolstack can read it without asking
 * the guest or this process (doc/protocol.md, "Statistics").
 *
 * A channel is written when it changed, at most every two seconds, and so many of them at a time;
 * where nothing changes there is no timer. All functions belong to the thread of the event loop; an
 * account without a ledger (the side of a channel whose statistics nobody keeps) is allowed
 * everywhere and does nothing.
 */
#ifndef SERVICE_ACCOUNT_H
#define SERVICE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "state/device.h"
#include "state/store.h"
#include "vchan/channel.h"

/* Room for who is at the other end of a connection, with its NUL; longer texts are cut. */
#define ACCOUNT_PEER_MAX 96

struct event_base;
struct ledger;

/*
 * All accounts of a process, below a directory (not copied) such as "data/vchan-backend": removes
 * what an earlier process left. NULL: no memory. That they cannot be written is logged once, and
 * nothing else suffers from it.
 */
struct ledger *ledger_open(struct event_base *base, struct store *store, const char *root);

/* Removes all that was written. Every account must be closed. NULL is allowed. */
void ledger_close(struct ledger *ledger);

/* One channel's. */
struct account {
    struct ledger *ledger; /* NULL: none is kept */
    TAILQ_ENTRY(account) next;
    bool queued; /* there is something to write */
    char node[DEVICE_PATH_MAX];
    struct channel *channel;      /* NULL: not connected */
    struct channel_counts before; /* of the channels that it had before */
    uint64_t since;
    unsigned long connections;
    char peer[ACCOUNT_PEER_MAX];
    bool waiting; /* account_set_waiting() */
};

/* Opens an account (zeroed, or closed) for a device, "5/0". */
void account_open(struct account *account, struct ledger *ledger, const char *id);

/* Closes it and removes its node. Allowed if it is not open. */
void account_close(struct account *account);

/* The device is connected now, by this channel: which is borrowed until account_end(). */
void account_begin(struct account *account, struct channel *channel);

/* The channel goes. Allowed if none came. */
void account_end(struct account *account);

/* Who is at the other end of the connection now; "" for nobody. Control characters become '?'. */
void account_set_peer(struct account *account, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether another client waits until the one that is served has left. */
void account_set_waiting(struct account *account, bool waiting);

#endif
