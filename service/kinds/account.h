/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The users and groups of this domain. Their database may be on the network, and may not answer: it
 * is asked in a short-lived process (service/kinds/errand.h), and answers are kept for half a
 * minute, so that nothing that a guest repeats asks it again. After a question without an answer it
 * is not asked for half a minute; what it said before goes on to count.
 *
 * Each blocks for two seconds at most. 0, or a negative errno: -ENOENT there is none, -ETIMEDOUT
 * the database does not answer, another one: there are no resources to ask it.
 */
#ifndef SERVICE_KINDS_ACCOUNT_H
#define SERVICE_KINDS_ACCOUNT_H

#include <sys/types.h>

#include "state/spec.h"

#define USER_GROUPS_MAX 256

/* Who runs a command, or works at a path, with all groups. */
struct user {
    char name[SPEC_ACCOUNT_MAX + 1];
    char home[256];
    uid_t uid;
    gid_t groups[USER_GROUPS_MAX]; /* the first is the main one */
    int group_count;
};

/* A user, by name or number: a name may be all digits. -E2BIG: of more groups than that. */
int account_user(const char *name, struct user *user);

int account_group(const char *name, gid_t *gid);

/* The name of a number, cut if it is longer. */
int account_user_name(uid_t uid, char name[SPEC_ACCOUNT_MAX + 1]);
int account_group_name(gid_t gid, char name[SPEC_ACCOUNT_MAX + 1]);

#endif
