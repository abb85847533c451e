/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "service/kinds/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/cgroup.h"
#include "service/connection.h"
#include "service/kinds/environment.h"
#include "service/kinds/rights.h"
#include "service/timer.h"

#define KILL_SECONDS 5

#define SHELL "/bin/sh"

/* More than this without a newline is logged as a line of its own. */
#define LINE_MAX_BYTES 800

/* LAST_READS reads empty a pipe of the usual size after the command has ended. */
#define READ_BYTES 4096
#define LAST_READS 16

/* The most packets in the largest pipe that a user may have. */
#define PACKETS_MAX 256

/* How often a command's standard error is read: 256 times a second, and as often at once. */
#define READS_PER_MINUTE (60 * 256)
#define READS_AT_ONCE    256

/* Log lines of a command whose channel is gone: they do not count as the guest's. */
#define ENDING_LINES_PER_MINUTE 60
#define ENDING_LINES_AT_ONCE    8

/* How many more commands than channels a guest may have, while commands end slowly. */
#define SLOW_COMMANDS 8

struct child {
    LIST_ENTRY(child) next;
    pid_t pid; /* 0: not known */
    int pidfd;
    int stderr_fd;
    bool stderr_done; /* the end of standard error was read */
    bool ended;
    bool terminating; /* child_terminate() was called */
    int next_signal;
    struct event *exited;
    struct event *stderr_event;
    struct event *read_timer; /* pending: it wrote too much, so nothing is read until then */
    struct rate reads;
    struct event *kill_timer; /* pending: gets next_signal then */
    void (*on_end)(void *arg, int status);
    void *on_end_arg;
    char label[128];
    struct quota *quota; /* the guest's; &own_quota once it is terminating */
    struct quota own_quota;
    struct cgroup *cgroup; /* NULL: it has none of its own */
    struct fdstore *fdstore;
    char owner[40]; /* its owner in the fdstore; "": it is not kept */
    char guest[16]; /* "5" of "5/0"; "": not known */
};

static LIST_HEAD(, child) children = LIST_HEAD_INITIALIZER(children);

/* ---- the log ---- */

/* A pipe shared by all commands: their standard error is copied there, and parsed in the copy. */
static int copies[2] = {-1, -1};

