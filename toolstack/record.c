/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <libxl_uuid.h>

/* While somebody else has a lock: how often to look, and how long, in milliseconds. */
#define LOCK_LOOK 20
#define LOCK_WAIT 60000

static const char *state_dir;

void record_set_dir(const char *dir)
{
    state_dir = dir;
}

const char *record_dir(void)
{
    const char *dir = state_dir ? state_dir : getenv("PVCHAN_STATE_DIR");

    return dir && dir[0] != '\0' ? dir : RECORD_STATE_DIR;
}

static int complain(const struct tool *tool, const char *path, int error)
{
    tool_complain(tool, "cannot write %s: %s (it is where the channels are kept for a reboot)",
                  path, strerror(error));
    return -error;
}

/* --- locks: a byte of the file for each domain --- */

/* Two domains may share one, which only makes them wait. */
static off_t lock_byte(const char *domain)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    if (domain[0] == '\0')
        return 0;
    for (; *domain; domain++)
        hash = (hash ^ (unsigned char)*domain) * 16777619u;
    return 1 + (off_t)(hash >> 1);
}

static int set_lock(int locks, short type, const char *domain)
{
    struct flock lock = {.l_type = type, .l_start = lock_byte(domain), .l_len = 1};

    if (fcntl(locks, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int record_open_locks(struct tool *tool)
{
    char path[PATH_MAX];
    int locks;

    if (mkdir(record_dir(), 0700) < 0 && errno != EEXIST)
        return complain(tool, record_dir(), errno);
    snprintf(path, sizeof(path), "%s/lock", record_dir());
    locks = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return locks < 0 ? complain(tool, path, errno) : locks;
}

int record_try_lock(struct tool *tool, int locks, const char *domain)
{
    int rc = set_lock(locks, F_WRLCK, domain);

    if (rc < 0 && rc != -EBUSY)
        tool_complain(tool, "cannot lock %s/lock: %s", record_dir(), strerror(-rc));
    return rc;
}

void record_unlock(int locks, const char *domain)
{
    set_lock(locks, F_UNLCK, domain);
}

/* The kernel wakes who waits for a lock only in a call that a signal here would not end. */
static int wait_lock(struct tool *tool, int locks, const char *domain)
{
    int64_t deadline = tool_now() + LOCK_WAIT;
    struct pollfd signals = {.fd = tool->signals, .events = POLLIN};
    int rc;

    while ((rc = record_try_lock(tool, locks, domain)) == -EBUSY && tool_now() < deadline) {
        if (poll(&signals, 1, LOCK_LOOK) > 0) {
            tool_complain(tool, "interrupted");
            return -EINTR;
        }
    }
    if (rc == -EBUSY)
        tool_complain(tool, "another xl-vchan has been changing its channels for %d s",
                      LOCK_WAIT / 1000);
    return rc;
}

int record_lock(struct tool *tool, const char *domain)
{
    int locks = record_open_locks(tool);
    int rc;

    if (locks < 0)
        return locks;
    rc = wait_lock(tool, locks, domain);
    if (rc == 0)
        return locks;
    close(locks);
    return rc;
}

/* --- records --- */

int record_uuid(struct tool *tool, domid_t domid, char uuid[RECORD_UUID_MAX])
{
    libxl_dominfo info;
    int rc;

    libxl_dominfo_init(&info);
    rc = libxl_domain_info(tool->ctx, &info, domid);
    if (rc == 0)
        snprintf(uuid, RECORD_UUID_MAX, LIBXL_UUID_FMT, LIBXL_UUID_BYTES(info.uuid));
    libxl_dominfo_dispose(&info);
    return rc == 0 ? 0 : -ENOENT;
}

static void record_path(const char *uuid, const char *suffix, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s.cfg%s", record_dir(), uuid, suffix);
}

int record_read(struct tool *tool, const char *uuid, struct config *config)
{
    char path[PATH_MAX], why[CONFIG_WHY_MAX];
    int rc;

    record_path(uuid, "", path);
    rc = config_read(path, "", config, why);
    if (rc < 0 && rc != -ENOENT)
        tool_complain(tool, "%s (mend or remove that file)", why);
    return rc;
}

static int write_config(FILE *to, const struct config *config)
{
    int rc;

    fputs("# Kept by xl-vchan: the channels that the domain of this uuid is to have.\n", to);
    rc = config_write(config, to);
    if (rc == 0 && (fflush(to) != 0 || fsync(fileno(to)) < 0))
        rc = -errno;
    return rc;
}

int record_stage(struct tool *tool, const char *uuid, const struct config *config)
{
    char path[PATH_MAX];
    FILE *to;
    int rc;

    record_path(uuid, ".new", path);
    to = fopen(path, "we");
    if (!to)
        return complain(tool, path, errno);
    rc = write_config(to, config);
    if (fclose(to) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0)
        return 0;
    unlink(path);
    return complain(tool, path, -rc);
}

int record_commit(struct tool *tool, const char *uuid)
{
    char path[PATH_MAX], staged[PATH_MAX];

    record_path(uuid, "", path);
    record_path(uuid, ".new", staged);
    return rename(staged, path) < 0 ? complain(tool, path, errno) : 0;
}

void record_abandon(const char *uuid)
{
    char path[PATH_MAX];

    record_path(uuid, ".new", path);
    unlink(path);
}

void record_touch(const char *uuid)
{
    char path[PATH_MAX];

    record_path(uuid, "", path);
    utimensat(AT_FDCWD, path, NULL, 0);
}

static bool is_record(const char *name)
{
    size_t length = strlen(name);

    return length == RECORD_UUID_MAX - 1 + 4 && strcmp(name + length - 4, ".cfg") == 0;
}

void record_prune(void)
{
    time_t oldest = time(NULL) - (time_t)RECORD_DAYS * 24 * 60 * 60;
    DIR *dir = opendir(record_dir());
    struct dirent *entry;
    struct stat status;

    while (dir && (entry = readdir(dir)))
        if (is_record(entry->d_name) &&
            fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime < oldest)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}
