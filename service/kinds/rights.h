/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The users and groups of this domain that a connection's keys name: owner, group, mode, user.
 */
#ifndef SERVICE_KINDS_RIGHTS_H
#define SERVICE_KINDS_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "service/connection.h"
#include "service/kinds/account.h"

/*
 * Looks up the user that a key names, for its number alone: a number needs no account. "": *uid is
 * (uid_t)-1. As rights_read().
 */
int user_number(const char *key, const char *name, uid_t *uid, char why[CONNECTION_WHY_MAX]);

/* Looks a user up, by name or number. As rights_read(). */
int user_read(const char *name, struct user *user, char why[CONNECTION_WHY_MAX]);

/*
 * This process, which is root's, becomes the user's, with all of the user's groups and no others, for
 * good. 0, or -errno: it is neither then, and to end.
 */
int user_become(const struct user *user);

/*
 * Who a file belongs to, and who may open it. (uid_t)-1 and (gid_t)-1: as it is made. user is the
 * owner, who makes it where root may not: with the group as the main one, if there is one.
 */
struct rights {
    uid_t owner;
    gid_t group;
    mode_t mode;
    struct user user; /* group_count 0: nobody */
};

/*
 * Looks up what the spec says; a mode that it does not have is 0600. 0, or a negative errno with
 * one line in why. It blocks for a few seconds at most (service/kinds/account.h).
 */
int rights_read(const struct spec *spec, struct rights *rights,
                char why[CONNECTION_WHY_MAX]);

/* The place of a file with these rights, which stay the caller's. */
struct place rights_place(const struct rights *rights, const char *path);

/*
 * Gives a file away that is open, also with O_PATH; its mode is not touched. 0 or -errno. (By its
 * path it could be another one by now.)
 */
int rights_give(const struct rights *rights, int file);

/*
 * Whether that is how a file is that was made with these. (Its group, if they name none, is not
 * looked at.)
 */
bool rights_are(const struct rights *rights, const struct stat *file);

#endif
