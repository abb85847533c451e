/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The access that a connection's keys describe: owner, group, mode and user. Calls that look up
 * users or groups block for a few seconds at most (service/kinds/account.h).
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
 * Looks up the uid of the user that a key names; a number needs no account. If name is "", *uid is
 * (uid_t)-1. Returns as rights_read().
 */
int user_number(const char *key, const char *name, uid_t *uid, char why[CONNECTION_WHY_MAX]);

/* Looks up the user of the key "user", by name or number. Returns as rights_read(). */
int user_read(const char *name, struct user *user, char why[CONNECTION_WHY_MAX]);

/*
 * This process, which runs as root, switches to the user for good, with exactly the user's groups.
 * Returns 0, or a negative errno: it may have switched by half, and must exit.
 */
int user_become(const struct user *user);

/*
 * The owner, group and mode of a file. (uid_t)-1 and (gid_t)-1: as created. user is the owner as a
 * user that can create the file where root does not; its main group is the file's group, if any.
 */
struct rights {
    uid_t owner;
    gid_t group;
    mode_t mode;
    struct user user; /* group_count 0: none */
};

/* Reads rights from the spec; the default mode is 0600. Returns 0, or -errno with one line in why.
 */
int rights_read(const struct spec *spec, struct rights *rights, char why[CONNECTION_WHY_MAX]);

/* Returns the place of a file with these rights. rights and path must outlive it. */
struct place rights_place(const struct rights *rights, const char *path);

/*
 * Sets an open file's owner and group; O_PATH will do. Leaves the mode as it is. Takes a descriptor
 * since another file could be at the path by now. Returns 0 or -errno.
 */
int rights_give(const struct rights *rights, int file);

/* Whether a file has these rights. If they name no group, any group will do. */
bool rights_are(const struct rights *rights, const struct stat *file);

#endif
