/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "service/log.h"
#include "service/usage.h"
#include "state/size.h"
#include "state/store.h"

#define PATIENCE_SECONDS 5

/* A command's cgroups are numbered from 0: earlier ones of the channel may not have ended yet. */
#define NUMBERS 1024

/* What the service's own processes are in has other names. */
static const char *const group_prefixes[] = {"guest-", "backend-"};

struct cgroup {
    LIST_ENTRY(cgroup) next;
    char *path;
    struct event *late; /* pending: it was left, and has that long. NULL: it was not left */
    int next_signal;    /* that it gets then */
    int watch;          /* of inotify; -1: none */
};

static struct {
    char *dir; /* NULL: there is no tree */
    struct event_base *base;
    bool limited;
    LIST_HEAD(, cgroup) cgroups;
    int inotify;           /* -1: none was left yet */
    struct event *emptied; /* pending while there are some that were left */
} tree = {.inotify = -1};

/* 0: no limit. */
static struct {
    uint64_t memory;
    uint32_t tasks;
} limits;

int cgroups_limit_memory(const char *size)
{
    if (size_parse(size, INT64_MAX, &limits.memory) == 0)
        return -1;
    return usage_refuse("--command-memory-max", size, USAGE_NO_SIZE);
}

int cgroups_limit_tasks(const char *number)
{
    if (parse_number(number, INT32_MAX, &limits.tasks) == 0 && limits.tasks > 0)
        return -1;
    return usage_refuse("--command-tasks-max", number, USAGE_NO_COUNT);
}

static bool are_limits_wanted(void)
{
    return limits.memory || limits.tasks;
}

/* ---- the files of a cgroup ---- */

/* Returns whether the path is short enough. */
static bool path_in(char path[PATH_MAX], const char *dir, const char *name)
{
    return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static int write_to(const char *dir, const char *file, const char *text)
{
    size_t length = strlen(text);
    char path[PATH_MAX];
    ssize_t put;
    int fd, rc;

    if (!path_in(path, dir, file))
        return -ENAMETOOLONG;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    put = write(fd, text, length);
    rc = put < 0 ? -errno : (size_t)put < length ? -EIO : 0;
    close(fd);
    return rc;
}

static FILE *open_in(const char *dir, const char *file)
{
    char path[PATH_MAX];

    return path_in(path, dir, file) ? fopen(path, "re") : NULL;
}

/* Calls look() for each process in a cgroup, until one call returns true. Whether one did. */
static bool each_process(const char *dir, bool (*look)(pid_t pid, void *arg), void *arg)
{
    FILE *file = open_in(dir, "cgroup.procs");
    char line[32];
    bool stop = false;

    while (file && !stop && fgets(line, sizeof(line), file)) {
        long pid = strtol(line, NULL, 10);

        stop = pid > 0 && look((pid_t)pid, arg); /* 0: of a PID namespace that is not ours */
    }
    if (file)
        fclose(file);
    return stop;
}

/* The kernel counts processes below it too, and no zombies. */
static bool is_populated(const char *dir)
{
    FILE *file = open_in(dir, "cgroup.events");
    bool populated = false;
    char line[64];

    while (file && fgets(line, sizeof(line), file))
        populated |= strcmp(line, "populated 1\n") == 0;
    if (file)
        fclose(file);
    return populated;
}

/* ---- the list ---- */

static struct cgroup *cgroup_add(const char *path)
{
    struct cgroup *cgroup = calloc(1, sizeof(*cgroup));

    if (!cgroup)
        return NULL;
    cgroup->path = strdup(path);
    if (!cgroup->path) {
        free(cgroup);
        return NULL;
    }
    cgroup->watch = -1;
    LIST_INSERT_HEAD(&tree.cgroups, cgroup, next);
    return cgroup;
}

static bool is_known(const char *path)
{
    const struct cgroup *cgroup;

    LIST_FOREACH (cgroup, &tree.cgroups, next)
        if (strcmp(cgroup->path, path) == 0)
            return true;
    return false;
}

static void cgroup_free(struct cgroup *cgroup)
{
    LIST_REMOVE(cgroup, next);
    if (cgroup->late)
        event_free(cgroup->late);
    if (cgroup->watch >= 0)
        inotify_rm_watch(tree.inotify, cgroup->watch);
    free(cgroup->path);
    free(cgroup);
}

/* ---- one that is to go ---- */

/* With its group, if that has no other. It stays if a command of root's made cgroups in it. */
static void remove_cgroup(char *path)
{
    char *slash = strrchr(path, '/');

    rmdir(path);
    *slash = '\0';
    rmdir(path);
    *slash = '/';
}

static bool is_done_with(struct cgroup *cgroup)
{
    if (is_populated(cgroup->path))
        return false;
    remove_cgroup(cgroup->path);
    cgroup_free(cgroup);
    return true;
}

/* One of them became empty, perhaps. */
static void look_at_left(evutil_socket_t fd, short what, void *arg)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct cgroup *cgroup, *next;
    bool any = false;

    (void)what, (void)arg;
    while (read(fd, buffer, sizeof(buffer)) > 0)
        ;
    for (cgroup = LIST_FIRST(&tree.cgroups); cgroup; cgroup = next) {
        next = LIST_NEXT(cgroup, next);
        any |= cgroup->late && !is_done_with(cgroup);
    }
    if (!any)
        event_del(tree.emptied);
}

