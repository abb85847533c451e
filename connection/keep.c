/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "connection/log.h"
#include "state/notify.h"
#include "state/store.h"

/* The first descriptor that a process is given (sd_listen_fds(3)). */
#define FIRST_FD 3
#define FDS_MAX  65536u

#define ARGUMENTS_MAX 64

/* Linux takes 128K of one variable. */
#define NAMES_MAX (120 * 1024)

struct kept {
    SLIST_ENTRY(kept) next;
    int fd;
    bool taken; /* somebody here uses it */
    char name[64];
};

struct keep {
    SLIST_HEAD(, kept) all;
    char program[PATH_MAX];
};

/* ---- the table ---- */

static void make_name(char name[64], const char *owner, const char *what)
{
    snprintf(name, 64, "%.40s.%.20s", owner, what);
}

static struct kept *find(struct keep *keep, const char *name)
{
    struct kept *kept;

    SLIST_FOREACH (kept, &keep->all, next)
        if (strcmp(kept->name, name) == 0)
            return kept;
    return NULL;
}

static struct kept *insert(struct keep *keep, const char *name, int fd)
{
    struct kept *kept = calloc(1, sizeof(*kept));

    if (!kept)
        return NULL;
    snprintf(kept->name, sizeof(kept->name), "%s", name);
    kept->fd = fd;
    SLIST_INSERT_HEAD(&keep->all, kept, next);
    return kept;
}

static void tell_manager(const char *what, const struct kept *kept, int fd)
{
    char message[128];

    snprintf(message, sizeof(message), "%s=1\nFDNAME=%s%s", what, kept->name,
             fd >= 0 ? "\nFDPOLL=0" : "");
    notify_manager_with(message, fd);
}

/* One that nobody here uses is also closed. */
static void discard(struct keep *keep, struct kept *kept)
{
    tell_manager("FDSTOREREMOVE", kept, -1);
    if (!kept->taken)
        close(kept->fd);
    SLIST_REMOVE(&keep->all, kept, kept, next);
    free(kept);
}

bool keep_is_lasting(const struct keep *keep)
{
    return keep && getenv("NOTIFY_SOCKET");
}

int keep_take(struct keep *keep, const char *owner, const char *what)
{
    struct kept *kept;
    char name[64];

    make_name(name, owner, what);
    kept = keep ? find(keep, name) : NULL;
    if (!kept || kept->taken)
        return -ENOENT;
    kept->taken = true;
    return kept->fd;
}

void keep_add(struct keep *keep, const char *owner, const char *what, int fd)
{
    struct kept *kept;
    char name[64];

    if (!keep)
        return;
    keep_drop(keep, owner, what);
    make_name(name, owner, what);
    kept = insert(keep, name, fd);
    if (!kept)
        return;
    kept->taken = true;
    tell_manager("FDSTORE", kept, fd);
}

bool keep_has(struct keep *keep, const char *owner, const char *what, int fd)
{
    struct kept *kept;
    char name[64];

    make_name(name, owner, what);
    kept = keep ? find(keep, name) : NULL;
    return kept && kept->taken && kept->fd == fd;
}

void keep_drop(struct keep *keep, const char *owner, const char *what)
{
    struct kept *kept;
    char name[64];

    make_name(name, owner, what);
    kept = keep ? find(keep, name) : NULL;
    if (kept)
        discard(keep, kept);
}

static bool is_of(const struct kept *kept, const char *owner)
{
    size_t length = owner ? strlen(owner) : 0;

    return !owner || (strncmp(kept->name, owner, length) == 0 && kept->name[length] == '.');
}

void keep_forget(struct keep *keep, const char *owner)
{
    struct kept *kept, *next;

    for (kept = keep ? SLIST_FIRST(&keep->all) : NULL; kept; kept = next) {
        next = SLIST_NEXT(kept, next);
        if (!kept->taken && is_of(kept, owner))
            discard(keep, kept);
    }
}

/* ---- what the process was given ---- */

static uint32_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    uint32_t number = 0;

    return text && parse_number(text, INT32_MAX, &number) == 0 ? number : 0;
}

/* The names are separated by colons; who has none is called "". */
static int take_given(struct keep *keep, uint32_t count, char *names)
{
    int rc = 0;

    for (uint32_t i = 0; i < count; i++) {
        const char *name = names ? strsep(&names, ":") : "";
        int fd = FIRST_FD + (int)i;

        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            continue;
        if (!insert(keep, name, fd))
            rc = -ENOMEM;
    }
    return rc;
}

