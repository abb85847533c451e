/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stdio stdio_reopen(int fd, int mode)
{
    struct stdio stdio = {.fd = fd, .original = fd, .kind = STDIO_SHARED};
    char path[32];
    int own;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) {
        stdio.fd = own;
        stdio.kind = STDIO_OWN;
    }
    return stdio;
}

/* Checks the access mode: reopening could make the descriptor usable for more than before. */
static bool is_open_for(int fd, int mode)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && ((flags & O_ACCMODE) == mode || (flags & O_ACCMODE) == O_RDWR);
}

struct stdio stdio_open(int fd, int mode)
{
    struct stdio stdio = {.fd = fd, .original = fd, .kind = STDIO_FILE};
    struct stat file;

    if (!is_open_for(fd, mode) || fstat(fd, &file) < 0 || S_ISREG(file.st_mode) ||
        S_ISBLK(file.st_mode))
        return stdio;
    if (!S_ISSOCK(file.st_mode))
        return stdio_reopen(fd, mode);
    stdio.kind = STDIO_SOCKET;
    return stdio;
}

static bool is_ready(int fd, short event)
{
    struct pollfd pollfd = {.fd = fd, .events = event};

    return poll(&pollfd, 1, 0) > 0;
}

ssize_t stdio_read(const struct stdio *stdio, void *data, size_t size)
{
    ssize_t rc;

    if (stdio->kind == STDIO_SHARED && !is_ready(stdio->fd, POLLIN))
        return -EAGAIN;
    rc = stdio->kind == STDIO_SOCKET ? recv(stdio->fd, data, size, MSG_DONTWAIT)
                                     : read(stdio->fd, data, size);
    return rc < 0 ? -errno : rc;
}

ssize_t stdio_write(const struct stdio *stdio, const void *data, size_t size)
{
    ssize_t rc;

    if (stdio->kind == STDIO_SHARED && !is_ready(stdio->fd, POLLOUT))
        return -EAGAIN;
    if (stdio->kind == STDIO_SHARED && size > PIPE_BUF)
        size = PIPE_BUF; /* a writable pipe takes this much without blocking */
    rc = stdio->kind == STDIO_SOCKET ? send(stdio->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                     : write(stdio->fd, data, size);
    return rc < 0 ? -errno : rc;
}

void stdio_close(struct stdio *stdio)
{
    if (stdio->fd < 0)
        return;
    if (stdio->kind == STDIO_OWN)
        close(stdio->fd);
    close(stdio->original);
    stdio->fd = stdio->original = -1;
}
