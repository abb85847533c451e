/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/watches.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tokens, since one path may be watched both ways. */
#define AT "at"
#define IN "in"

static uint32_t hash_of(const char *dir)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *dir; dir++)
        hash = (hash ^ (uint8_t)*dir) * 16777619u;
    return hash;
}

/* ---- a directory ---- */

int watched_dir_open(struct watched_dir *watched, struct watches *watches, const char *path)
{
    watched->path = strdup(path);
    if (!watched->path)
        return -ENOMEM;
    watched->length = strlen(path);
    watched->watches = watches;
    SLIST_INSERT_HEAD(&watches->parents, watched, next);
    return 0;
}

void watched_dir_close(struct watched_dir *watched)
{
    if (!watched->path)
        return;
    watched_dir_stop(watched);
    SLIST_REMOVE(&watched->watches->parents, watched, watched_dir, next);
    free(watched->path);
    watched->path = NULL;
}

int watched_dir_add(struct watched_dir *watched, struct watched_place *place, const char *dir,
                    void *owner)
{
    struct watched_place *first = LIST_FIRST(&watched->places);

    place->dir = strdup(dir);
    if (!place->dir)
        return -ENOMEM;
    place->hash = hash_of(dir);
    place->parent = watched;
    place->owner = owner;
    if (first)
        LIST_INSERT_AFTER(first, place, sibling);
    else
        LIST_INSERT_HEAD(&watched->places, place, sibling);
    LIST_INSERT_HEAD(&watched->watches->buckets[place->hash % WATCHES_BUCKETS], place, bucket);
    return 0;
}

static int start_exact(struct watched_dir *watched)
{
    const struct watched_place *first = LIST_FIRST(&watched->places);
    int rc = watched->exact || !first ? 0 : store_watch(watched->watches->store, first->dir, AT);

    watched->exact = rc == 0 && first;
    return rc;
}

static bool has_second(const struct watched_dir *watched)
{
    return !LIST_EMPTY(&watched->places) && LIST_NEXT(LIST_FIRST(&watched->places), sibling);
}

static int start_wide(struct watched_dir *watched)
{
    int rc = watched->wide || !has_second(watched)
                 ? 0
                 : store_watch(watched->watches->store, watched->path, IN);

    watched->wide |= rc == 0 && has_second(watched);
    return rc;
}

int watched_dir_start(struct watched_dir *watched)
{
    int rc = start_exact(watched);

    watched->on = true;
    return rc == 0 ? start_wide(watched) : rc;
}

static void stop_exact(struct watched_dir *watched)
{
    if (watched->exact)
        store_unwatch(watched->watches->store, LIST_FIRST(&watched->places)->dir, AT);
    watched->exact = false;
}

void watched_dir_stop(struct watched_dir *watched)
{
    stop_exact(watched);
    if (watched->wide)
        store_unwatch(watched->watches->store, watched->path, IN);
    watched->on = watched->wide = false;
}

void watched_dir_look(const struct watched_dir *watched, void (*look)(void *owner))
{
    struct watched_place *place;

    LIST_FOREACH (place, &watched->places, sibling)
        look(place->owner);
}

/* ---- places, wherever they are ---- */

struct watched_dir *watches_find(struct watches *watches, const char *dir)
{
    size_t length = store_parent_length(dir);
    struct watched_dir *watched;

    SLIST_FOREACH (watched, &watches->parents, next)
        if (watched->length == length && strncmp(watched->path, dir, length) == 0)
            return watched;
    return NULL;
}

static struct watched_dir *watched_dir_make(struct watches *watches, const char *dir)
{
    struct watched_dir *watched = calloc(1, sizeof(*watched));
    char path[STORE_PATH_MAX];

    snprintf(path, sizeof(path), "%.*s", (int)store_parent_length(dir), dir);
    if (watched && watched_dir_open(watched, watches, path) < 0) {
        free(watched);
        return NULL;
    }
    if (watched)
        watched->on = watched->made = true;
    return watched;
}

