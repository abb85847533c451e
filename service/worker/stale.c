/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/stale.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
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

_Noreturn void stale_stay(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    prctl(PR_SET_NAME, "vchan-stale");
    close_others();
    for (;;)
        pause();
}
