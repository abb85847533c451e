/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_UNVERSIONED offsetof(struct journal_page, version)

/*
 * A user without CAP_SYS_RESOURCE gets 16384 pages for all pipes (pipe-user-pages-soft), and beyond
 * that two pages a pipe. So only the first journals get pipes of the usual 16 pages.
 */
#define LARGE_COUNT 100
#define SMALL_PIPE  (4 * 4096)

static unsigned int kit_count;

static const char *const fd_names[JOURNAL_DESCRIPTORS] = {"to", "from", "journal"};

uint32_t journal_pipe_bytes(int pipe)
{
    int bytes = 0;

    return ioctl(pipe, FIONREAD, &bytes) < 0 ? 0 : (uint32_t)bytes;
}

/* ---- versions ---- */

/* Returns 0 for a page of the first programs, which had no version, UINT32_MAX for an invalid one.
 */
static uint32_t read_version(int page)
{
    struct stat file;
    uint32_t version;

    if (fstat(page, &file) == 0 && file.st_size == JOURNAL_UNVERSIONED)
        return 0;
    if (pread(page, &version, sizeof(version), JOURNAL_UNVERSIONED) != sizeof(version))
        return UINT32_MAX;
    return version;
}

static int raise_version(void *highest, int page)
{
    uint32_t version = read_version(page);

    if (version > *(uint32_t *)highest)
        *(uint32_t *)highest = version;
    return 0;
}

uint32_t journal_version(const struct fdstore *fdstore)
{
    uint32_t highest = 0;

    fdstore_each(fdstore, fd_names[JOURNAL_PAGE], raise_version, &highest);
    return highest;
}

/* Adds the version to a page that has none. -EPROTONOSUPPORT: it has another version. */
static int upgrade_version(int page)
{
    static const uint32_t version = JOURNAL_VERSION;
    uint32_t found = read_version(page);

    if (found == 0)
        return pwrite(page, &version, sizeof(version), JOURNAL_UNVERSIONED) < 0 ? -errno : 0;
    return found == version ? 0 : -EPROTONOSUPPORT;
}

/* ---- making ---- */

/* Returns one descriptor that is both ends of a pipe: to read and to write. */
static int make_pipe(void)
{
    char path[32];
    int ends[2], fd;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    close(ends[0]);
    close(ends[1]);
    if (fd >= 0 && kit_count > LARGE_COUNT)
        fcntl(fd, F_SETPIPE_SZ, SMALL_PIPE);
    return fd;
}

static int make_page(void)
{
    int fd = memfd_create("vchan-journal", MFD_CLOEXEC);
    int rc = fd >= 0 && ftruncate(fd, JOURNAL_UNVERSIONED) == 0 ? 0 : -errno;

    if (rc == 0)
        rc = upgrade_version(fd);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return rc;
}

bool journal_kit_exists(const struct journal_kit *kit)
{
    return kit->fds[JOURNAL_PAGE] >= 0;
}

bool journal_kit_find(struct journal_kit *kit, struct fdstore *fdstore, const char *owner)
{
    bool complete = true;

    if (!fdstore_is_left(fdstore, owner, fd_names[JOURNAL_PAGE]))
        return false;
    kit_count++;
    for (int i = 0; i < JOURNAL_DESCRIPTORS; i++) {
        kit->fds[i] = fdstore_take(fdstore, owner, fd_names[i]);
        complete &= kit->fds[i] >= 0;
    }
    if (complete && upgrade_version(kit->fds[JOURNAL_PAGE]) == 0)
        return true;
    journal_kit_drop(kit, fdstore, owner);
    return false;
}

int journal_kit_make(struct journal_kit *kit, struct fdstore *fdstore, const char *owner)
{
    for (int i = 0; i < JOURNAL_DESCRIPTORS; i++) {
        int fd = i == JOURNAL_PAGE ? make_page() : make_pipe();

        if (fd < 0) {
            journal_kit_drop(kit, fdstore, owner);
            return fd;
        }
        kit->fds[i] = fd;
        fdstore_add(fdstore, owner, fd_names[i], fd, true);
    }
    kit_count++;
    return 0;
}

uint32_t journal_kit_undelivered(const struct journal_kit *kit)
{
    return journal_kit_exists(kit) ? journal_pipe_bytes(kit->fds[JOURNAL_TO]) : 0;
}

uint32_t journal_kit_unsent(const struct journal_kit *kit)
{
    return journal_kit_exists(kit) ? journal_pipe_bytes(kit->fds[JOURNAL_FROM]) : 0;
}

void journal_kit_drop(struct journal_kit *kit, struct fdstore *fdstore, const char *owner)
{
    kit_count -= journal_kit_exists(kit);
    for (int i = 0; i < JOURNAL_DESCRIPTORS; i++) {
        if (kit->fds[i] < 0)
            continue;
        fdstore_drop(fdstore, owner, fd_names[i]);
        close(kit->fds[i]);
        kit->fds[i] = -1;
    }
}
