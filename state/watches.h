/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches for many directories with few of xenstored's: a guest may have 128 of those, but
 * thousands of channels.
 *
 * The first directory of a parent is watched itself. From the second on the parent is watched too,
 * for all that lie in it. (It need not be readable: an event comes for each change below it that
 * is.) The watch on one of the directories stays, since a parent that goes as a whole, with its
 * domain, tells only those who may read it; that one is readable, and who sees it gone looks at the
 * others. If no watch is to be had for another one when that one goes, it is tried again with each
 * event.
 */
#ifndef STATE_WATCHES_H
#define STATE_WATCHES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "state/store.h"

struct watched;

/* A directory that somebody cares for; all zero: of nobody. */
struct place {
    LIST_ENTRY(place) sibling;
    LIST_ENTRY(place) bucket;
    struct watched *parent; /* NULL: not watched */
    char *dir;
    void *owner;
};

#define WATCHES_BUCKETS 64

/* All zero, but for store: none. */
struct watches {
    struct store *store;
    SLIST_HEAD(, watched) parents;
    LIST_HEAD(, place) buckets[WATCHES_BUCKETS];
};

/*
 * Watches a directory (or a single node), relative or absolute, for owner. The event that xenstored
 * sends at once comes for some of them only: look at it after this call. 0, -ENOMEM, or as
 * store_watch(); on failure nothing is left.
 */
int watches_add(struct watches *watches, struct place *place, const char *dir, void *owner);

/* Ends that; or does nothing if the place is not watched. */
void watches_remove(struct watches *watches, struct place *place);

/* Whether any is left. */
bool watches_any(const struct watches *watches);

/* An event came for this path: calls look() for the owners of all that it may be about. */
void watches_heed(struct watches *watches, const char *path, void (*look)(void *owner));

#endif
