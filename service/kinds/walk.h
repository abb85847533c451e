/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks a path part by part, each held by a descriptor, and tells whether anybody but root could
 * have it lead elsewhere. A channel's path is declared by whoever may do anything here, but its
 * directories may belong to others.
 *
 * Links are followed, but those of /proc, which lead to where no name does. Below /dev/xen and
 * /proc/xen, and at xenstored's socket by whatever name, nobody has a channel's business.
 */
#ifndef SERVICE_KINDS_WALK_H
#define SERVICE_KINDS_WALK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Why a part of a path is not root's alone: what the id is of, or what it is instead. */
enum blame_why { BLAME_NOTHING, BLAME_USER, BLAME_GROUP, BLAME_EVERYBODY, BLAME_FUSE };

struct blame {
    enum blame_why why;
    uint32_t id;
    char part[128]; /* "/home/alice", links followed; cut if it is longer */
};

/* Where a path leads. */
struct spot {
    int dir;                 /* the directory, O_PATH */
    char base[NAME_MAX + 1]; /* a name in it */
    int file;                /* what has that name, O_PATH; -1: nothing has */
    bool own;                /* all of it is root's alone */
};

/*
 * Walks to a path's end; follow: also where a link at the end leads, and then there is something.
 * blame not NULL: only where all of it is root's alone (or this process's user's): each directory
 * belongs to root, and nobody else can write to it, or only with the sticky bit, and what is in
 * that belongs to root; no link is somebody else's; none is a FUSE file system, whose owner says
 * what it likes. On success the caller closes the spot. Negative errnos: -ENOKEY it is not root's
 * alone (*blame says why), -EKEYREJECTED nobody has a channel's business there, -EISDIR the path
 * ends with a directory, -ELOOP too many links or parts, or a link of /proc, -EINVAL it does not begin with /,
 * -ENAMETOOLONG, and what openat() says. It blocks as long as file systems do.
 */
int walk(const char *path, bool follow, struct spot *spot, struct blame *blame);

void spot_close(struct spot *spot);

/* "/proc/self/fd/7": a path to what is held, and to nothing else. */
struct held {
    char path[32];
};
struct held held_path(int fd);

#endif
