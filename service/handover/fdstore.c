/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#include "state/notify.h"
#include "state/store.h"

/* The first descriptor that the manager passes (sd_listen_fds(3)). */
#define FIRST_FD 3
#define FDS_MAX  65536u

/* How many the manager stores, if it does not report it: as in vchan-backend.service. */
#define STORED_MAX 7000

/* The variable with the number of a descriptor that lists all others, for accept_handed_over(). */
#define HANDED_OVER "PVCHAN_KEPT"

#define ARGUMENTS_MAX 64

/*
 * The manager passes all names in one environment string, of at most 128 KiB (MAX_ARG_STRLEN). With
 * a longer one the next process could never start.
 */
#define NAMES_MAX (128ul * 1024 - sizeof("LISTEN_FDNAMES="))
#define NAME_ROOM sizeof("32751/65535.listener")

struct kept_fd {
    SLIST_ENTRY(kept_fd) next;
    int fd;
    bool taken;  /* this process uses it */
    bool stored; /* the manager has a copy */
    char name[64];
};

struct fdstore {
    SLIST_HEAD(, kept_fd) all;
    uint32_t stored, limit;
    uint32_t name_bytes; /* of the stored ones' names, with a colon each */
    const char *discard_name;
    void (*discarded)(void *arg, int fd);
    void *discard_arg;
    char program[PATH_MAX];
};

/* ---- the table ---- */

static void make_name(char name[64], const char *owner, const char *what)
{
    snprintf(name, 64, "%.40s.%.20s", owner, what);
}

static struct kept_fd *kept_find(const struct fdstore *fdstore, const char *name)
{
    struct kept_fd *kept;

    SLIST_FOREACH (kept, &fdstore->all, next)
        if (strcmp(kept->name, name) == 0)
            return kept;
    return NULL;
}

static struct kept_fd *kept_add(struct fdstore *fdstore, const char *name, int fd)
{
    struct kept_fd *kept = calloc(1, sizeof(*kept));

    if (!kept)
        return NULL;
    snprintf(kept->name, sizeof(kept->name), "%s", name);
    kept->fd = fd;
    SLIST_INSERT_HEAD(&fdstore->all, kept, next);
    return kept;
}

static void notify_manager_of(const char *what, const struct kept_fd *kept, int fd)
{
    char message[128];

    snprintf(message, sizeof(message), "%s=1\nFDNAME=%s%s", what, kept->name,
             fd >= 0 ? "\nFDPOLL=0" : "");
    notify_manager_with(message, fd);
}

static void count_stored(struct fdstore *fdstore, struct kept_fd *kept, bool stored)
{
    uint32_t bytes = (uint32_t)strlen(kept->name) + 1;

    kept->stored = stored;
    fdstore->stored += stored ? 1u : -1u;
    fdstore->name_bytes += stored ? bytes : -bytes;
}

static void set_stored(struct fdstore *fdstore, struct kept_fd *kept, bool stored)
{
    if (stored == kept->stored)
        return;
    count_stored(fdstore, kept, stored);
    notify_manager_of(stored ? "FDSTORE" : "FDSTOREREMOVE", kept, stored ? kept->fd : -1);
}

static bool has_name(const struct kept_fd *kept, const char *what)
{
    const char *point = strrchr(kept->name, '.');

    return point && strcmp(point + 1, what) == 0;
}

int fdstore_each(const struct fdstore *fdstore, const char *what, int (*visit)(void *arg, int fd),
                 void *arg)
{
    const struct kept_fd *kept;
    int rc = 0;

    if (!fdstore)
        return 0;
    SLIST_FOREACH (kept, &fdstore->all, next)
        if (rc == 0 && has_name(kept, what))
            rc = visit(arg, kept->fd);
    return rc;
}

/* Closes a descriptor that is not taken, or passes it to discarded(). */
static void close_untaken(struct fdstore *fdstore, const struct kept_fd *kept)
{
    if (kept->taken)
        return;
    if (fdstore->discarded && has_name(kept, fdstore->discard_name))
        fdstore->discarded(fdstore->discard_arg, kept->fd);
    else
        close(kept->fd);
}

static void kept_drop(struct fdstore *fdstore, struct kept_fd *kept)
{
    set_stored(fdstore, kept, false);
    SLIST_REMOVE(&fdstore->all, kept, kept_fd, next);
    close_untaken(fdstore, kept);
    free(kept);
}

