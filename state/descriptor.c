/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#define STANDARD_COUNT (STDERR_FILENO + 1)

static struct {
    pthread_mutex_t mutex;
    unsigned int users;
    bool occupied[STANDARD_COUNT]; /* by descriptor_guard() */
} guard = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* open() takes the lowest free number, which in ascending order is the wanted one. */
void descriptor_open_standard(void)
{
    static const int modes[STANDARD_COUNT] = {O_WRONLY, O_RDONLY, O_RDWR};

    for (int fd = 0; fd < STANDARD_COUNT; fd++)
        /* cppcheck-suppress leakReturnValNotUsed ; it is fd */
        if (!is_open(fd) && open("/dev/null", modes[fd]) < 0)
            return;
}

/* Fails harmlessly if another thread has taken the number meanwhile. */
static bool occupy(int fd)
{
    int got = open("/", O_PATH | O_CLOEXEC);

    if (got >= 0 && got != fd)
        close(got);
    return got == fd;
}

/* If another thread has put a file of its own there meanwhile, that one stays. */
static void vacate(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && flags & O_PATH)
        close(fd);
}

void descriptor_guard(void)
{
    int error = errno;

    pthread_mutex_lock(&guard.mutex);
    if (guard.users++ == 0)
        for (int fd = 0; fd < STANDARD_COUNT; fd++)
            guard.occupied[fd] = !is_open(fd) && occupy(fd);
    pthread_mutex_unlock(&guard.mutex);
    errno = error;
}

void descriptor_unguard(void)
{
    int error = errno;

    pthread_mutex_lock(&guard.mutex);
    if (--guard.users == 0)
        for (int fd = 0; fd < STANDARD_COUNT; fd++)
            if (guard.occupied[fd])
                vacate(fd);
    pthread_mutex_unlock(&guard.mutex);
    errno = error;
}
