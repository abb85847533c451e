/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides which device is looked at next, so that no guest holds up another. In each round one
 * device of each guest is looked at, whether one or hundreds of that guest's devices are marked.
 *
 * A device that is not served may need what a served one lets go of (a path). So it waits until all
 * served devices are looked at that were marked before it. Those that are marked again later do not
 * count, so it has its turn even beside a guest whose devices are marked endlessly.
 */
#ifndef BACKEND_TURNS_H
#define BACKEND_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* A guest's devices are looked at in this order. */
enum turns_rank {
    TURNS_SERVED,
    TURNS_NEW, /* never looked at; looked at even while the guest is paused */
    TURNS_UNSERVED,
    TURNS_RANKS
};

TAILQ_HEAD(turns_queue, turn);

/* A device. Initialise to zeros: not marked. */
struct turn {
    TAILQ_ENTRY(turn) next;
    struct turns_queue *queue; /* NULL: not marked */
    uint64_t number;           /* counts marks */
};

struct turns_guest {
    TAILQ_ENTRY(turns_guest) next;
    struct turns_queue queues[TURNS_RANKS];
    bool paused; /* set by the caller: only new devices are looked at */
};

struct turns {
    TAILQ_HEAD(, turns_guest) guests;
    uint64_t marks;
    enum turns_rank (*rank)(const struct turn *turn);
    /*
     * Looks at the device, which is not marked any more. May mark and unmark any device, but must
     * not add or remove guests.
     */
    void (*look)(struct turns_guest *guest, struct turn *turn);
};

void turns_init(struct turns *turns, enum turns_rank (*rank)(const struct turn *turn),
                void (*look)(struct turns_guest *guest, struct turn *turn));

void turns_add(struct turns *turns, struct turns_guest *guest);

/* Removes a guest. None of its devices may be marked. */
void turns_remove(struct turns *turns, struct turns_guest *guest);

/* Marks a guest's device, to be looked at. Does nothing if it is marked already. */
void turns_mark(struct turns *turns, struct turns_guest *guest, struct turn *turn);
void turns_unmark(struct turn *turn);

/*
 * Makes one round. Returns false if no device was looked at, so that only those of paused guests
 * can be left.
 */
bool turns_round(struct turns *turns);

#endif
