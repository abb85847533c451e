/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics: what each channel has moved, written where the toolstack can read it without asking
 * the guest or this process (doc/protocol.md, "Statistics").
 *
 * A channel is written when it changed, at most every two seconds, and so many of them at a time;
 * where nothing changes there is no timer. All functions belong to the thread of the event loop; an
 * channel without a ledger (the side of a channel whose statistics nobody keeps) is allowed
 * everywhere and does nothing.
 */
#ifndef SERVICE_STATISTICS_H
#define SERVICE_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "state/device.h"
#include "state/store.h"
#include "vchan/channel.h"

struct worker;

/* Room for who is at the other end of a connection, with its NUL; longer texts are cut. */
#define STATISTICS_PEER_MAX 96

struct event_base;
struct ledger;

/*
 * Those of all channels of a process, below a directory (not copied) such as "data/vchan-backend": removes
 * what an earlier process left. NULL: no memory. That they cannot be written is logged once, and
 * nothing else suffers from it.
 */
struct ledger *ledger_open(struct event_base *base, struct store *store, const char *root);

/* Removes all that was written. Those of every channel must be closed. NULL is allowed. */
void ledger_close(struct ledger *ledger);

/* One channel's. */
struct statistics {
    struct ledger *ledger; /* NULL: none is kept */
    TAILQ_ENTRY(statistics) next;
    bool queued; /* there is something to write */
    char node[DEVICE_PATH_MAX];
    struct worker *worker;        /* NULL: not connected */
    struct channel_counts before; /* of the channels that it had before */
    uint64_t since;
    unsigned long connections;
    char peer[STATISTICS_PEER_MAX];
    bool waiting; /* statistics_set_waiting() */
};

/* Begins those of a device, "5/0"; they are zeroed, or closed. */
void statistics_open(struct statistics *statistics, struct ledger *ledger, const char *id);

/* Ends them and removes their node. Allowed if they did not begin. */
void statistics_close(struct statistics *statistics);

/* The device is connected now, by this worker, which is borrowed until statistics_end(). */
void statistics_begin(struct statistics *statistics, struct worker *worker);

/* The channel goes. Allowed if none came. */
void statistics_end(struct statistics *statistics);

/* Who is at the other end of the connection now; "" for nobody. Control characters become '?'. */
void statistics_set_peer(struct statistics *statistics, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether another client waits until the one that is served has left. */
void statistics_set_waiting(struct statistics *statistics, bool waiting);

#endif
