/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private views of the file system. They do not outlive the processes that see them, and create
 * nothing in the real file system.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/init.h"
#include "sim/protocol.h"

/* Directories in /run of which the host and every guest have their own. */
static const char *const own_run[] = {"xen", "xenstored", "pvchan", "xensim"};
static const char *const own_var[] = {"/var/lib/xen", "/var/log/xen"};

static int is_own(const char *name)
{
    for (size_t i = 0; i < sizeof(own_run) / sizeof(*own_run); i++)
        if (strcmp(name, own_run[i]) == 0)
            return 1;
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int tmpfs_mount(const char *where)
{
    return mount("xensim", where, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0 ? -errno : 0;
}

/* Shows name of the real /run in the new one. What cannot be shown is left out. */
static void run_show(int real, const char *name, mode_t mode)
{
    char from[64 + NAME_MAX], to[8 + NAME_MAX], target[PATH_MAX];
    ssize_t length;

    snprintf(from, sizeof(from), "/proc/self/fd/%d/%s", real, name);
    snprintf(to, sizeof(to), "/run/%s", name);
    if (S_ISLNK(mode)) {
        length = readlinkat(real, name, target, sizeof(target) - 1);
        target[length > 0 ? length : 0] = '\0';
        if (length > 0 && symlink(target, to) < 0)
            return;
    } else if (S_ISDIR(mode) ? mkdir(to, 0755) == 0 : mknod(to, S_IFREG | 0644, 0) == 0) {
        if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0)
            remove(to);
    }
}

static int own_mount(void)
{
    char path[64];

    for (size_t i = 0; i < sizeof(own_run) / sizeof(*own_run); i++) {
        snprintf(path, sizeof(path), "/run/%s", own_run[i]);
        if (mkdir(path, 0755) < 0)
            return -errno;
    }
    for (size_t i = 0; i < sizeof(own_var) / sizeof(*own_var); i++) {
        int error = access(own_var[i], F_OK) == 0 ? tmpfs_mount(own_var[i]) : 0;

        if (error)
            return error;
    }
    return 0;
}

/* If mounting is not allowed (in a container, say), the outer /proc does as well. */
static void proc_mount(void)
{
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return;
}

int mounts_host(void)
{
    DIR *real;
    struct dirent *entry;
    int error;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    proc_mount();
    real = opendir("/run");
    error = real ? tmpfs_mount("/run") : -errno;
    while (real && !error && (entry = readdir(real))) {
        struct stat status;

        if (!is_own(entry->d_name) &&
            fstatat(dirfd(real), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            run_show(dirfd(real), entry->d_name, status.st_mode);
    }
    if (real)
        closedir(real);
    return error ? error : own_mount();
}

static int guest_mount(uint32_t domid)
{
    char path[64];
    int dir, error;

    snprintf(path, sizeof(path), SIM_DIR "/%u", domid);
    dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    error = tmpfs_mount("/run");
    if (!error)
        error = own_mount();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
    if (!error && mount(path, SIM_DIR, NULL, MS_BIND, NULL) < 0)
        error = -errno;
    if (!error && mkdir("/run/lock", 01777) < 0)
        error = -errno;
    close(dir);
    return error;
}

int mounts_domain(uint32_t domid)
{
    int error = domid == 0 ? 0 : guest_mount(domid);

    if (!error)
        proc_mount();
    return error;
}