static int watch_left(struct cgroup *cgroup)
{
    char path[PATH_MAX];

    if (tree.inotify < 0) {
        tree.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (tree.inotify < 0)
            return -errno;
        tree.emptied =
            event_new(tree.base, tree.inotify, EV_READ | EV_PERSIST, look_at_left, NULL);
    }
    if (!tree.emptied || event_add(tree.emptied, NULL) < 0)
        return -ENOMEM;
    snprintf(path, sizeof(path), "%s/cgroup.events", cgroup->path);
    cgroup->watch = inotify_add_watch(tree.inotify, path, IN_MODIFY);
    return cgroup->watch < 0 ? -errno : 0;
}

static void signal_left(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct cgroup *cgroup = arg;

    (void)fd, (void)what;
    cgroup_signal(cgroup, cgroup->next_signal, 0);
    cgroup->next_signal = SIGKILL;
    event_add(cgroup->late, &patience);
}

static bool end_later(struct cgroup *cgroup)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

    cgroup->late = evtimer_new(tree.base, signal_left, cgroup);
    return cgroup->late && event_add(cgroup->late, &patience) == 0 && watch_left(cgroup) == 0;
}

void cgroup_terminate(struct cgroup *cgroup, int next_signal)
{
    if (!cgroup || is_done_with(cgroup))
        return;
    cgroup->next_signal = next_signal;
    if (!end_later(cgroup)) {
        cgroup_signal(cgroup, SIGKILL, 0); /* the next process removes it */
        cgroup_free(cgroup);
    } else if (!is_populated(cgroup->path)) {
        look_at_left(tree.inotify, 0, NULL); /* it became empty before it was watched */
    }
}

/* ---- signals ---- */

struct call {
    int number;
    pid_t but;
};

static bool send_signal(pid_t pid, void *arg)
{
    const struct call *call = arg;

    if (!call->but || getpgid(pid) != call->but)
        kill(pid, call->number);
    return false;
}

void cgroup_signal(const struct cgroup *cgroup, int number, pid_t but)
{
    struct call call = {.number = number, .but = but};

    if (cgroup && number == SIGKILL)
        write_to(cgroup->path, "cgroup.kill", "1");
    else if (cgroup)
        each_process(cgroup->path, send_signal, &call);
}

/* ---- a new one ---- */

static int set_limits(const char *dir)
{
    char text[24];
    int rc = 0;

    if (!tree.limited)
        return 0;
    if (limits.memory) {
        snprintf(text, sizeof(text), "%" PRIu64, limits.memory);
        rc = write_to(dir, "memory.max", text);
    }
    if (rc == 0 && limits.tasks) {
        snprintf(text, sizeof(text), "%" PRIu32, limits.tasks);
        rc = write_to(dir, "pids.max", text);
    }
    return rc;
}