void fdstore_on_discard(struct fdstore *fdstore, const char *what,
                        void (*discarded)(void *arg, int fd), void *arg)
{
    if (!fdstore)
        return;
    fdstore->discard_name = what;
    fdstore->discarded = discarded;
    fdstore->discard_arg = arg;
}

bool fdstore_has_room(const struct fdstore *fdstore, unsigned int count)
{
    return fdstore && notify_is_wanted() && fdstore->stored + count <= fdstore->limit &&
           fdstore->name_bytes + count * NAME_ROOM <= NAMES_MAX;
}

static struct kept_fd *kept_of(const struct fdstore *fdstore, const char *owner, const char *what)
{
    char name[64];

    make_name(name, owner, what);
    return fdstore ? kept_find(fdstore, name) : NULL;
}

int fdstore_take(struct fdstore *fdstore, const char *owner, const char *what)
{
    struct kept_fd *kept = kept_of(fdstore, owner, what);

    if (!kept || kept->taken)
        return -ENOENT;
    kept->taken = true;
    return kept->fd;
}

bool fdstore_is_left(const struct fdstore *fdstore, const char *owner, const char *what)
{
    const struct kept_fd *kept = kept_of(fdstore, owner, what);

    return kept && !kept->taken;
}

bool fdstore_is_kept(const struct fdstore *fdstore, const char *owner, const char *what)
{
    return kept_of(fdstore, owner, what) != NULL;
}

bool fdstore_is_stored(const struct fdstore *fdstore, const char *owner, const char *what)
{
    const struct kept_fd *kept = kept_of(fdstore, owner, what);

    return kept && kept->stored;
}

void fdstore_add(struct fdstore *fdstore, const char *owner, const char *what, int fd, bool lasting)
{
    struct kept_fd *kept = kept_of(fdstore, owner, what);
    char name[64];

    if (!fdstore)
        return;
    if (kept && (!kept->taken || kept->fd != fd)) {
        kept_drop(fdstore, kept);
        kept = NULL;
    }
    make_name(name, owner, what);
    if (!kept)
        kept = kept_add(fdstore, name, fd);
    if (!kept)
        return;
    kept->taken = true;
    set_stored(fdstore, kept, lasting);
}

void fdstore_drop(struct fdstore *fdstore, const char *owner, const char *what)
{
    struct kept_fd *kept = kept_of(fdstore, owner, what);

    if (kept)
        kept_drop(fdstore, kept);
}

static bool is_owned_by(const struct kept_fd *kept, const char *owner)
{
    size_t length = owner ? strlen(owner) : 0;

    return !owner || (strncmp(kept->name, owner, length) == 0 && kept->name[length] == '.');
}

void fdstore_drop_untaken(struct fdstore *fdstore, const char *owner)
{
    struct kept_fd *kept, *next;

    for (kept = fdstore ? SLIST_FIRST(&fdstore->all) : NULL; kept; kept = next) {
        next = SLIST_NEXT(kept, next);
        if (!kept->taken && is_owned_by(kept, owner))
            kept_drop(fdstore, kept);
    }
}

/* ---- descriptors that the process was started with ---- */

static uint32_t number_in(const char *variable)
{
    const char *text = getenv(variable);
    uint32_t number = 0;

    return text && parse_number(text, INT32_MAX, &number) == 0 ? number : 0;
}

/* Sets close-on-exec: commands must not inherit these descriptors. */
static int accept_fd(struct fdstore *fdstore, int fd, const char *name, bool stored)
{
    struct kept_fd *kept;

    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return 0; /* not an open descriptor */
    kept = kept_add(fdstore, name, fd);
    if (!kept)
        return -ENOMEM;
    if (stored)
        count_stored(fdstore, kept, true);
    return 0;
}

/* From the manager. Colons separate the names; a descriptor without a name has "". */
static int accept_stored(struct fdstore *fdstore)
{
    const char *text = getenv("LISTEN_FDNAMES");
    uint32_t count = number_in("LISTEN_FDS");
    char *copy = strdup(text ? text : ""), *names = copy;
    int rc = copy ? 0 : -ENOMEM;

    if (number_in("LISTEN_PID") != (uint32_t)getpid() || count > FDS_MAX)
        count = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        const char *name = names ? strsep(&names, ":") : "";

        rc = accept_fd(fdstore, FIRST_FD + (int)i, name, true);
    }
    free(copy);
    return rc;
}

