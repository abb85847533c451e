/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/stderr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    int fd;
    bool is_socket, is_open;
    unsigned int lost;
} output;

/* Opens a description of our own: O_NONBLOCK would otherwise be set for everyone who shares it. */
static void open_output(void)
{
    struct stat file;
    bool is_known = fstat(STDERR_FILENO, &file) == 0;

    output.is_open = true;
    output.is_socket = is_known && S_ISSOCK(file.st_mode);
    output.fd = STDERR_FILENO;
    if (is_known && (S_ISFIFO(file.st_mode) || S_ISCHR(file.st_mode)))
        output.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (output.fd < 0)
        output.fd = STDERR_FILENO;
}

/* Whether it can take a line, as far as can be known. (Also true if nobody reads any more.) */
static bool has_room(void)
{
    struct pollfd pollfd = {.fd = output.fd, .events = POLLOUT};

    return poll(&pollfd, 1, 0) > 0;
}

static bool put(const char *message)
{
    char line[1024 + 70];
    int length = snprintf(line, sizeof(line), "%.64s: %s", program_invocation_short_name, message);
    size_t size = (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1;
    ssize_t put;

    line[size++] = '\n'; /* in place of the NUL */
    if (!has_room())
        return false;
    put = output.is_socket ? send(output.fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                           : write(output.fd, line, size);
    return put >= 0 || errno != EAGAIN;
}

void stderr_write(const char *message)
{
    char lost[64];

    if (!output.is_open)
        open_output();
    snprintf(lost, sizeof(lost), "%u log lines dropped: standard error was full", output.lost);
    if (output.lost > 0 && put(lost))
        output.lost = 0;
    if (output.lost > 0 || !put(message))
        output.lost++;
}
