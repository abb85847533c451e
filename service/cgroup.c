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
#include "service/usage-error.h"
#include "state/size.h"
#include "state/store.h"

#define KILL_SECONDS 5

/* Cgroups with one name are numbered: earlier commands of a channel may not have ended yet. */
#define NUMBERS 1024

/* The names of groups begin so. The cgroup of the service's own processes does not. */
static const char *const group_prefixes[] = {"guest-", "backend-"};

struct cgroup {
    LIST_ENTRY(cgroup) next;
    char *path;
    struct event *kill_timer; /* not NULL: terminating, and gets next_signal then */
    int next_signal;
    int watch; /* inotify's; -1: none */
};

static struct {
    char *dir; /* NULL: there is no tree */
    struct event_base *base;
    bool limited;
    LIST_HEAD(, cgroup) cgroups;
    int inotify;           /* -1: not opened yet */
    struct event *emptied; /* pending while cgroups are terminating */
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
    return usage_error_value("--command-memory-max", size, USAGE_NOT_SIZE);
}

int cgroups_limit_tasks(const char *number)
{
    if (parse_number(number, INT32_MAX, &limits.tasks) == 0 && limits.tasks > 0)
        return -1;
    return usage_error_value("--command-tasks-max", number, USAGE_NOT_COUNT);
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

/* Calls visit() for each process in a cgroup, until one returns true. Returns whether one did. */
static bool each_process(const char *dir, bool (*visit)(pid_t pid, void *arg), void *arg)
{
    FILE *file = open_in(dir, "cgroup.procs");
    char line[32];
    bool stop = false;

    while (file && !stop && fgets(line, sizeof(line), file)) {
        long pid = strtol(line, NULL, 10);

        stop = pid > 0 && visit((pid_t)pid, arg); /* 0: a process in another PID namespace */
    }
    if (file)
        fclose(file);
    return stop;
}

/* Counts processes in cgroups below it too, but not zombies. */
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

static bool is_listed(const char *path)
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
    if (cgroup->kill_timer)
        event_free(cgroup->kill_timer);
    if (cgroup->watch >= 0)
        inotify_rm_watch(tree.inotify, cgroup->watch);
    free(cgroup->path);
    free(cgroup);
}

/* ---- terminating ---- */

/*
 * Removes a cgroup, and its group if that has no other. A cgroup stays if a command that runs as
 * root has created others in it.
 */
static void remove_cgroup(char *path)
{
    char *slash = strrchr(path, '/');

    rmdir(path);
    *slash = '\0';
    rmdir(path);
    *slash = '/';
}

static bool remove_if_empty(struct cgroup *cgroup)
{
    if (is_populated(cgroup->path))
        return false;
    remove_cgroup(cgroup->path);
    cgroup_free(cgroup);
    return true;
}

/* A terminating cgroup may be empty now. */
static void on_cgroup_emptied(evutil_socket_t fd, short what, void *arg)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct cgroup *cgroup, *next;
    bool any = false;

    (void)what, (void)arg;
    while (read(fd, buffer, sizeof(buffer)) > 0)
        ;
    for (cgroup = LIST_FIRST(&tree.cgroups); cgroup; cgroup = next) {
        next = LIST_NEXT(cgroup, next);
        any |= cgroup->kill_timer && !remove_if_empty(cgroup);
    }
    if (!any)
        event_del(tree.emptied);
}

static int watch_cgroup(struct cgroup *cgroup)
{
    char path[PATH_MAX];

    if (tree.inotify < 0) {
        tree.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (tree.inotify < 0)
            return -errno;
        tree.emptied =
            event_new(tree.base, tree.inotify, EV_READ | EV_PERSIST, on_cgroup_emptied, NULL);
    }
    if (!tree.emptied || event_add(tree.emptied, NULL) < 0)
        return -ENOMEM;
    snprintf(path, sizeof(path), "%s/cgroup.events", cgroup->path);
    cgroup->watch = inotify_add_watch(tree.inotify, path, IN_MODIFY);
    return cgroup->watch < 0 ? -errno : 0;
}

static void on_cgroup_kill_timer(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval pause = {.tv_sec = KILL_SECONDS};
    struct cgroup *cgroup = arg;

    (void)fd, (void)what;
    cgroup_signal(cgroup, cgroup->next_signal, 0);
    cgroup->next_signal = SIGKILL;
    event_add(cgroup->kill_timer, &pause);
}

