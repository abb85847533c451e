/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/descriptor.h"

_Static_assert(sizeof(off_t) == 8, "a device's number is its place in the file of locks");

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

/* Other causes have the names of a full disk, and other remedies. */
static int open_error(void)
{
    return errno == ENOSPC || errno == EDQUOT ? -ENOLCK : -errno;
}

/* Opens a file there, and makes it if need be. */
static int open_file(const char *path)
{
    int fd;

    if (mkdir(LOCK_DIR, 0755) < 0 && errno != EEXIST)
        return open_error();
    descriptor_guard();
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    descriptor_unguard();
    return fd < 0 ? open_error() : fd;
}

int lock_take(const char *name)
{
    char path[PATH_MAX];

    lock_path(name, path);
    for (;;) {
        int fd = open_file(path);
        int rc;

        if (fd < 0)
            return fd;
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

/* ---- numbers ---- */

/* The kernel tells processes apart, not the handles in one. */
static struct {
    pthread_mutex_t mutex;
    int fd; /* open while any is held */
    off_t *held;
    size_t count, room;
} numbers = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static off_t *number_find(off_t number)
{
    for (size_t i = 0; i < numbers.count; i++)
        if (numbers.held[i] == number)
            return &numbers.held[i];
    return NULL;
}

/*
 * Not F_OFD_SETLK: a child that is about to run a program would have such a lock, too, for a
 * moment.
 */
static int set_lock(off_t number, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = number, .l_len = 1};

    if (fcntl(numbers.fd, F_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* Room for one more, and the file. */
static int numbers_prepare(void)
{
    size_t room = numbers.room ? 2 * numbers.room : 8;
    char path[PATH_MAX];
    off_t *held;

    if (numbers.count == numbers.room) {
        held = reallocarray(numbers.held, room, sizeof(*held));
        if (!held)
            return -ENOMEM;
        numbers.held = held;
        numbers.room = room;
    }
    if (numbers.count > 0)
        return 0;
    lock_path("devices", path);
    numbers.fd = open_file(path);
    return numbers.fd < 0 ? numbers.fd : 0;
}

static void numbers_tidy(void)
{
    if (numbers.count > 0 || !numbers.held)
        return;
    if (numbers.fd >= 0)
        close(numbers.fd);
    numbers.fd = -1;
    free(numbers.held);
    numbers.held = NULL;
    numbers.room = 0;
}

int lock_number_take(off_t number)
{
    int rc;

    pthread_mutex_lock(&numbers.mutex);
    rc = number_find(number) ? -EBUSY : numbers_prepare();
    if (rc == 0)
        rc = set_lock(number, F_WRLCK);
    if (rc == 0)
        numbers.held[numbers.count++] = number;
    numbers_tidy();
    pthread_mutex_unlock(&numbers.mutex);
    return rc;
}

void lock_number_release(off_t number)
{
    off_t *found;

    pthread_mutex_lock(&numbers.mutex);
    found = number_find(number);
    if (found) {
        set_lock(number, F_UNLCK);
        *found = numbers.held[--numbers.count];
        numbers_tidy();
    }
    pthread_mutex_unlock(&numbers.mutex);
}
