/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches for many places in xenstore with few of xenstored's: a guest may have 128 of those, but
 * thousands of channels. A place is a directory (or a single node) that somebody cares for; places
 * are sorted by the directory that they lie in.
 *
 * The first place of a directory is watched itself. From the second on the directory is watched
 * too, for all that lie in it. (It need not be readable: an event comes for each change below it
 * that is.) The watch on one of the places stays, since a directory that goes as a whole, with its
 * domain, is reported only to those who may read it; the place is readable, and if it has gone the
 * others are looked at. If no watch is to be had for another place when that one goes, it is tried
 * again with each event.
 *
 * For what a program watches by one fixed path, store_watch() is enough.
 */
#ifndef STATE_WATCHES_H
#define STATE_WATCHES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "state/store.h"

/* What somebody cares for; all zero: of nobody. */
struct watched_place {
    LIST_ENTRY(watched_place) sibling;
    LIST_ENTRY(watched_place) bucket;
    struct watched_dir *parent; /* NULL: not watched */
    char *dir;
    uint32_t hash; /* of dir */
    void *owner;
};

/* A directory with places in it. */
struct watched_dir {
    SLIST_ENTRY(watched_dir) next;
    LIST_HEAD(, watched_place) places;
    struct watches *watches;
    char *path;
    size_t length; /* of path */
    bool on;       /* it is to be watched */
    bool exact;    /* the first of its places is watched itself */
    bool wide;     /* so is the directory */
    bool made;     /* by watches_add(): it goes with its last place */
};

#define WATCHES_BUCKETS 64

/* All zero, but for store: none. */
struct watches {
    struct store *store;
    SLIST_HEAD(, watched_dir) parents;
    LIST_HEAD(, watched_place) buckets[WATCHES_BUCKETS];
};

/*
 * Watches a place, relative or absolute, for owner. The event that xenstored sends at once comes
 * for some of them only: look at it after this call. 0, -ENOMEM, or as store_watch(); on failure
 * nothing is left.
 */
int watches_add(struct watches *watches, struct watched_place *place, const char *dir, void *owner);

/* Ends that; or does nothing if the place is of nobody. */
void watches_remove(struct watched_place *place);

/* Whether any directory is left. */
bool watches_any(const struct watches *watches);

/*
 * An event came for this path: calls look() for the owners of all that it may be about, unless it
 * is in a directory that is not to be watched. Returns the directory that the path is, or lies in;
 * or NULL.
 */
struct watched_dir *watches_heed(struct watches *watches, const char *path,
                                 void (*look)(void *owner));

/* The directory that a place would be in, or NULL. */
struct watched_dir *watches_find(struct watches *watches, const char *dir);

/* ---- a directory that its owner turns on and off, with all of its places ---- */

/* Opens one (zeroed), which is off. 0 or -ENOMEM; watched_dir_close() is right in either case. */
int watched_dir_open(struct watched_dir *watched, struct watches *watches, const char *path);

/* Without any place. */
void watched_dir_close(struct watched_dir *watched);

/* Puts a place into it, without watching what was not watched so far. 0 or -ENOMEM. */
int watched_dir_add(struct watched_dir *watched, struct watched_place *place, const char *dir,
                    void *owner);

/*
 * Turns it on, or watches what its places need since then; each watch that begins makes an event.
 * 0, or as store_watch(): then some of it is watched.
 */
int watched_dir_start(struct watched_dir *watched);

/* Turns it off: nothing of it is watched, and what comes for it is not looked at. */
void watched_dir_stop(struct watched_dir *watched);

/* Calls look() for the owners of all of its places. */
void watched_dir_look(const struct watched_dir *watched, void (*look)(void *owner));

#endif
