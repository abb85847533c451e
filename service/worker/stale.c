/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frontend/stale.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/store.h"

#define FDS "/proc/self/fd"

/* Whether this is a file that may not be closed. */
static bool is_stale(const char *fd)
{
    static const char *const devices[] = {"/dev/xen/evtchn", "/dev/xen/gntalloc"};
    char path[sizeof(FDS) + 16], file[64];
    ssize_t length;

    snprintf(path, sizeof(path), FDS "/%.12s", fd);
    length = readlink(path, file, sizeof(file) - 1);
    file[length > 0 ? length : 0] = '\0';
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (strcmp(file, devices[i]) == 0)
            return true;
    return false;
}

static void close_others(void)
{
    DIR *dir = opendir(FDS);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        uint32_t fd;

        if (parse_number(entry->d_name, INT32_MAX, &fd) == 0 && (int)fd != dirfd(dir) &&
            !is_stale(entry->d_name))
            close((int)fd);
    }
    if (dir)
        closedir(dir);
}

/* The mappings are in this process too: fork() has copied them. */
static _Noreturn void keep_mapped(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    prctl(PR_SET_NAME, "vchan-stale");
    close_others();
    for (;;)
        pause();
}

/* A child of its own would be ours to wait for. */
static _Noreturn void fork_keeper(void)
{
    pid_t pid = fork();

    if (pid == 0)
        keep_mapped();
    _exit(pid < 0 ? errno : 0);
}

/*
 * Returns when the keeper has closed what is ours alone (locks, sockets), and so its end of the
 * pipe.
 */
static void await_close(int fd)
{
    char byte;

    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        ;
}

static int start_keeper(int fds[2])
{
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return -errno;
    if (pid == 0)
        fork_keeper();
    close(fds[1]);
    fds[1] = -1;
    await_close(fds[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int stale_leave(struct xen *xen)
{
    int fds[2], rc;

    xen_abandon(xen);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    rc = start_keeper(fds);
    close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    return rc;
}
