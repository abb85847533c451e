/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work at a declared path. Where all of the path is root's alone it is done as root; otherwise only
 * as the user whom the declaration names, with nothing but that user's rights. So nobody who can
 * have a path lead elsewhere gains anything by that.
 */
#ifndef SERVICE_KINDS_PLACE_H
#define SERVICE_KINDS_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "service/kinds/account.h"
#include "service/kinds/walk.h"

struct place {
    const char *path;
    const struct user *user; /* whom the declaration names; NULL, or root: nobody with less */
    const char *key;         /* that names one: "user" */
    bool as_user;            /* the user even where all is root's */
    bool lacks_group;   /* whom it names is a number without an account, so that user is NULL */
    struct blame blame; /* after -ENOKEY */
    char blamed[SPEC_ACCOUNT_MAX + 1]; /* the name of whom the blame is about; "": not known */
};

/* Runs in the short-lived process. Gives what place_visit() returns: a negative errno, or not. */
typedef int place_work(const struct spot *spot, void *arg);

/*
 * Walks to the place (walk(), which says what follow is, and the errnos) and does some work there.
 * Both are done in a process of its own, which has no descriptor of this one's but fd (-1: none)
 * and the three usual ones; arg, of size bytes (at most 1024), is copied there and back, what it
 * points to only there. -ENOKEY: not all is root's alone, and no user is named, -ETIMEDOUT: it took
 * more than two seconds, as the next visit to that path, or for that user, does at once for half a
 * minute, and for as long as that process cannot be ended. It blocks for those two seconds at most,
 * and as long again to find out whom to blame.
 */
int place_visit(struct place *place, bool follow, int fd, place_work *work, void *arg, size_t size);

/* Why a visit failed, for everybody to read: it names nothing. */
const char *place_error(int rc);

/* For the log: who can have the path lead elsewhere, after -ENOKEY; or "". */
void place_explain(const struct place *place, char *text, size_t size);

#endif
