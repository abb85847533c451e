/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks up users and groups of this domain. Their database may be on the network, and may not
 * answer, so it is asked in a short-lived process (service/kinds/errand.h). Answers are kept for
 * half a minute, so that a guest cannot have the database asked often. If the database does not
 * answer, it is not asked for half a minute, and older answers stay valid.
 *
 * Each call blocks for at most two seconds. They return 0 or a negative errno: -ENOENT (no such
 * user or group), -ETIMEDOUT (no answer), or as errand_run().
 */
#ifndef SERVICE_KINDS_ACCOUNT_H
#define SERVICE_KINDS_ACCOUNT_H

#include <sys/types.h>

#include "state/spec.h"

#define USER_GROUPS_MAX 256

/* A user, with all groups, as whom a command runs or the service works at a path. */
struct user {
    char name[SPEC_ACCOUNT_MAX + 1];
    char home[256];
    uid_t uid;
    gid_t groups[USER_GROUPS_MAX]; /* the first is the main one */
    int group_count;
};

/*
 * Looks up a user by name, then by number: a name may be all digits. -E2BIG: the user is in more
 * than USER_GROUPS_MAX groups.
 */
int account_user(const char *name, struct user *user);

/* Looks up a group by name. */
int account_group(const char *name, gid_t *gid);

/* Look up the name of a uid or gid, cut to SPEC_ACCOUNT_MAX bytes. */
int account_user_name(uid_t uid, char name[SPEC_ACCOUNT_MAX + 1]);
int account_group_name(gid_t gid, char name[SPEC_ACCOUNT_MAX + 1]);

#endif
