/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks a path part by part, with a descriptor for each part, and finds out whether a user other
 * than root could have it lead elsewhere. Root declares a channel's path, but other users may own
 * directories on it.
 *
 * Follows links, except those of /proc, whose target is not their text. Refuses /dev/xen, /proc/xen
 * and xenstored's socket, under any name.
 */
#ifndef SERVICE_KINDS_WALK_H
#define SERVICE_KINDS_WALK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Which other user can change a part of a path. */
enum blame_why { BLAME_NOTHING, BLAME_USER, BLAME_GROUP, BLAME_EVERYBODY, BLAME_FUSE };

struct blame {
    enum blame_why why;
    uint32_t id;    /* BLAME_USER, BLAME_GROUP: the uid or gid */
    char part[128]; /* the part, "/home/alice", with links followed; cut if it is longer */
};

/* Where a path leads. */
struct spot {
    int dir;                 /* the directory, O_PATH */
    char base[NAME_MAX + 1]; /* a name in it */
    int file;                /* the file of that name, O_PATH; -1: there is none */
    bool own;                /* only root can change where the path leads */
};

/*
 * Walks to a path's end. follow: follows a link at the end too, and the file must exist.
 *
 * blame not NULL: fails with -ENOKEY, and fills in *blame, if a user other than root (or this
 * process's user) could have the path lead elsewhere. So root must own all directories and links,
 * and only root may write to the directories. A directory with the sticky bit may be writable by
 * others, if root owns the entry in it. A FUSE file system is never root's alone, since its owner
 * decides what is in it.
 *
 * Returns 0; the caller then closes *spot with spot_close(). Otherwise a negative errno: -ENOKEY,
 * -EKEYREJECTED (a refused place, see above), -EISDIR (the path ends with a directory), -ELOOP (too
 * many links or parts, or a link of /proc), -EINVAL (it does not begin with /), -ENAMETOOLONG, or
 * openat()'s. Blocks as long as file systems do.
 */
int walk(const char *path, bool follow, struct spot *spot, struct blame *blame);

/* Closes the descriptors. */
void spot_close(struct spot *spot);

/* "/proc/self/fd/7": a path that leads to the descriptor's file, whatever its name. */
struct fd_path {
    char path[32];
};
struct fd_path fd_path(int fd);

#endif
