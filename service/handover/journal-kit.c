/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/journal-kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * A user without CAP_SYS_RESOURCE gets 16384 pages for all pipes (pipe-user-pages-soft), and beyond
 * that two pages a pipe. So only the first journals get pipes of the usual 16 pages.
 */
#define LARGE_COUNT 100
#define SMALL_PIPE  (4 * 4096)

static unsigned int kit_count;

static const enum fdstore_item items[JOURNAL_DESCRIPTORS] = {
    FDSTORE_JOURNAL_TO, FDSTORE_JOURNAL_FROM, FDSTORE_JOURNAL_PAGE};

uint32_t journal_pipe_bytes(int pipe)
{
    int bytes = 0;

    return ioctl(pipe, FIONREAD, &bytes) < 0 ? 0 : (uint32_t)bytes;
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
    int fd = memfd_create("vchan-journal", MFD_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof(struct journal_page)) == 0)
        return fd;
    rc = -errno;
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

    if (!fdstore_is_left(fdstore, owner, items[JOURNAL_PAGE]))
        return false;
    kit_count++;
    for (int i = 0; i < JOURNAL_DESCRIPTORS; i++) {
        kit->fds[i] = fdstore_take(fdstore, owner, items[i]);
        complete &= kit->fds[i] >= 0;
    }
    if (complete)
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
        fdstore_add(fdstore, owner, items[i], fd, true);
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
        fdstore_drop(fdstore, owner, items[i]);
        close(kit->fds[i]);
        kit->fds[i] = -1;
    }
}