/* "FD STORED NAME" */
static int accept_line(struct fdstore *fdstore, char *line)
{
    const char *fd_text = strsep(&line, " "), *stored_text = strsep(&line, " ");
    uint32_t fd, stored;

    if (!line || parse_number(fd_text, INT32_MAX, &fd) < 0 ||
        parse_number(stored_text, 1, &stored) < 0)
        return -EINVAL;
    line[strcspn(line, "\n")] = '\0';
    return accept_fd(fdstore, (int)fd, line, stored);
}

/* From the process that this one replaced. */
static int accept_handed_over(struct fdstore *fdstore)
{
    uint32_t fd = number_in(HANDED_OVER);
    FILE *file = fd > 0 ? fdopen((int)fd, "re") : NULL;
    char line[128];
    int rc = 0;

    if (!file)
        return 0;
    while (rc == 0 && fgets(line, sizeof(line), file))
        rc = accept_line(fdstore, line);
    fclose(file);
    return rc;
}

static uint32_t version_of(const char *name)
{
    char number[16] = "";
    uint32_t version = FDSTORE_VERSION;

    if (name[0] == 'v' && strchr(name, '.'))
        snprintf(number, sizeof(number), "%.*s", (int)strcspn(name + 1, "."), name + 1);
    return parse_number(number, INT32_MAX, &version) == 0 ? version : FDSTORE_VERSION;
}

uint32_t fdstore_version(const struct fdstore *fdstore)
{
    uint32_t highest = FDSTORE_VERSION;
    const struct kept_fd *kept;

    if (!fdstore)
        return highest;
    SLIST_FOREACH (kept, &fdstore->all, next)
        if (version_of(kept->name) > highest)
            highest = version_of(kept->name);
    return highest;
}

static void clear_environment(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    unsetenv(HANDED_OVER);
}

int fdstore_open(struct fdstore **out)
{
    struct fdstore *fdstore = calloc(1, sizeof(*fdstore));
    int rc;

    *out = NULL;
    if (!fdstore)
        return -ENOMEM;
    SLIST_INIT(&fdstore->all);
    fdstore->limit = getenv("FDSTORE") ? number_in("FDSTORE") : STORED_MAX;
    if (readlink("/proc/self/exe", fdstore->program, sizeof(fdstore->program) - 1) < 0)
        fdstore->program[0] = '\0';
    rc = accept_handed_over(fdstore);
    if (rc == 0)
        rc = accept_stored(fdstore);
    clear_environment();
    if (rc < 0)
        fdstore_close(fdstore);
    else
        *out = fdstore;
    return rc;
}

void fdstore_close(struct fdstore *fdstore)
{
    struct kept_fd *kept;

    while (fdstore && (kept = SLIST_FIRST(&fdstore->all))) {
        SLIST_REMOVE_HEAD(&fdstore->all, next);
        if (!kept->taken)
            close(kept->fd);
        free(kept);
    }
    free(fdstore);
}

/* ---- handing over ---- */

/* Lists all that is kept in a memfd, and returns that. The descriptors keep their numbers. */
static int describe_kept(const struct fdstore *fdstore)
{
    int fd = memfd_create("vchan-kept", MFD_CLOEXEC);
    const struct kept_fd *kept;

    if (fd < 0)
        return -errno;
    SLIST_FOREACH (kept, &fdstore->all, next) {
        if (dprintf(fd, "%d %d %s\n", kept->fd, kept->stored, kept->name) < 0) {
            close(fd);
            return -ENOMEM;
        }
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int set_handed_over(int fd)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", fd);
    return setenv(HANDED_OVER, text, 1) < 0 ? -errno : 0;
}

static void set_fd_flags(const struct fdstore *fdstore, int described, int flags)
{
    const struct kept_fd *kept;

    fcntl(described, F_SETFD, flags);
    SLIST_FOREACH (kept, &fdstore->all, next)
        fcntl(kept->fd, F_SETFD, flags);
}

/* Reads the arguments that the process was started with: text holds them one after the other. */
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

static int exec_program(const struct fdstore *fdstore)
{
    char text[4096], *arguments[ARGUMENTS_MAX + 1];
    int rc = read_arguments(text, sizeof(text), arguments);

    if (rc < 0)
        return rc;
    execv(fdstore->program, arguments);
    return -errno;
}

int fdstore_hand_over(struct fdstore *fdstore)
{
    int described = describe_kept(fdstore);
    int rc = described < 0 ? described : set_handed_over(described);

    if (rc == 0) {
        set_fd_flags(fdstore, described, 0);
        rc = exec_program(fdstore);
        set_fd_flags(fdstore, described, FD_CLOEXEC);
    }
    unsetenv(HANDED_OVER);
    if (described >= 0)
        close(described);
    return rc;
}
