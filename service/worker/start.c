/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The new process's end of the socket. */
#define OWN_FD 3

/*
 * Passes none of the service's descriptors on: the new process would keep pipes open, and could use
 * what it may not have.
 */
static _Noreturn void become_process(const char *name, int fd)
{
    char *const arguments[] = {(char *)name, NULL};
    int null;

    if (fd != OWN_FD && dup2(fd, OWN_FD) < 0)
        _exit(1);
    fcntl(OWN_FD, F_SETFD, 0);
    null = open("/dev/null", O_RDWR);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        dup2(null, i);
    close_range(OWN_FD + 1, ~0U, 0);
    setsid();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    execv("/proc/self/exe", arguments);
    _exit(1);
}

static int await_child(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

/* Forks twice: when the process in between exits, init becomes the new one's parent. */
static int spawn(const char *name, int fd)
{
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            become_process(name, fd);
        _exit(pid < 0);
    }
    return await_child(pid);
}

int start_process(const char *name)
{
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    rc = spawn(name, pair[1]);
    close(pair[1]);
    if (rc == 0)
        return pair[0];
    close(pair[0]);
    return rc;
}
