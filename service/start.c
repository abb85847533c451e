/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/packets.h"

/* The new process's end of the socket. */
#define OWN_FD 3

/*
 * Passes none of the service's descriptors on, but standard error: the new process would keep pipes
 * open, and could use what it may not have.
 */
static _Noreturn void start_as(const char *name, int fd)
{
    char *const arguments[] = {(char *)name, NULL};
    int null;

    if (fd != OWN_FD && dup2(fd, OWN_FD) < 0)
        _exit(1);
    fcntl(OWN_FD, F_SETFD, 0);
    null = open("/dev/null", O_RDWR);
    for (int i = STDIN_FILENO; i <= STDOUT_FILENO; i++)
        dup2(null, i);
    close_range(OWN_FD + 1, ~0U, 0);
    setsid();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    execv("/proc/self/exe", arguments);
    _exit(1);
}

/*
 * The process in between: sends the new process's pidfd to the service and exits, so that init
 * becomes the new process's parent.
 */
static _Noreturn void fork_again(const char *name, int fd)
{
    pid_t pid = fork();
    int pidfd;

    if (pid == 0)
        start_as(name, fd);
    pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
    if (pidfd < 0 || packets_send(fd, &pid, sizeof(pid), &pidfd, 1) < 0)
        _exit(1); /* the new one finds its socket closed */
    _exit(0);
}

static int await_child(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

static int receive_pidfd(int fd)
{
    struct packets_fds fds;
    pid_t pid;
    ssize_t got = packets_receive(fd, &pid, sizeof(pid), &fds);

    if (got == (ssize_t)sizeof(pid) && fds.count == 1)
        return fds.fd[0];
    packets_close_fds(&fds);
    return -EMFILE; /* there was no room for it */
}

/* Returns the new process's pidfd. */
static int fork_twice(const char *name, const int pair[2])
{
    pid_t pid = fork();
    int rc;

    if (pid < 0)
        return -errno;
    if (pid == 0)
        fork_again(name, pair[1]);
    rc = await_child(pid);
    return rc < 0 ? rc : receive_pidfd(pair[0]);
}

int start_process(const char *name, int *pidfd)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    *pidfd = fork_twice(name, pair);
    close(pair[1]);
    if (*pidfd >= 0)
        return pair[0];
    close(pair[0]);
    return *pidfd;
}

int start_is_over(void)
{
    return dup2(STDOUT_FILENO, STDERR_FILENO) < 0 ? -errno : 0;
}
