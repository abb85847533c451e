/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/watches.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tokens, since one path may be watched both ways. */
#define AT "at"
#define IN "in"

struct watched {
    SLIST_ENTRY(watched) next;
    LIST_HEAD(, place) places;
    bool exact; /* the first of them is watched itself */
    bool wide;  /* so is the parent */
    char path[];
};

static unsigned int bucket_of(const char *dir)
{
    uint32_t hash = 2166136261u;

    for (; *dir; dir++)
        hash = (hash ^ (uint8_t)*dir) * 16777619u;
    return hash % WATCHES_BUCKETS;
}

static struct watched *parent_find(struct watches *watches, const char *dir)
{
    size_t length = store_parent_length(dir);
    struct watched *parent;

    SLIST_FOREACH (parent, &watches->parents, next)
        if (strncmp(parent->path, dir, length) == 0 && parent->path[length] == '\0')
            return parent;
    return NULL;
}

static struct watched *parent_add(struct watches *watches, const char *dir)
{
    size_t length = store_parent_length(dir);
    struct watched *parent = calloc(1, sizeof(*parent) + length + 1);

    if (!parent)
        return NULL;
    memcpy(parent->path, dir, length);
    SLIST_INSERT_HEAD(&watches->parents, parent, next);
    return parent;
}

static void parent_remove_empty(struct watches *watches, struct watched *parent)
{
    if (!LIST_EMPTY(&parent->places))
        return;
    if (parent->wide)
        store_unwatch(watches->store, parent->path, IN);
    SLIST_REMOVE(&watches->parents, parent, watched, next);
    free(parent);
}

static int watch_first(struct watches *watches, struct watched *parent, struct place *place)
{
    int rc = store_watch(watches->store, place->dir, AT);

    parent->exact = rc == 0;
    if (rc == 0)
        LIST_INSERT_HEAD(&parent->places, place, sibling);
    return rc;
}

static int watch_another(struct watches *watches, struct watched *parent, struct place *place)
{
    int rc = parent->wide ? 0 : store_watch(watches->store, parent->path, IN);

    parent->wide |= rc == 0;
    if (rc == 0)
        LIST_INSERT_AFTER(LIST_FIRST(&parent->places), place, sibling);
    return rc;
}

/*
 * After the first has gone: another one is watched itself, whose first event tells if it is gone
 * meanwhile. If that cannot be (another process of the domain has taken the last watch of its
 * quota), it is tried again with each event.
 */
static void watch_next(struct watches *watches, struct watched *parent)
{
    const struct place *next = LIST_FIRST(&parent->places);

    if (next && !parent->exact)
        parent->exact = store_watch(watches->store, next->dir, AT) == 0;
}

int watches_add(struct watches *watches, struct place *place, const char *dir, void *owner)
{
    struct watched *parent = parent_find(watches, dir);
    int rc;

    if (!parent)
        parent = parent_add(watches, dir);
    if (!parent)
        return -ENOMEM;
    place->dir = strdup(dir);
    if (!place->dir)
        rc = -ENOMEM;
    else if (LIST_EMPTY(&parent->places))
        rc = watch_first(watches, parent, place);
    else
        rc = watch_another(watches, parent, place);
    if (rc < 0) {
        parent_remove_empty(watches, parent);
        free(place->dir);
        place->dir = NULL;
        return rc;
    }
    place->parent = parent;
    place->owner = owner;
    LIST_INSERT_HEAD(&watches->buckets[bucket_of(dir)], place, bucket);
    return 0;
}

static void unwatch_first(struct watches *watches, struct watched *parent)
{
    if (parent->exact)
        store_unwatch(watches->store, LIST_FIRST(&parent->places)->dir, AT);
    parent->exact = false;
}

void watches_remove(struct watches *watches, struct place *place)
{
    struct watched *parent = place->parent;

    if (!parent)
        return;
    if (LIST_FIRST(&parent->places) == place)
        unwatch_first(watches, parent);
    LIST_REMOVE(place, sibling);
    LIST_REMOVE(place, bucket);
    watch_next(watches, parent);
    parent_remove_empty(watches, parent);
    free(place->dir);
    *place = (struct place){0};
}

bool watches_any(const struct watches *watches)
{
    return !SLIST_EMPTY(&watches->parents);
}

static void look_at_all(struct watched *parent, void (*look)(void *owner))
{
    struct place *place;

    LIST_FOREACH (place, &parent->places, sibling)
        look(place->owner);
}

/*
 * Whether a directory went, and another one of the same parent too: then perhaps all of them did.
 */
static bool all_may_be_gone(struct watches *watches, const struct place *first)
{
    const struct place *second = LIST_NEXT(first, sibling);

    return second && !store_exists(watches->store, NULL, first->dir) &&
           !store_exists(watches->store, NULL, second->dir);
}

/* Those who watch just this directory. Returns whether there is one. */
static bool look_at_dir(struct watches *watches, const char *dir, bool exact,
                        void (*look)(void *owner))
{
    struct place *place;
    bool found = false;

    LIST_FOREACH (place, &watches->buckets[bucket_of(dir)], bucket) {
        if (strcmp(place->dir, dir) != 0)
            continue;
        found = true;
        look(place->owner);
        if (exact && LIST_FIRST(&place->parent->places) == place &&
            all_may_be_gone(watches, place))
            look_at_all(place->parent, look);
    }
    return found;
}

void watches_heed(struct watches *watches, const char *path, void (*look)(void *owner))
{
    char dir[STORE_PATH_MAX];
    struct watched *parent;
    bool exact = true;

    SLIST_FOREACH (parent, &watches->parents, next) {
        watch_next(watches, parent);
        if (strcmp(parent->path, path) == 0)
            look_at_all(parent, look);
    }
    snprintf(dir, sizeof(dir), "%s", path);
    while (!look_at_dir(watches, dir, exact, look) && dir[0]) {
        dir[store_parent_length(dir)] = '\0';
        exact = false;
    }
}