static bool schedule_kill(struct cgroup *cgroup)
{
    static const struct timeval pause = {.tv_sec = KILL_SECONDS};

    cgroup->kill_timer = evtimer_new(tree.base, on_cgroup_kill_timer, cgroup);
    return cgroup->kill_timer && event_add(cgroup->kill_timer, &pause) == 0 &&
           watch_cgroup(cgroup) == 0;
}

void cgroup_terminate(struct cgroup *cgroup, int next_signal)
{
    if (!cgroup || remove_if_empty(cgroup))
        return;
    cgroup->next_signal = next_signal;
    if (!schedule_kill(cgroup)) {
        cgroup_signal(cgroup, SIGKILL, 0); /* the next process of the service removes it */
        cgroup_free(cgroup);
    } else if (!is_populated(cgroup->path)) {
        on_cgroup_emptied(tree.inotify, 0, NULL); /* it became empty before it was watched */
    }
}

/* ---- signals ---- */

struct signal_request {
    int number;
    pid_t except;
};

static bool send_signal(pid_t pid, void *arg)
{
    const struct signal_request *request = arg;

    if (!request->except || getpgid(pid) != request->except)
        kill(pid, request->number);
    return false;
}

void cgroup_signal(const struct cgroup *cgroup, int number, pid_t except)
{
    struct signal_request request = {.number = number, .except = except};

    if (cgroup && number == SIGKILL)
        write_to(cgroup->path, "cgroup.kill", "1");
    else if (cgroup)
        each_process(cgroup->path, send_signal, &request);
}

/* ---- creating ---- */

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

/* Enables the controllers, so that the cgroups in dir can have limits. */
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

/* ---- cgroups of an earlier process of the service ---- */

typedef struct cgroup *directory_visit(const char *path, const char *name, const void *arg);

/* Calls visit() for each directory in dir, until one returns other than NULL. Returns that. */
static struct cgroup *each_directory(const char *dir, directory_visit *visit, const void *arg)
{
    struct cgroup *found = NULL;
    DIR *entries = opendir(dir);
    struct dirent *entry;
    char path[PATH_MAX];

    while (entries && !found && (entry = readdir(entries)))
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 && path_in(path, dir, entry->d_name))
            found = visit(path, entry->d_name, arg);
    if (entries)
        closedir(entries);
    return found;
}

struct wanted {
    const char *name;
    pid_t pid;
};

static bool is_wanted_process(pid_t pid, void *arg)
{
    const struct wanted *wanted = arg;

    return pid == wanted->pid;
}

/* Whether text is NAME-N. */
static bool is_numbered(const char *text, const char *name)
{
    size_t length = strlen(name);

    return strncmp(text, name, length) == 0 && text[length] == '-' && text[length + 1] &&
           text[length + 1 + strspn(text + length + 1, "0123456789")] == '\0';
}

static struct cgroup *find_with_process(const char *path, const char *name, const void *arg)
{
    struct wanted wanted = *(const struct wanted *)arg;

    if (!is_numbered(name, wanted.name) || is_listed(path) ||
        !each_process(path, is_wanted_process, &wanted))
        return NULL;
    return cgroup_add(path);
}

struct cgroup *cgroup_find(const char *group, const char *name, pid_t pid)
{
    const struct wanted wanted = {.name = name, .pid = pid};
    char dir[PATH_MAX];

    if (!tree.dir || pid <= 0 || !path_in(dir, tree.dir, group))
        return NULL;
    return each_directory(dir, find_with_process, &wanted);
}

static struct cgroup *terminate_unlisted(const char *path, const char *name, const void *arg)
{
    (void)name, (void)arg;
    if (!is_listed(path))
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
        each_directory(path, terminate_unlisted, arg);
        rmdir(path); /* fails if it is not empty */
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

/* Returns where cgroups v2 are mounted: alone, or beside v1. */
static const char *find_mount(void)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    struct statfs fs;

    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
        if (statfs(mounts[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
            return mounts[i];
    return NULL;
}

/* Finds this process's cgroup in a line "0::/system.slice/vchan-backend.service". */
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

/* systemd marks the cgroups that it has delegated. */
static bool is_delegated(const char *dir)
{
    char value[2];

    return getxattr(dir, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1';
}

/*
 * Finds the delegated cgroup: this process's own, or with DelegateSubgroup= its parent. A name with
 * a dot is a unit's own, whose parent is not ours. Returns NULL, or why there is none.
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
