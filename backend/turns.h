/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose turn it is to be looked at, so that no guest holds up another, whatever it does: in a round
 * each guest has one of its devices looked at, be it of one or of hundreds that are marked.
 *
 * What one device lets go of (a path) may be what another wants. So one that is not served waits
 * until all are looked at that are served and were marked before it. Those that are marked again
 * later do not count: it has its turn, even beside a guest whose devices are never quiet.
 */
#ifndef BACKEND_TURNS_H
#define BACKEND_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* A guest's devices come in this order. */
enum turns_rank {
    TURNS_SERVED,
    TURNS_NEW, /* never looked at: what even a guest that is held has done */
    TURNS_UNSERVED,
    TURNS_RANKS
};

TAILQ_HEAD(turns_queue, turn);

/* A device. All zero: not marked. */
struct turn {
    TAILQ_ENTRY(turn) next;
    struct turns_queue *queue; /* NULL: not marked */
    uint64_t number;           /* of the mark */
};

struct turns_guest {
    TAILQ_ENTRY(turns_guest) next;
    struct turns_queue queues[TURNS_RANKS];
    bool held; /* the caller's: it has only those looked at that are new */
};

struct turns {
    TAILQ_HEAD(, turns_guest) guests;
    uint64_t marks;
    enum turns_rank (*rank)(const struct turn *turn);
    /*
     * The turn is not marked any more. It may mark and unmark any, but adds and removes no guest.
     */
    void (*look)(struct turns_guest *guest, struct turn *turn);
};

void turns_init(struct turns *turns, enum turns_rank (*rank)(const struct turn *turn),
                void (*look)(struct turns_guest *guest, struct turn *turn));

void turns_add(struct turns *turns, struct turns_guest *guest);

/* One of whose devices none is marked. */
void turns_remove(struct turns *turns, struct turns_guest *guest);

/* A guest's device is to be looked at. Does nothing if that is so already. */
void turns_mark(struct turns *turns, struct turns_guest *guest, struct turn *turn);
void turns_unmark(struct turn *turn);

/*
 * A round. False: nothing is left to look at, but for what guests that are held have to wait for.
 */
bool turns_round(struct turns *turns);

#endif