static void forget_environment(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

int keep_open(struct keep **out)
{
    struct keep *keep = calloc(1, sizeof(*keep));
    const char *names = getenv("LISTEN_FDNAMES");
    uint32_t count = number_of("LISTEN_FDS");
    char *copy = names ? strdup(names) : NULL;
    int rc = -ENOMEM;

    *out = NULL;
    if (!keep || (names && !copy))
        goto fail;
    SLIST_INIT(&keep->all);
    if (readlink("/proc/self/exe", keep->program, sizeof(keep->program) - 1) < 0)
        keep->program[0] = '\0';
    if (number_of("LISTEN_PID") == (uint32_t)getpid() && count <= FDS_MAX)
        rc = take_given(keep, count, copy);
    else
        rc = 0;
    forget_environment();
    if (rc < 0)
        goto fail;
    free(copy);
    *out = keep;
    return 0;

fail:
    free(copy);
    keep_close(keep);
    return rc;
}

void keep_close(struct keep *keep)
{
    struct kept *kept;

    while (keep && (kept = SLIST_FIRST(&keep->all))) {
        SLIST_REMOVE_HEAD(&keep->all, next);
        if (!kept->taken)
            close(kept->fd);
        free(kept);
    }
    free(keep);
}

/* ---- handing over ---- */

static uint32_t count_kept(const struct keep *keep)
{
    const struct kept *kept;
    uint32_t count = 0;

    SLIST_FOREACH (kept, &keep->all, next)
        count++;
    return count;
}

/* Out of the way of where they all go to. */
static int move_up(struct keep *keep, uint32_t count)
{
    struct kept *kept;

    SLIST_FOREACH (kept, &keep->all, next) {
        kept->fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, FIRST_FD + (int)count);
        if (kept->fd < 0)
            return -errno;
    }
    return 0;
}

static int place(struct keep *keep, char *names)
{
    struct kept *kept;
    int fd = FIRST_FD;

    SLIST_FOREACH (kept, &keep->all, next) {
        if (dup2(kept->fd, fd) < 0)
            return -errno;
        names = stpcpy(names, fd == FIRST_FD ? "" : ":");
        names = stpcpy(names, kept->name);
        fd++;
    }
    return 0;
}

static int set_number(const char *variable, unsigned long number)
{
    char text[24];

    snprintf(text, sizeof(text), "%lu", number);
    return setenv(variable, text, 1) < 0 ? -errno : 0;
}

static int set_environment(uint32_t count, const char *names)
{
    int rc = set_number("LISTEN_PID", (unsigned long)getpid());

    if (rc == 0)
        rc = set_number("LISTEN_FDS", count);
    if (rc == 0 && setenv("LISTEN_FDNAMES", names, 1) < 0)
        rc = -errno;
    return rc;
}

/* The arguments that the process was started with, one after the other in text. */
static int read_arguments(char *text, size_t size, char *arguments[ARGUMENTS_MAX + 1])
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    int count = 0;

    if (fd < 0 || length <= 0)
        return -EIO;
    close(fd);
    text[length] = '\0';
    for (char *at = text; at < text + length && count < ARGUMENTS_MAX; at += strlen(at) + 1)
        arguments[count++] = at;
    arguments[count] = NULL;
    return 0;
}

/* A second SIGHUP before the new process asks for it means nothing. */
static int replace(const struct keep *keep)
{
    char text[4096], *arguments[ARGUMENTS_MAX + 1];
    int rc = read_arguments(text, sizeof(text), arguments);

    if (rc < 0)
        return rc;
    signal(SIGHUP, SIG_IGN);
    execv(keep->program, arguments);
    return -errno;
}

/* The names of all, and what separates them. */
static size_t names_size(const struct keep *keep)
{
    const struct kept *kept;
    size_t size = 1;

    SLIST_FOREACH (kept, &keep->all, next)
        size += strlen(kept->name) + 1;
    return size;
}

int keep_hand_over(struct keep *keep)
{
    uint32_t count = count_kept(keep);
    size_t size = names_size(keep);
    char *names = size > NAMES_MAX ? NULL : malloc(size);
    int rc;

    if (!names)
        return size > NAMES_MAX ? -E2BIG : -ENOMEM;
    names[0] = '\0';
    rc = move_up(keep, count);
    if (rc == 0)
        rc = place(keep, names);
    if (rc == 0)
        rc = set_environment(count, names);
    if (rc == 0)
        rc = replace(keep);
    log_line(LOG_ERRORS, "cannot go on as a new process: %s", strerror(-rc));
    _exit(1); /* as if killed: where xenstored was, a client may be */
}