static int copies_open(void)
{
    return copies[0] >= 0 || pipe2(copies, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno;
}

/*
 * Reads size bytes that are in the pipe. That may need several reads: if the command sets O_DIRECT,
 * each read returns one packet, also in a copy. Some packets are empty: before Linux 6.15 a write()
 * that fails leaves one.
 */
static size_t read_exactly(int fd, char *text, size_t size)
{
    size_t done = 0;
    ssize_t got;

    for (int i = 0; i < PACKETS_MAX && done < size; i++) {
        got = read(fd, text + done, size - done);
        if (got < 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* Discards what is left in the copy. Our own end stays open, so 0 is an empty packet, not the end.
 */
static void copies_empty(void)
{
    char rest[READ_BYTES];

    while (read(copies[0], rest, sizeof(rest)) >= 0)
        ;
}

/*
 * As read(), but the bytes stay in the pipe. Returns 0 at the end of file. Leaves the copy empty:
 * bytes that stayed there would be taken for another command's.
 */
static ssize_t peek_pipe(int fd, char *text, size_t size)
{
    ssize_t bytes = tee(fd, copies[1], size, SPLICE_F_NONBLOCK);

    if (bytes > 0)
        bytes = (ssize_t)read_exactly(copies[0], text, (size_t)bytes);
    copies_empty();
    return bytes;
}

static bool is_end_of_line(char c)
{
    return c == '\n' || c == '\r';
}

/* Whether all writers have closed the pipe, so that an incomplete line stays incomplete. */
static bool is_writer_gone(int fd)
{
    struct pollfd pollfd = {.fd = fd};

    return poll(&pollfd, 1, 0) > 0 && pollfd.revents & POLLHUP;
}

static void log_child_line(struct child *child, const char *text, size_t length)
{
    log_guest(child->label, child->quota, LOG_CHANGES, "command: %.*s", (int)length, text);
}

/* Logs complete lines, and cuts lines that are too long. Returns how many bytes it has logged. */
static size_t log_lines(struct child *child, const char *text, size_t length)
{
    size_t begin = 0;

    for (size_t i = 0; i < length; i++) {
        bool ends = is_end_of_line(text[i]);

        if (!ends && i - begin < LINE_MAX_BYTES)
            continue;
        log_child_line(child, text + begin, i - begin);
        while (ends && i + 1 < length && is_end_of_line(text[i + 1]))
            i++;
        begin = ends ? i + 1 : i;
    }
    return begin;
}

/* Reads no more for a while. */
static void pause_reading(struct child *child, int64_t wait)
{
    event_del(child->stderr_event);
    timer_start(child->read_timer, wait);
}

static void on_read_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;

    (void)fd, (void)what;
    event_add(child->stderr_event, NULL);
}

/*
 * An incomplete line stays in the pipe: if this process is killed, the next one finds it there. (A
 * complete one may be logged twice then.)
 */
static void on_child_stderr(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;
    char text[READ_BYTES];
    bool closed = is_writer_gone(fd); /* before the peek: then the peek sees the last bytes */
    ssize_t bytes = peek_pipe(fd, text, sizeof(text));
    size_t used;

    (void)what;
    if (bytes < 0)
        return;
    used = log_lines(child, text, (size_t)bytes);
    if (used > 0 && read_exactly(fd, text, used) > 0) {
        pause_reading(child, rate_take(&child->reads)); /* no edge reports what is left */
    } else if (!closed) {
        int64_t wait = rate_try(&child->reads); /* an incomplete line does not count */

        if (wait > 0)
            pause_reading(child, wait);
    } else {
        if (bytes > 0)
            log_child_line(child, text, (size_t)bytes);
        event_del(child->stderr_event);
        child->stderr_done = true;
    }
}

static void log_child_end(struct child *child, int status)
{
    if (!child->label[0])
        return; /* nothing is known of it: child_terminate_pidfd() */
    if (status == CHILD_STATUS_UNKNOWN)
        log_guest(child->label, child->quota, LOG_DETAILS, "command ended");
    else if (WIFSIGNALED(status))
        log_guest(child->label, child->quota, child->terminating ? LOG_DETAILS : LOG_CHANGES,
                  "command was killed by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else
        log_guest(child->label, child->quota, status ? LOG_CHANGES : LOG_DETAILS,
                  "command exited with status %d", WEXITSTATUS(status));
}

/* ---- its end ---- */

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

static void child_untrack(struct child *child)
{
    if (!child->owner[0])
        return;
    /* First the command: the rest is useless without it. */
    fdstore_drop(child->fdstore, child->owner, FDSTORE_COMMAND);
    fdstore_drop(child->fdstore, child->owner, FDSTORE_STDERR);
    child->owner[0] = '\0';
}

static void child_free(struct child *child)
{
    child_untrack(child);
    cgroup_terminate(child->cgroup, child->next_signal);
    LIST_REMOVE(child, next);
    free_event(child->exited);
    free_event(child->stderr_event);
    free_event(child->read_timer);
    free_event(child->kill_timer);
    if (child->pidfd >= 0)
        close(child->pidfd);
    if (child->stderr_fd >= 0)
        close(child->stderr_fd);
    free(child);
}

/* Returns the status, and reaps the process if it is a child of this one. */
static int reap_child(const struct child *child)
{
    siginfo_t info = {0};

    if (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) < 0)
        return CHILD_STATUS_UNKNOWN;
    return info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status;
}

/*
 * Whether the pid still names this command's process group. A process or a zombie keeps it
 * reserved. A command that is not our child is reaped by init, and then its pid may be reused.
 */
static bool group_is_its_own(const struct child *child)
{
    return child->pid > 0 && syscall(SYS_pidfd_send_signal, child->pidfd, 0, NULL, 0) == 0;
}

/* A new process may not have created its group yet; then it is still alone. */
static void kill_group(const struct child *child, int number)
{
    if (kill(-child->pid, number) < 0)
        kill(child->pid, number);
}

static void on_child_exit(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;
    int status;

    if (child->next_signal == SIGKILL && group_is_its_own(child))
        kill_group(child, SIGKILL); /* processes that the shell left behind */
    status = reap_child(child);
    child->ended = true;
    event_del(child->kill_timer);
    for (int i = 0; i < LAST_READS && child->stderr_event && !child->stderr_done; i++)
        on_child_stderr(child->stderr_fd, what, child);
    (void)fd;
    if (child->terminating || status == 0 || !child->on_end)
        log_child_end(child, status);
    if (child->terminating)
        child_free(child);
    else if (child->on_end)
        child->on_end(child->on_end_arg, status); /* last, since it may terminate the child */
}

/*
 * Signals the whole group, since the shell's children belong to the command. Some may be only in
 * the cgroup, or only in the group (under su, whose session has a cgroup of its own).
 */
static void on_kill_timer(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval pause = {.tv_sec = KILL_SECONDS};
    struct child *child = arg;

    (void)fd, (void)what;
    if (group_is_its_own(child))
        kill_group(child, child->next_signal);
    cgroup_signal(child->cgroup, child->next_signal, child->pid);
    child->next_signal = SIGKILL;
    event_add(child->kill_timer, &pause);
}

pid_t child_pid(const struct child *child)
{
    return child->pid;
}

int child_pidfd(const struct child *child)
{
    return child->pidfd;
}

int child_stderr(const struct child *child)
{
    return child->stderr_fd;
}

void child_on_end(struct child *child, void (*ended)(void *arg, int status), void *arg)
{
    child->on_end = ended;
    child->on_end_arg = arg;
}

/* Detaches the child from its connection and its guest's quota, which it may outlive. */
static void detach_child(struct child *child)
{
    child->terminating = true;
    if (child->quota) {
        child->own_quota = *child->quota;
        rate_init(&child->own_quota.lines, ENDING_LINES_PER_MINUTE, ENDING_LINES_AT_ONCE);
        child->quota = &child->own_quota;
    }
    child_untrack(child);
    if (child->ended)
        return;
    snprintf(child->owner, sizeof(child->owner), "left-%d", child->pid);
    fdstore_add(child->fdstore, child->owner, FDSTORE_COMMAND, child->pidfd,
                fdstore_has_room(child->fdstore, 1));
}

void child_terminate(struct child *child, bool about_to_end)
{
    static const struct timeval pause = {.tv_sec = KILL_SECONDS};

    detach_child(child);
    if (child->ended)
        child_free(child);
    else if (about_to_end)
        event_add(child->kill_timer, &pause);
    else
        on_kill_timer(-1, 0, child);
}

/* ---- starting a command ---- */

/* The parent's and the child's ends of the three pipes. */
struct pipes {
    int ours[3];
    int theirs[3];
};

static void close_all_three(const int fds[3])
{
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

#define PIPES_NONE ((struct pipes){{-1, -1, -1}, {-1, -1, -1}})

static int open_pipe(struct pipes *pipes, int i)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pipes->ours[i] = ends[i == STDIN_FILENO];
    pipes->theirs[i] = ends[i != STDIN_FILENO];
    return fcntl(pipes->ours[i], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int pipes_open(struct pipes *pipes)
{
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++)
        rc = open_pipe(pipes, i);
    return rc;
}

/* One socket in place of the first two pipes. */
static int socket_and_pipe_open(struct pipes *pipes)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pipes->ours[STDIN_FILENO] = ends[0];
    pipes->theirs[STDIN_FILENO] = ends[1];
    pipes->theirs[STDOUT_FILENO] = fcntl(ends[1], F_DUPFD_CLOEXEC, 0);
    if (pipes->theirs[STDOUT_FILENO] < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return open_pipe(pipes, STDERR_FILENO);
}

/* In the new process. Reports errors on its standard error, which goes to the log. */
static void become_command_user(const struct user *user)
{
    int rc = user_become(user);

    if (rc == 0)
        return;
    dprintf(STDERR_FILENO, "cannot become user %s: %s\n", user->name, strerror(-rc));
    _exit(126);
}

/*
 * The variables that a command inherits. Others are not meant for it: it could take those of the
 * service manager for its own.
 */
static const char *const inherited[] = {"PATH", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"};

#define INHERITED_COUNT (sizeof(inherited) / sizeof(inherited[0]))

static void set_environment(const struct user *user, const struct environment *environment)
{
    const char *values[INHERITED_COUNT];

    for (size_t i = 0; i < INHERITED_COUNT; i++)
        values[i] = getenv(inherited[i]);
    clearenv(); /* the strings stay valid */
    for (size_t i = 0; i < INHERITED_COUNT; i++)
        if (values[i])
            setenv(inherited[i], values[i], 1);
    setenv("SHELL", SHELL, 1);
    setenv("USER", user->name, 1);
    setenv("LOGNAME", user->name, 1);
    setenv("HOME", user->home, 1);
    environment_set(environment);
}

/* Runs as the user, so that a home that the user may not enter counts as missing. */
static void enter_home(const struct user *user)
{
    if (user->home[0] != '/' || chdir(user->home) < 0)
        (void)!chdir("/");
}

/* By system call, for the C library's two own signals too: signal() refuses them. */
static void reset_signals(void)
{
    static const char action[64]; /* the kernel's structure: SIG_DFL, no flags, no mask */
    sigset_t none;

    for (int number = 1; number < _NSIG; number++)
        syscall(SYS_rt_sigaction, number, action, NULL, _NSIG / 8);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Sets soft limits as a login does: the service's own limits are not meant for commands. A command
 * may raise them up to the service's hard limits.
 */
static void reset_limits(void)
{
    static const struct {
        __rlimit_resource_t resource;
        rlim_t soft;
    } usual[] = {
        {RLIMIT_NOFILE, 1024},         {RLIMIT_CORE, 0},
        {RLIMIT_STACK, 8u << 20},      {RLIMIT_CPU, RLIM_INFINITY},
        {RLIMIT_FSIZE, RLIM_INFINITY}, {RLIMIT_DATA, RLIM_INFINITY},
        {RLIMIT_AS, RLIM_INFINITY},
    };
    struct rlimit limit;

    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (getrlimit(usual[i].resource, &limit) < 0)
            continue;
        limit.rlim_cur = usual[i].soft < limit.rlim_max ? usual[i].soft : limit.rlim_max;
        setrlimit(usual[i].resource, &limit);
    }
}

/*
 * Makes the pipes the user's, since a command that opens /dev/stderr needs the permission. If that
 * fails, it still has its descriptors.
 */
static void chown_pipes(const int fds[3], const struct user *user)
{
    for (int i = 0; i < 3; i++)
        (void)!fchown(fds[i], user->uid, user->groups[0]);
}

/* Without its cgroup the command would have no limits, and could outlive its channel: exits. */
static void join_cgroup(const struct cgroup *cgroup)
{
    int rc = cgroup_join(cgroup);

    if (rc == 0)
        return;
    dprintf(STDERR_FILENO, "cannot join its cgroup: %s\n", strerror(-rc));
    _exit(126);
}

/* How to start a command. */
struct start {
    const char *command;
    const struct user *user;
    const struct cgroup *cgroup;
    struct environment environment;
};

/*
 * In the new process, where all signals are blocked until reset_signals(). The new session keeps
 * the command from typing into a terminal of the service's (TIOCSTI).
 */
static void run_shell(const struct start *start, const int fds[3])
{
    setsid();
    chown_pipes(fds, start->user);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    join_cgroup(start->cgroup);
    close_range(STDERR_FILENO + 1, ~0u, 0);
    reset_signals();
    umask(022);
    reset_limits();
    set_environment(start->user, &start->environment);
    become_command_user(start->user);
    enter_home(start->user);
    execl(SHELL, "sh", "-c", start->command, NULL);
    dprintf(STDERR_FILENO, "cannot run " SHELL ": %s\n", strerror(errno));
    _exit(127);
}

static int spawn_shell(const struct start *start, const int fds[3], pid_t *pid)
{
    sigset_t all, before;
    int rc = 0;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid == 0)
        run_shell(start, fds);
    if (*pid < 0)
        rc = -errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static struct child *child_new(struct event_base *base, struct fdstore *fdstore, const char *label)
{
    struct child *child = calloc(1, sizeof(*child));

    if (!child)
        return NULL;
    child->pidfd = child->stderr_fd = -1;
    child->next_signal = SIGTERM;
    child->fdstore = fdstore;
    snprintf(child->label, sizeof(child->label), "%s", label);
    LIST_INSERT_HEAD(&children, child, next);
    rate_init(&child->reads, READS_PER_MINUTE, READS_AT_ONCE);
    child->read_timer = evtimer_new(base, on_read_pause_over, child);
    child->kill_timer = evtimer_new(base, on_kill_timer, child);
    if (child->read_timer && child->kill_timer)
        return child;
    child_free(child);
    return NULL;
}

static void set_guest(char guest[16], const struct connection *connection)
{
    snprintf(guest, 16, "%.*s", (int)strcspn(connection->id, "/"), connection->id);
}

/* Whether the guest may have one more command. Those that are terminating count until they end. */
static bool has_command_quota(const struct connection *connection)
{
    const struct quota *quota = connection->quota;
    const struct child *child;
    unsigned int ending = 0;
    char guest[16];

    set_guest(guest, connection);
    LIST_FOREACH (child, &children, next)
        ending += child->terminating && strcmp(child->guest, guest) == 0;
    return !quota || ending < quota->channels + SLOW_COMMANDS;
}

/* Creates a child that belongs to a connection until it is terminated. */
static struct child *child_new_for(const struct connection *connection)
{
    struct child *child = child_new(connection->base, connection->fdstore, connection->label);

    if (!child)
        return NULL;
    child->quota = connection->quota;
    snprintf(child->owner, sizeof(child->owner), "%s", connection->id);
    set_guest(child->guest, connection);
    return child;
}

static int child_watch(struct event_base *base, struct child *child)
{
    int rc;

    child->exited = event_new(base, child->pidfd, EV_READ, on_child_exit, child);
    if (!child->exited || event_add(child->exited, NULL) < 0)
        return -ENOMEM;
    if (child->stderr_fd < 0)
        return 0;
    rc = copies_open();
    if (rc < 0)
        return rc;
    child->stderr_event =
        event_new(base, child->stderr_fd, EV_READ | EV_PERSIST | EV_ET, on_child_stderr, child);
    return child->stderr_event && event_add(child->stderr_event, NULL) == 0 ? 0 : -ENOMEM;
}

/* Signals both: the process may not have joined its cgroup yet, or may have left its group. */
static void kill_unwatched(const struct child *child)
{
    cgroup_signal(child->cgroup, SIGKILL, 0);
    kill_group(child, SIGKILL);
}

/* The command runs already. It is killed if it cannot be watched. */
static int watch_new_child(struct event_base *base, struct child *child)
{
    int rc;

    child->pidfd = pidfd_open(child->pid, 0);
    rc = child->pidfd < 0 ? -errno : child_watch(base, child);
    if (rc == 0)
        return 0;
    kill_unwatched(child);
    waitpid(child->pid, NULL, 0);
    return rc;
}

/* The id of a backend's device is "DOMID/DEVID", that of a frontend's only "DEVID". */
static void name_cgroup(const struct connection *connection, char group[24])
{
    snprintf(group, 24, "%s-%u", strchr(connection->id, '/') ? "guest" : "backend",
             connection->peer);
}

/* On failure the pipes are closed. */
static int start_child(const struct connection *connection, const struct user *user,
                       int (*open)(struct pipes *pipes), struct pipes *pipes, struct child **out)
{
    struct start start = {.command = connection->spec.command, .user = user};
    struct child *child;
    char group[24];
    int rc;

    *pipes = PIPES_NONE;
    if (!has_command_quota(connection))
        return -EDQUOT;
    child = child_new_for(connection);
    if (!child)
        return -ENOMEM;
    environment_read(connection, &start.environment);
    name_cgroup(connection, group);
    rc = open(pipes);
    if (rc == 0)
        rc = cgroup_make(group, connection_name(connection), &child->cgroup);
    start.cgroup = child->cgroup;
    if (rc == 0)
        rc = spawn_shell(&start, pipes->theirs, &child->pid);
    close_all_three(pipes->theirs);
    if (rc == 0) {
        child->stderr_fd = pipes->ours[STDERR_FILENO];
        pipes->ours[STDERR_FILENO] = -1;
        rc = watch_new_child(connection->base, child);
    }
    if (rc < 0) {
        close_all_three(pipes->ours);
        child_free(child);
        return rc;
    }
    *out = child;
    return 0;
}

int child_start(const struct connection *connection, const struct user *user, int *input,
                int *output, struct child **child)
{
    struct pipes pipes;
    int rc = start_child(connection, user, pipes_open, &pipes, child);

    if (rc < 0)
        return rc;
    *input = pipes.ours[STDIN_FILENO];
    *output = pipes.ours[STDOUT_FILENO];
    return 0;
}

int child_start_on_socket(const struct connection *connection, const struct user *user, int *fd,
                          struct child **out)
{
    struct pipes pipes;
    struct child *child;
    bool lasting;
    int rc = start_child(connection, user, socket_and_pipe_open, &pipes, &child);

    if (rc < 0)
        return rc;
    snprintf(child->owner, sizeof(child->owner), "%s-%d", connection->id, child->pid);
    lasting = fdstore_has_room(child->fdstore, 2);
    fdstore_add(child->fdstore, child->owner, FDSTORE_STDERR, child->stderr_fd, lasting);
    fdstore_add(child->fdstore, child->owner, FDSTORE_COMMAND, child->pidfd, lasting);
    *fd = pipes.ours[STDIN_FILENO];
    *out = child;
    return 0;
}

/* ---- commands of an earlier process of the service ---- */

/* A command that cannot be watched must not continue. */
static void stop_unwatched(struct child *child)
{
    if (group_is_its_own(child))
        kill_unwatched(child);
    child_free(child);
}

static void stop_unknown(int pidfd)
{
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* Linux reports a pidfd's process in a line "Pid:\t812", and -1 once it was reaped. */
static pid_t pid_of(int pidfd)
{
    static const char key[] = "Pid:\t";
    uint32_t pid = 0;
    char path[48], line[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    file = fopen(path, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, strlen(key)) == 0 &&
            parse_number(line + strlen(key), INT32_MAX, &pid) < 0)
            pid = 0;
    }
    fclose(file);
    return (pid_t)pid;
}

static int take_child(const struct connection *connection, struct child *child, int pidfd)
{
    char group[24];

    child->pidfd = pidfd;
    child->pid = pid_of(pidfd);
    name_cgroup(connection, group);
    child->cgroup = cgroup_find(group, connection_name(connection), child->pid);
    child->stderr_fd = fdstore_take(child->fdstore, child->owner, FDSTORE_STDERR);
    return child_watch(connection->base, child);
}

int child_resume(struct connection *connection, int *input, int *output, struct child **out)
{
    int pidfd = connection_take(connection, FDSTORE_COMMAND), rc;
    struct child *child;

    if (pidfd < 0)
        return -ENOENT;
    child = child_new_for(connection);
    if (!child) {
        stop_unknown(pidfd);
        connection_close_fd(connection, FDSTORE_COMMAND, &pidfd);
        return -ENOMEM;
    }
    rc = take_child(connection, child, pidfd);
    if (rc < 0) {
        stop_unwatched(child);
        return rc;
    }
    *input = fdstore_take(connection->fdstore, connection->id, FDSTORE_INPUT);
    *output = fdstore_take(connection->fdstore, connection->id, FDSTORE_OUTPUT);
    *out = child;
    return 0;
}

struct resumption {
    struct connection *connection;
    void (*found)(void *arg, struct child *child);
    void *arg;
};

static void resume_one(void *arg, const char *owner)
{
    const struct resumption *resumption = arg;
    struct connection *connection = resumption->connection;
    bool resumed = endpoint_resumed(connection->endpoint);
    struct child *child = resumed ? child_new_for(connection) : NULL;
    int pidfd;

    if (!child) {
        fdstore_drop_untaken(connection->fdstore, owner);
        return;
    }
    snprintf(child->owner, sizeof(child->owner), "%s", owner);
    pidfd = fdstore_take(connection->fdstore, owner, FDSTORE_COMMAND);
    if (take_child(connection, child, pidfd) == 0)
        resumption->found(resumption->arg, child);
    else
        stop_unwatched(child);
}

void child_resume_all(struct connection *connection, void (*found)(void *arg, struct child *child),
                      void *arg)
{
    struct resumption resumption = {.connection = connection, .found = found, .arg = arg};
    char prefix[sizeof(((struct child *)NULL)->owner)];

    snprintf(prefix, sizeof(prefix), "%s-", connection->id);
    fdstore_each_left(connection->fdstore, prefix, FDSTORE_COMMAND, resume_one, &resumption);
}

void child_terminate_pidfd(struct event_base *base, struct fdstore *fdstore, int pidfd)
{
    struct child *child = child_new(base, fdstore, "");

    if (!child) {
        stop_unknown(pidfd);
        close(pidfd);
        return;
    }
    child->pidfd = pidfd;
    child->pid = pid_of(pidfd);
    if (child_watch(base, child) < 0)
        stop_unwatched(child);
    else
        child_terminate(child, true);
}
