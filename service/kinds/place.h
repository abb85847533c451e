/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work at a declared path. If only root can change where the path leads, it is done as root;
 * otherwise only as the user that the declaration names, with that user's rights. So a user who
 * makes the path lead elsewhere gains nothing.
 */
#ifndef SERVICE_KINDS_PLACE_H
#define SERVICE_KINDS_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "service/kinds/account.h"
#include "service/kinds/walk.h"

struct place {
    const char *path;
    const struct user *user; /* the one that the declaration names; NULL or root: only as root */
    const char *key;         /* the key that names a user: "user" */
    bool as_user;            /* as the user even if all of the path is root's */
    bool lacks_group;        /* the declared user is a number without an account, so user is NULL */
    struct blame blame;      /* after -ENOKEY */
    char blamed[SPEC_ACCOUNT_MAX + 1]; /* the name of blame's user or group; "": not known */
};

/* The work, called in the short-lived process. place_visit() returns what it returns. */
typedef int place_work(const struct spot *spot, void *arg);

/*
 * Walks to the place (see walk() for follow and errnos) and calls work() there, both in a
 * short-lived process (see errand_run() for fd and arg; size is at most 1024). Returns what work()
 * returned, or a negative errno: -ENOKEY (other users can change where the path leads, and no user
 * is named), -ETIMEDOUT (it took longer than two seconds).
 *
 * After -ETIMEDOUT, visits to the same path or for the same user fail at once for half a minute,
 * and as long as that process cannot be killed. Blocks for at most two seconds, and two more to
 * look up the name of the user to blame.
 */
int place_visit(struct place *place, bool follow, int fd, place_work *work, void *arg, size_t size);

/* Returns why a visit failed. Guests may read it, so it names no path and no user. */
const char *place_error(int rc);

/* For the log, after -ENOKEY: which user can change the path, and what to do. Otherwise "". */
void place_explain(const struct place *place, char *text, size_t size);

#endif