static void watched_dir_drop(struct watched_dir *watched)
{
    if (!watched->made || !LIST_EMPTY(&watched->places))
        return;
    watched_dir_close(watched);
    free(watched);
}

/* The first place is watched itself, another one by its directory. */
int watches_add(struct watches *watches, struct watched_place *place, const char *dir, void *owner)
{
    struct watched_dir *watched = watches_find(watches, dir);
    int rc;

    if (!watched)
        watched = watched_dir_make(watches, dir);
    if (!watched)
        return -ENOMEM;
    rc = watched_dir_add(watched, place, dir, owner);
    if (rc < 0) {
        watched_dir_drop(watched);
        return rc;
    }
    rc = has_second(watched) ? start_wide(watched) : start_exact(watched);
    if (rc < 0)
        watches_remove(place);
    return rc;
}

/*
 * After the first has gone another one is watched itself, whose first event tells if it is gone
 * meanwhile. If that cannot be (another process of the domain has taken the last watch of its
 * quota), it is tried again with each event.
 */
void watches_remove(struct watched_place *place)
{
    struct watched_dir *watched = place->parent;

    if (!watched)
        return;
    if (LIST_FIRST(&watched->places) == place)
        stop_exact(watched);
    LIST_REMOVE(place, sibling);
    LIST_REMOVE(place, bucket);
    if (watched->on)
        start_exact(watched);
    free(place->dir);
    *place = (struct watched_place){0};
    watched_dir_drop(watched);
}

bool watches_any(const struct watches *watches)
{
    return !SLIST_EMPTY(&watches->parents);
}

/* ---- events ---- */

/*
 * Whether a place went, and another one of the same directory too: then perhaps all of them did.
 */
static bool all_may_be_gone(struct watches *watches, const struct watched_place *first)
{
    const struct watched_place *second = LIST_NEXT(first, sibling);

    return second && !store_exists(watches->store, NULL, first->dir) &&
           !store_exists(watches->store, NULL, second->dir);
}

/* Those who watch just this place. Returns whether there is one. */
static bool look_at_place(struct watches *watches, const char *dir, bool exact,
                          void (*look)(void *owner))
{
    uint32_t hash = hash_of(dir);
    struct watched_place *place;
    bool found = false;

    LIST_FOREACH (place, &watches->buckets[hash % WATCHES_BUCKETS], bucket) {
        if (place->hash != hash || strcmp(place->dir, dir) != 0)
            continue;
        found = true;
        if (!place->parent->on)
            continue;
        look(place->owner);
        if (exact && LIST_FIRST(&place->parent->places) == place &&
            all_may_be_gone(watches, place))
            watched_dir_look(place->parent, look);
    }
    return found;
}

static bool lies_around(const struct watched_dir *watched, const char *path)
{
    return strncmp(path, watched->path, watched->length) == 0 &&
           (path[watched->length] == '/' || path[watched->length] == '\0');
}

/* The innermost directory. On the way each that lacks a watch tries again to get it. */
static struct watched_dir *find_around(struct watches *watches, const char *path)
{
    struct watched_dir *watched, *found = NULL;

    SLIST_FOREACH (watched, &watches->parents, next) {
        if (watched->on)
            start_exact(watched);
        if (lies_around(watched, path) && (!found || found->length < watched->length))
            found = watched;
    }
    return found;
}

struct watched_dir *watches_heed(struct watches *watches, const char *path,
                                 void (*look)(void *owner))
{
    struct watched_dir *around = find_around(watches, path);
    char dir[STORE_PATH_MAX];
    bool exact = true;

    if (around && around->on && path[around->length] == '\0')
        watched_dir_look(around, look);
    snprintf(dir, sizeof(dir), "%s", path);
    while (!look_at_place(watches, dir, exact, look) && dir[0]) {
        dir[store_parent_length(dir)] = '\0';
        exact = false;
    }
    return around;
}
