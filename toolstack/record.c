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
#include <unistd.h>

#include "state/clock.h"
#include "state/lock.h"
#include "toolstack/identity.h"

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
    tool_complain(tool, "cannot write %s: %s (xl-vchan stores its records there)", path,
                  strerror(error));
    return -error;
}

/* --- locks --- */

/* Two domains may share one, which only makes them wait. */
static off_t domain_byte(const char *domain)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    if (domain[0] == '\0')
        return 0;
    for (; *domain; domain++)
        hash = (hash ^ (unsigned char)*domain) * 16777619u;
    return 1 + (off_t)(hash >> 1);
}

int record_open_locks(struct tool *tool)
{
    char path[PATH_MAX];
    int locks;

    if (mkdir(record_dir(), 0700) < 0 && errno != EEXIST)
        return complain(tool, record_dir(), errno);
    snprintf(path, sizeof(path), "%s/lock", record_dir());
    locks = lock_open(path);
    return locks < 0 ? complain(tool, path, -locks) : locks;
}

int record_try_lock(struct tool *tool, int locks, const char *domain)
{
    int rc = lock_byte_take(locks, domain_byte(domain));

    if (rc < 0 && rc != -EBUSY)
        tool_complain(tool, "cannot lock %s/lock: %s", record_dir(), strerror(-rc));
    return rc;
}

void record_unlock(int locks, const char *domain)
{
    lock_byte_release(locks, domain_byte(domain));
}

/* The kernel wakes who waits for a lock only in a call that a signal here would not end. */
int record_wait_lock(struct tool *tool, int locks, const char *domain)
{
    int64_t deadline = clock_ms() + LOCK_WAIT;
    struct pollfd signals = {.fd = tool->signals, .events = POLLIN};
    int rc;

    while ((rc = record_try_lock(tool, locks, domain)) == -EBUSY && clock_ms() < deadline) {
        if (poll(&signals, 1, LOCK_LOOK) > 0) {
            tool_complain(tool, "interrupted");
            return -EINTR;
        }
    }
    if (rc == -EBUSY)
        tool_complain(tool, "another xl-vchan has been changing this domain's channels for %d s",
                      LOCK_WAIT / 1000);
    return rc;
}

int record_lock(struct tool *tool, const char *domain)
{
    int locks = record_open_locks(tool);
    int rc;

    if (locks < 0)
        return locks;
    rc = record_wait_lock(tool, locks, domain);
    if (rc == 0)
        return locks;
    close(locks);
    return rc;
}

/* --- records --- */

static void record_path(const char *uuid, const char *suffix, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s.cfg%s", record_dir(), uuid, suffix);
}

/*
 * The first form had a backend's name, unquoted. One of digits may be an id, and this domain's own
 * was never written: another name that begins so and has a comma was.
 */
static bool is_ambiguous(struct tool *tool, const struct spec *channel)
{
    domid_t domid;

    return channel->backend[0] != '\0' &&
           (identity_is_id(channel->backend) ||
            (identity_by_name(tool, channel->backend, &domid) == 0 && domid == tool->own));
}

static int check_first_form(struct tool *tool, const struct config *config,
                            char why[CONFIG_WHY_MAX])
{
    for (size_t i = 0; i < config->count && config->record == 0; i++) {
        const struct spec *channel = &config->channels[i];

        if (!is_ambiguous(tool, channel))
            continue;
        snprintf(why, CONFIG_WHY_MAX,
                 "channel \"%s\": an older xl-vchan wrote backend=%s, which is ambiguous",
                 channel->name, channel->backend);
        return -EINVAL;
    }
    return 0;
}

static int set_aside(struct tool *tool, const char *uuid, const char *path, const char *why)
{
    char aside[PATH_MAX];

    record_path(uuid, ".bad", aside);
    if (rename(path, aside) < 0)
        return complain(tool, path, errno);
    tool_complain(tool, "%s (the record has been moved to %s)", why, aside);
    return -EBADMSG;
}

int record_read(struct tool *tool, const char *uuid, struct config *config)
{
    char path[PATH_MAX], why[CONFIG_WHY_MAX];
    int rc;

    record_path(uuid, "", path);
    rc = config_read_record(path, config, why);
    if (rc == 0) {
        rc = check_first_form(tool, config, why);
        if (rc < 0)
            config_free(config);
    }
    if (rc == -EINVAL)
        return set_aside(tool, uuid, path, why);
    if (rc < 0 && rc != -ENOENT)
        tool_complain(tool, "%s", why);
    return rc;
}

char *record_name(const char *uuid)
{
    char path[PATH_MAX], why[CONFIG_WHY_MAX], *name;
    struct config config;

    record_path(uuid, "", path);
    if (config_read_identity(path, &config, why) < 0)
        return NULL;
    name = config.name;
    config.name = NULL;
    config_free(&config);
    return name;
}

