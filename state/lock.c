/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "state/descriptor.h"

_Static_assert(sizeof(off_t) == 8, "a device's number is its place in the file of locks");

#define SIDES LOCK_DIR "/devices"

/* No event says that a lock was given up. */
#define SERVICE_PAUSE_MS 20
#define SERVICE_PAUSES   25

/* ---- bytes of a file ---- */

int lock_open(const char *path)
{
    int fd;

    descriptor_guard();
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    descriptor_unguard();
    /* cppcheck-suppress resourceLeak ; it is returned */
    return fd < 0 ? -errno : fd;
}

/*
 * Not F_OFD_SETLK: a child that is about to run a program would share the lock for a moment. Each
 * of the two excludes the other, which earlier versions of xl-vchan took.
 */
static int set_byte(int fd, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, F_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int lock_byte_take(int fd, off_t byte)
{
    return set_byte(fd, F_WRLCK, byte);
}

void lock_byte_release(int fd, off_t byte)
{
    set_byte(fd, F_UNLCK, byte);
}

static bool byte_is_taken(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ---- files in LOCK_DIR ---- */

/* xenstore and Xen's devices fail with the errors of a full disk, too, and other remedies. */
static int run_error(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT ? -ENOLCK : rc;
}

static int open_in_run(const char *path)
{
    if (mkdir(LOCK_DIR, 0755) < 0 && errno != EEXIST)
        return run_error(-errno);
    return run_error(lock_open(path));
}

/* ---- sides of devices ---- */

/* The kernel tells processes apart, not the handles in one. */
static struct {
    pthread_mutex_t mutex;
    int fd; /* open while any is taken */
    off_t *taken;
    size_t count, room;
} sides = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static off_t *side_find(off_t side)
{
    for (size_t i = 0; i < sides.count; i++)
        if (sides.taken[i] == side)
            return &sides.taken[i];
    return NULL;
}

/* Room for one more, and the file. */
static int sides_prepare(void)
{
    size_t room = sides.room ? 2 * sides.room : 8;
    off_t *taken;

    if (sides.count == sides.room) {
        taken = reallocarray(sides.taken, room, sizeof(*taken));
        if (!taken)
            return -ENOMEM;
        sides.taken = taken;
        sides.room = room;
    }
    if (sides.count > 0)
        return 0;
    sides.fd = open_in_run(SIDES);
    return sides.fd < 0 ? sides.fd : 0;
}

static void sides_tidy(void)
{
    if (sides.count > 0 || !sides.taken)
        return;
    if (sides.fd >= 0)
        close(sides.fd);
    sides.fd = -1;
    free(sides.taken);
    sides.taken = NULL;
    sides.room = 0;
}

int lock_side_take(off_t side)
{
    int rc;

    pthread_mutex_lock(&sides.mutex);
    rc = side_find(side) ? -EBUSY : sides_prepare();
    if (rc == 0)
        rc = lock_byte_take(sides.fd, side);
    if (rc == 0)
        sides.taken[sides.count++] = side;
    sides_tidy();
    pthread_mutex_unlock(&sides.mutex);
    return rc;
}

void lock_side_release(off_t side)
{
    off_t *found;

    pthread_mutex_lock(&sides.mutex);
    found = side_find(side);
    if (found) {
        lock_byte_release(sides.fd, side);
        *found = sides.taken[--sides.count];
        sides_tidy();
    }
    pthread_mutex_unlock(&sides.mutex);
}

/* A process that has locks there may not close another descriptor of the file. */
bool lock_side_is_taken(off_t side)
{
    bool taken = false;
    int fd;

    pthread_mutex_lock(&sides.mutex);
    if (sides.count > 0) {
        taken = side_find(side) || byte_is_taken(sides.fd, side);
    } else if ((fd = open(SIDES, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) >= 0) {
        taken = byte_is_taken(fd, side);
        close(fd);
    }
    pthread_mutex_unlock(&sides.mutex);
    return taken;
}

/* ---- services ---- */

static void service_path(const char *program, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", LOCK_DIR, program);
}

/* The process that released it may have removed the file between our open and our lock. */
static bool still_there(const char *path, int fd)
{
    struct stat ours, theirs;

    return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

static int try_service(const char *path)
{
    for (;;) {
        int fd = open_in_run(path);
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

int lock_service_take(const char *program)
{
    static const struct timespec pause = {.tv_nsec = SERVICE_PAUSE_MS * 1000000L};
    char path[PATH_MAX];
    int fd;

    service_path(program, path);
    fd = try_service(path);
    for (int i = 0; fd == -EBUSY && i < SERVICE_PAUSES; i++) {
        nanosleep(&pause, NULL);
        fd = try_service(path);
    }
    return fd;
}

void lock_service_release(const char *program, int fd)
{
    char path[PATH_MAX];

    service_path(program, path);
    unlink(path);
    close(fd);
}

/* The process in a line of /proc/locks: "3: FLOCK  ADVISORY  WRITE 1234 00:19:77 0 EOF". */
static unsigned int holder_in(char *line, const char *file)
{
    char *end = strstr(line, file);

    if (!end || !strstr(line, " FLOCK ") || strstr(line, " -> "))
        return 0;
    *end = '\0';
    return (unsigned int)strtoul(strrchr(line, ' ') + 1, NULL, 10);
}

unsigned int lock_service_pid(const char *program)
{
    char path[PATH_MAX], file[64], line[256];
    unsigned int pid = 0;
    struct stat status;
    FILE *locks;

    service_path(program, path);
    if (stat(path, &status) < 0)
        return 0;
    locks = fopen("/proc/locks", "re");
    if (!locks)
        return 0;
    snprintf(file, sizeof(file), " %02x:%02x:%llu ", major(status.st_dev), minor(status.st_dev),
             (unsigned long long)status.st_ino);
    while (pid == 0 && fgets(line, sizeof(line), locks))
        pid = holder_in(line, file);
    fclose(locks);
    return pid;
}