/* So that the cgroups in it can have limits. */
static int pass_controllers(const char *dir)
{
    int rc = 0;

    if (limits.memory)
        rc = write_to(dir, "cgroup.subtree_control", "+memory");
    if (rc == 0 && limits.tasks)
        rc = write_to(dir, "cgroup.subtree_control", "+pids");
    return rc;
}

static int make_group(const char *group, char dir[PATH_MAX])
{
    if (!path_in(dir, tree.dir, group))
        return -ENAMETOOLONG;
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return -errno;
    return tree.limited ? pass_controllers(dir) : 0;
}

static int make_numbered(const char *dir, const char *name, char path[PATH_MAX])
{
    for (int i = 0; i < NUMBERS; i++) {
        if ((size_t)snprintf(path, PATH_MAX, "%s/%s-%d", dir, name, i) >= PATH_MAX)
            return -ENAMETOOLONG;
        if (mkdir(path, 0755) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int cgroup_make(const char *group, const char *name, struct cgroup **cgroup)
{
    char dir[PATH_MAX], path[PATH_MAX];
    int rc;

    *cgroup = NULL;
    if (!tree.dir)
        return 0;
    rc = make_group(group, dir);
    if (rc == 0)
        rc = make_numbered(dir, name, path);
    if (rc < 0) {
        rmdir(dir);
        return rc;
    }
    rc = set_limits(path);
    if (rc == 0)
        *cgroup = cgroup_add(path);
    if (rc == 0 && !*cgroup)
        rc = -ENOMEM;
    if (rc < 0)
        remove_cgroup(path);
    return rc;
}

int cgroup_join(const struct cgroup *cgroup)
{
    return cgroup ? write_to(cgroup->path, "cgroup.procs", "0") : 0;
}

/* ---- those of an earlier process ---- */

typedef struct cgroup *directory_look(const char *path, const char *name, const void *arg);

/* Calls look() for each directory in one, until it gives something but NULL, which is returned. */
static struct cgroup *each_directory(const char *dir, directory_look *look, const void *arg)
{
    struct cgroup *found = NULL;
    DIR *entries = opendir(dir);
    struct dirent *entry;
    char path[PATH_MAX];

    while (entries && !found && (entry = readdir(entries)))
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 && path_in(path, dir, entry->d_name))
            found = look(path, entry->d_name, arg);
    if (entries)
        closedir(entries);
    return found;
}

struct wanted {
    const char *name;
    pid_t pid;
};

static bool is_same_process(pid_t pid, void *arg)
{
    const struct wanted *wanted = arg;

    return pid == wanted->pid;
}

/* Whether it is NAME-N. */
static bool is_numbered(const char *text, const char *name)
{
    size_t length = strlen(name);

    return strncmp(text, name, length) == 0 && text[length] == '-' && text[length + 1] &&
           text[length + 1 + strspn(text + length + 1, "0123456789")] == '\0';
}

static struct cgroup *find_process(const char *path, const char *name, const void *arg)
{
    struct wanted wanted = *(const struct wanted *)arg;

    if (!is_numbered(name, wanted.name) || is_known(path) ||
        !each_process(path, is_same_process, &wanted))
        return NULL;
    return cgroup_add(path);
}

struct cgroup *cgroup_find(const char *group, const char *name, pid_t pid)
{
    const struct wanted wanted = {.name = name, .pid = pid};
    char dir[PATH_MAX];

    if (!tree.dir || pid <= 0 || !path_in(dir, tree.dir, group))
        return NULL;
    return each_directory(dir, find_process, &wanted);
}

static struct cgroup *end_unknown(const char *path, const char *name, const void *arg)
{
    (void)name, (void)arg;
    if (!is_known(path))
        cgroup_terminate(cgroup_add(path), SIGTERM);
    return NULL;
}

static bool is_group(const char *name)
{
    for (size_t i = 0; i < sizeof(group_prefixes) / sizeof(group_prefixes[0]); i++)
        if (strncmp(name, group_prefixes[i], strlen(group_prefixes[i])) == 0)
            return true;
    return false;
}

static struct cgroup *sweep_group(const char *path, const char *name, const void *arg)
{
    if (is_group(name)) {
        each_directory(path, end_unknown, arg);
        rmdir(path); /* if nothing is in it */
    }
    return NULL;
}

void cgroups_sweep(void)
{
    if (tree.dir)
        each_directory(tree.dir, sweep_group, NULL);
}

/* ---- the tree ---- */

int cgroups_open(struct event_base *base, const char *dir, bool alone)
{
    char path[PATH_MAX];
    int rc = 0;

    if (!path_in(path, dir, "cgroup.kill"))
        return -ENAMETOOLONG;
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
        return -errno;
    tree.dir = strdup(dir);
    if (!tree.dir)
        return -ENOMEM;
    tree.base = base;
    if (are_limits_wanted())
        rc = alone ? pass_controllers(dir) : -EBUSY;
    tree.limited = rc == 0 && are_limits_wanted();
    if (rc == -EBUSY)
        log_line(LOG_ERRORS, "cannot limit commands: the service's own processes are in its cgroup "
                 "(add DelegateSubgroup=service to the unit, systemd 254 or later)");
    else if (rc < 0)
        log_line(LOG_ERRORS, "cannot limit commands: cannot enable the controllers of %s: %s", dir,
                 strerror(-rc));
    return 0;
}

void cgroups_close(void)
{
    while (!LIST_EMPTY(&tree.cgroups))
        cgroup_free(LIST_FIRST(&tree.cgroups));
    if (tree.emptied)
        event_free(tree.emptied);
    if (tree.inotify >= 0)
        close(tree.inotify);
    free(tree.dir);
    tree.dir = NULL;
    tree.emptied = NULL;
    tree.inotify = -1;
}

/* Where cgroups v2 are: alone, or beside those of v1. */
static const char *find_mount(void)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    struct statfs fs;

    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
        if (statfs(mounts[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
            return mounts[i];
    return NULL;
}

/* This process's own, "0::/system.slice/vchan-backend.service". */
static bool find_own(char dir[PATH_MAX])
{
    const char *mount = find_mount();
    FILE *file = mount ? fopen("/proc/self/cgroup", "re") : NULL;
    char line[PATH_MAX];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0 &&
                snprintf(dir, PATH_MAX, "%s%s", mount, line + 3) < PATH_MAX;
    }
    if (file)
        fclose(file);
    return found;
}

/* systemd marks what it has delegated. */
static bool is_delegated(const char *dir)
{
    char value[2];

    return getxattr(dir, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1';
}

/*
 * The cgroup that was delegated: this process's own, or with DelegateSubgroup= the one that it is
 * in. (A unit's own name has a dot: then what it is in is another's.) NULL, or why there is none.
 */
static const char *find_delegated(char dir[PATH_MAX], bool *alone)
{
    char *name;

    if (!find_own(dir))
        return "there is no cgroup v2 in /sys/fs/cgroup";
    *alone = !is_delegated(dir);
    if (!*alone)
        return NULL;
    name = strrchr(dir, '/');
    *name++ = '\0';
    return !strchr(name, '.') && is_delegated(dir)
               ? NULL
               : "the service's cgroup is not delegated to it (Delegate=yes)";
}

void cgroups_start(struct event_base *base)
{
    char dir[PATH_MAX];
    bool alone;
    const char *why = find_delegated(dir, &alone);
    int rc = why ? 0 : cgroups_open(base, dir, alone);

    if (rc == -ENOENT)
        why = "the kernel cannot kill cgroups (Linux before 5.14)";
    else if (rc < 0)
        why = strerror(-rc);
    if (why)
        log_line(are_limits_wanted() ? LOG_ERRORS : LOG_DETAILS,
                 "commands have no cgroups of their own: %s", why);
}