static int write_config(FILE *to, const struct config *config)
{
    int rc;

    fputs("# Written by xl-vchan: the channels of the domain with this uuid.\n", to);
    fprintf(to, "record = %d\n", RECORD_FORM);
    if (config->domid >= 0)
        fprintf(to, "domid = %ld\n", config->domid);
    rc = config_write(config, to);
    if (rc == 0 && (fflush(to) != 0 || fsync(fileno(to)) < 0))
        rc = -errno;
    return rc;
}

static bool is_same_config(const struct config *a, const struct config *b)
{
    if (!a->name != !b->name || (a->name && strcmp(a->name, b->name) != 0) ||
        a->count != b->count || a->domid != b->domid)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!spec_equal(&a->channels[i], &b->channels[i]))
            return false;
    return true;
}

static int write_file(const char *path, const struct config *config)
{
    FILE *to = fopen(path, "we");
    int rc;

    if (!to)
        return -errno;
    rc = write_config(to, config);
    if (fclose(to) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

/* Whatever is in a name: what is stored means what it is to mean, or is not stored. */
static int read_back(const char *path, const struct config *config)
{
    char why[CONFIG_WHY_MAX];
    struct config back;
    int rc = config_read_record(path, &back, why);

    if (rc == 0 && !is_same_config(config, &back))
        rc = -EINVAL;
    config_free(&back);
    return rc;
}

int record_stage(struct tool *tool, const char *uuid, const struct config *config)
{
    char path[PATH_MAX];
    int rc;

    record_path(uuid, ".new", path);
    rc = write_file(path, config);
    if (rc == 0)
        rc = read_back(path, config);
    if (rc == 0)
        return 0;
    unlink(path);
    if (rc != -EINVAL)
        return complain(tool, path, -rc);
    tool_complain(tool, "cannot write %s: a name contains characters that cannot be stored", path);
    return rc;
}

/* A rename is on the disk once the directory is. It is done even if that fails: a warning. */
static void sync_directory(struct tool *tool)
{
    int dir = open(record_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 || fsync(dir) < 0)
        tool_complain(tool, "warning: cannot write %s to the disk: %s (its records may be lost if the "
                            "power fails)",
                      record_dir(), strerror(errno));
    if (dir >= 0)
        close(dir);
}

int record_commit(struct tool *tool, const char *uuid)
{
    char path[PATH_MAX], staged[PATH_MAX];

    record_path(uuid, "", path);
    record_path(uuid, ".new", staged);
    if (rename(staged, path) < 0)
        return complain(tool, path, errno);
    sync_directory(tool);
    return 0;
}

void record_abandon(const char *uuid)
{
    char path[PATH_MAX];

    record_path(uuid, ".new", path);
    unlink(path);
}

/* --- their age: in days, in a file beside a record whose domain is not there --- */

#define AGE_SUFFIX ".absent"

void record_touch(const char *uuid)
{
    char path[PATH_MAX];

    record_path(uuid, AGE_SUFFIX, path);
    unlink(path);
}

static unsigned int read_age(const char *path)
{
    FILE *from = fopen(path, "re");
    char line[16];
    uint32_t days;

    if (!from)
        return 0;
    if (!fgets(line, sizeof(line), from))
        line[0] = '\0';
    fclose(from);
    line[strcspn(line, "\n")] = '\0';
    return parse_number(line, UINT32_MAX, &days) < 0 ? 0 : days;
}

/* A file that could not be written is a day that does not count. */
static void write_age(const char *path, unsigned int days)
{
    FILE *to = fopen(path, "we");

    if (!to)
        return;
    fprintf(to, "%u\n", days);
    fclose(to);
}

static void grow_older(const char *uuid)
{
    char path[PATH_MAX], age[PATH_MAX];
    unsigned int days;

    record_path(uuid, "", path);
    record_path(uuid, AGE_SUFFIX, age);
    days = read_age(age) + 1;
    if (days <= RECORD_DAYS) {
        write_age(age, days);
        return;
    }
    unlink(path);
    unlink(age);
}

static bool is_record(const char *name)
{
    size_t length = strlen(name);

    return length == RECORD_UUID_MAX - 1 + 4 && strcmp(name + length - 4, ".cfg") == 0;
}

void record_pass_day(void)
{
    DIR *dir = opendir(record_dir());
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char uuid[RECORD_UUID_MAX];

        if (!is_record(entry->d_name))
            continue;
        snprintf(uuid, sizeof(uuid), "%.*s", RECORD_UUID_MAX - 1, entry->d_name);
        grow_older(uuid);
    }
    if (dir)
        closedir(dir);
}
