/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void lock_path(const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", LOCK_DIR, name);
}

/* The file may have been removed, by who released it, between our open and our lock. */
static bool still_there(const char *path, int fd)
{
    struct stat ours, theirs;

    return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

int lock_take(const char *name)
{
    char path[PATH_MAX];

    lock_path(name, path);
    if (mkdir(LOCK_DIR, 0755) < 0 && errno != EEXIST)
        return -errno;
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        int rc;

        if (fd < 0)
            return -errno;
        rc = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
        if (rc == 0 && still_there(path, fd))
            return fd;
        close(fd);
        if (rc < 0)
            return rc == -EWOULDBLOCK ? -EBUSY : rc;
    }
}

void lock_release(const char *name, int fd)
{
    char path[PATH_MAX];

    lock_path(name, path);
    unlink(path);
    close(fd);
}
