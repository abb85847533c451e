/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics: how much each channel has moved, in xenstore, where the toolstack can read it without
 * asking the guest or this process (doc/protocol.md, "Statistics").
 *
 * A channel's node is written when its values have changed, at most every two seconds, and a
 * limited number of nodes at a time. While nothing changes no timer runs. All functions belong to
 * the thread of the event loop. Statistics without a ledger are allowed everywhere and do nothing.
 */
#ifndef SERVICE_STATISTICS_H
#define SERVICE_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "state/device.h"
#include "state/store.h"
#include "service/worker/protocol.h"

struct worker;

/* Space for the description of the program at a connection, with its NUL; longer ones are cut. */
#define STATISTICS_PEER_MAX 96

struct event_base;
struct ledger;

/*
 * Opens the statistics of all channels of a process, below a directory (not copied) such as
 * "data/vchan-backend", and removes what an earlier process left there. If they cannot be written,
 * that is logged once and has no other effect. Returns NULL if memory runs out. base and store must
 * outlive the ledger.
 */
struct ledger *ledger_open(struct event_base *base, struct store *store, const char *root);

/* Removes all that was written, and frees. All statistics must be closed. NULL is allowed. */
void ledger_close(struct ledger *ledger);

/* One channel's statistics. */
struct statistics {
    struct ledger *ledger; /* NULL: nothing is written */
    TAILQ_ENTRY(statistics) next;
    bool queued; /* it must be written */
    char node[DEVICE_PATH_MAX];
    struct worker *worker;         /* NULL: not connected */
    struct worker_counts earlier; /* of earlier connects */
    uint64_t since;
    unsigned long connections;
    char peer[STATISTICS_PEER_MAX];
    bool waiting; /* statistics_set_waiting() */
};

/* Opens the statistics of a device, "5/0". They must be zeroed or closed. */
void statistics_open(struct statistics *statistics, struct ledger *ledger, const char *id);

/* Closes them and removes their node. Allowed if they are not open. */
void statistics_close(struct statistics *statistics);

/* The device is Connected now. worker must stay valid until statistics_end(). */
void statistics_begin(struct statistics *statistics, struct worker *worker);

/* The device is no longer Connected. If it was not Connected, this does nothing. */
void statistics_end(struct statistics *statistics);

/*
 * Sets the description of the program at the connection; "" for none. Control characters become
 * '?'.
 */
void statistics_set_peer(struct statistics *statistics, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets whether another client is waiting until the present one has left. */
void statistics_set_waiting(struct statistics *statistics, bool waiting);

#endif
