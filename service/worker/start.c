/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The new process's end of the socket. */
#define OWN_FD 3

void start_as(const char *name, int fd)
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

/* Returns the child's pidfd. Nobody reaps it before that, so the pid is the child's. */
static int fork_as(const char *name, int fd)
{
    pid_t pid = fork();
    int pidfd;

    if (pid == 0)
        start_as(name, fd);
    pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
    if (pidfd >= 0)
        return pidfd;
    pidfd = -errno;
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return pidfd;
}

int start_process(const char *name, int *pidfd)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    *pidfd = fork_as(name, pair[1]);
    close(pair[1]);
    if (*pidfd >= 0)
        return pair[0];
    close(pair[0]);
    return *pidfd;
}
