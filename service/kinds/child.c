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

#define PATIENCE_SECONDS 5

#define SHELL "/bin/sh"

/* More than this without a newline is logged as a line of its own. */
#define LINE_MAX_BYTES 800

/* What a program can have left in a pipe when it ended, in reads. */
#define READ_BYTES 4096
#define LAST_READS 16

/* So many packets are in the largest pipe that a user may have. */
#define PACKETS_MAX 256

/* Reads, of up to 4 KiB, from a command's standard error: 256 a second, and as many at once. */
#define READS_PER_MINUTE (60 * 256)
#define READS_AT_ONCE    256

/* Lines of a command whose channel has gone: the guest's own are not for it. */
#define LEFT_LINES_PER_MINUTE 60
#define LEFT_LINES_AT_ONCE    8

/* Commands of one guest that end slowly: so many more than it has channels. */
#define SLOW_COMMANDS 8

struct child {
    LIST_ENTRY(child) next; /* of all that there are */
    pid_t pid;              /* 0: not known */
    int pidfd;
    int stderr_fd;
    bool silent; /* nothing more comes from there */
    bool ended;
    bool left;
    int next_signal;
    struct event *exited;
    struct event *said;
    struct event *rested; /* pending: it said too much, and is not listened to until then */
    struct rate reads;
    struct event *patience;
    void (*told)(void *arg, int status);
    void *told_arg;
    char label[128];
    struct quota *quota; /* the guest's; once the child is left, a copy */
    struct quota own_quota;
    struct cgroup *cgroup; /* NULL: it has none of its own */
    struct fdstore *fdstore;
    char owner[40]; /* keeps it; "": nobody yet */
    char guest[16]; /* "5" of "5/0"; "": not known */
};

static LIST_HEAD(, child) children = LIST_HEAD_INITIALIZER(children);

/* ---- the log ---- */

/* A pipe for the process: what lies in a command's is looked at in a copy. */
static int copies[2] = {-1, -1};

static int copies_open(void)
{
    return copies[0] >= 0 || pipe2(copies, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno;
}

/*
 * Reads so many bytes that are there. More than one read() may be needed: a command can make its
 * end of a pipe one of packets (O_DIRECT), and a copy has the same packets, also some of no bytes
 * (before Linux 6.15 a write() that fails leaves one).
 */
static size_t read_whole(int fd, char *text, size_t size)
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

/* Reads what is left there, before the next look. Our own end stays open, so 0 is not an end. */
static void copies_empty(void)
{
    char rest[READ_BYTES];

    while (read(copies[0], rest, sizeof(rest)) >= 0)
        ;
}

/*
 * As read(), but the bytes stay where they are. 0: none is left, and none will come. The copies are
 * empty again: what would stay in them would be taken for another command's.
 */
static ssize_t look_into(int fd, char *text, size_t size)
{
    ssize_t bytes = tee(fd, copies[1], size, SPLICE_F_NONBLOCK);

    if (bytes > 0)
        bytes = (ssize_t)read_whole(copies[0], text, (size_t)bytes);
    copies_empty();
    return bytes;
}

static bool is_end_of_line(char c)
{
    return c == '\n' || c == '\r';
}

/* Nobody will write the rest of a line any more. */
static bool is_hung_up(int fd)
{
    struct pollfd pollfd = {.fd = fd};

    return poll(&pollfd, 1, 0) > 0 && pollfd.revents & POLLHUP;
}

static void log_child_line(struct child *child, const char *text, size_t length)
{
    log_guest(child->label, child->quota, LOG_CHANGES, "command: %.*s", (int)length, text);
}

/* Logs the lines that are whole, and what is too long for one. Returns how many bytes those are. */
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

/* After a while, in which it may write more. */
static void listen_later(struct child *child, int64_t wait)
{
    const struct timeval time = {.tv_sec = wait / 1000000, .tv_usec = wait % 1000000};

    event_del(child->said);
    event_add(child->rested, &time);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;

    (void)fd, (void)what;
    event_add(child->said, NULL);
}

/*
 * Half a line stays in the pipe: if this process is killed, the next one has it. (A whole one may
 * be logged twice then.)
 */
static void on_said(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;
    char text[READ_BYTES];
    bool closed = is_hung_up(fd); /* before the look, so that nothing comes after it */
    ssize_t bytes = look_into(fd, text, sizeof(text));
    size_t used;

    (void)what;
    if (bytes < 0)
        return;
    used = log_lines(child, text, (size_t)bytes);
    if (used > 0 && read_whole(fd, text, used) > 0) {
        listen_later(child, rate_take(&child->reads)); /* nothing tells again of what is left */
    } else if (!closed) {
        int64_t wait = rate_try(&child->reads); /* none is taken for half a line that stays */

        if (wait > 0)
            listen_later(child, wait);
    } else {
        if (bytes > 0)
            log_child_line(child, text, (size_t)bytes);
        event_del(child->said);
        child->silent = true;
    }
}

static void log_end(struct child *child, int status)
{
    if (!child->label[0])
        return; /* it is a stranger */
    if (status == CHILD_STATUS_UNKNOWN)
        log_guest(child->label, child->quota, LOG_DETAILS, "command ended");
    else if (WIFSIGNALED(status))
        log_guest(child->label, child->quota, child->left ? LOG_DETAILS : LOG_CHANGES,
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

static void unkeep(struct child *child)
{
    if (!child->owner[0])
        return;
    fdstore_drop(child->fdstore, child->owner, CHILD_KEPT); /* first: without it the rest is nothing */
    fdstore_drop(child->fdstore, child->owner, CHILD_STDERR_KEPT);
    child->owner[0] = '\0';
}

static void child_free(struct child *child)
{
    unkeep(child);
    cgroup_leave(child->cgroup, child->next_signal);
    LIST_REMOVE(child, next);
    free_event(child->exited);
    free_event(child->said);
    free_event(child->rested);
    free_event(child->patience);
    if (child->pidfd >= 0)
        close(child->pidfd);
    if (child->stderr_fd >= 0)
        close(child->stderr_fd);
    free(child);
}

/* Reaps it, if it is ours to be reaped. */
static int take_status(const struct child *child)
{
    siginfo_t info = {0};

    if (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) < 0)
        return CHILD_STATUS_UNKNOWN;
    return info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status;
}

/*
 * While there is a process, or a zombie, it has the group's id. (After the end of one that was not
 * ours that may be another's.)
 */
static bool group_is_its_own(const struct child *child)
{
    return child->pid > 0 && syscall(SYS_pidfd_send_signal, child->pidfd, 0, NULL, 0) == 0;
}

/* It may not have made its group yet, in which it is alone then. */
static void kill_group(const struct child *child, int number)
{
    if (kill(-child->pid, number) < 0)
        kill(child->pid, number);
}

static void on_exit_seen(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;
    int status;

    if (child->next_signal == SIGKILL && group_is_its_own(child))
        kill_group(child, SIGKILL); /* what the shell left behind */
    status = take_status(child);
    child->ended = true;
    event_del(child->patience);
    for (int i = 0; i < LAST_READS && child->said && !child->silent; i++)
        on_said(child->stderr_fd, what, child);
    (void)fd;
    if (child->left || status == 0 || !child->told)
        log_end(child, status);
    if (child->left)
        child_free(child);
    else if (child->told)
        child->told(child->told_arg, status); /* it may leave the child: the last thing here */
}

/*
 * The group, not the process alone: the shell's own children belong to the command. Some may be in
 * the cgroup only, or (by su, whose session has another) in the group only.
 */
static void signal_group(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct child *child = arg;

    (void)fd, (void)what;
    if (group_is_its_own(child))
        kill_group(child, child->next_signal);
    cgroup_signal(child->cgroup, child->next_signal, child->pid);
    child->next_signal = SIGKILL;
    event_add(child->patience, &patience);
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
    child->told = ended;
    child->told_arg = arg;
}

/* From now on it belongs to no connection, and to no guest. */
static void set_free(struct child *child)
{
    child->left = true;
    if (child->quota) {
        child->own_quota = *child->quota;
        rate_init(&child->own_quota.lines, LEFT_LINES_PER_MINUTE, LEFT_LINES_AT_ONCE);
        child->quota = &child->own_quota;
    }
    unkeep(child);
    if (child->ended)
        return;
    snprintf(child->owner, sizeof(child->owner), "left-%d", child->pid);
    fdstore_add(child->fdstore, child->owner, CHILD_KEPT, child->pidfd, fdstore_has_room(child->fdstore, 1));
}

void child_leave(struct child *child, bool about_to_end)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

    set_free(child);
    if (child->ended)
        child_free(child);
    else if (about_to_end)
        event_add(child->patience, &patience);
    else
        signal_group(-1, 0, child);
}

/* ---- its beginning ---- */

/* The parent's and the child's ends of the three pipes. */
struct pipes {
    int ours[3];
    int theirs[3];
};

static void close_all(const int fds[3])
{
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int pipes_open(struct pipes *pipes)
{
    for (int i = 0; i < 3; i++)
        pipes->ours[i] = pipes->theirs[i] = -1;
    for (int i = 0; i < 3; i++) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
            return -errno;
        pipes->ours[i] = ends[i == STDIN_FILENO];
        pipes->theirs[i] = ends[i != STDIN_FILENO];
        if (fcntl(pipes->ours[i], F_SETFL, O_NONBLOCK) < 0)
            return -errno;
    }
    return 0;
}

/* In the new process: what it cannot be is said on its standard error, which is in the log. */
static void become(const struct user *user)
{
    int rc = user_become(user);

    if (rc == 0)
        return;
    dprintf(STDERR_FILENO, "cannot become user %s: %s\n", user->name, strerror(-rc));
    _exit(126);
}

/*
 * What a command has of this process's environment. The rest is not meant for it: what the service
 * manager says, for one, it could take as said to itself.
 */
static const char *const inherited[] = {"PATH", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"};

#define INHERITED_COUNT (sizeof(inherited) / sizeof(inherited[0]))

static void set_environment(const struct user *user, const struct environment *environment)
{
    const char *values[INHERITED_COUNT];

    for (size_t i = 0; i < INHERITED_COUNT; i++)
        values[i] = getenv(inherited[i]);
    clearenv(); /* the texts stay where they are */
    for (size_t i = 0; i < INHERITED_COUNT; i++)
        if (values[i])
            setenv(inherited[i], values[i], 1);
    setenv("SHELL", SHELL, 1);
    setenv("USER", user->name, 1);
    setenv("LOGNAME", user->name, 1);
    setenv("HOME", user->home, 1);
    environment_set(environment);
}

/* As that user: one that may not be entered, or is not there, is none. */
static void enter_home(const struct user *user)
{
    if (user->home[0] != '/' || chdir(user->home) < 0)
        (void)!chdir("/");
}

/* Also the two that the C library keeps for itself: signal() refuses them, but they may be ignored. */
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
 * As after a login: what the service needs of them is not for its commands. The hard ones stay the
 * service's, up to which a command may raise its own.
 */
static void reset_limits(void)
{
    static const struct {
        __rlimit_resource_t resource;
        rlim_t soft;
    } usual[] = {
        {RLIMIT_NOFILE, 1024},       {RLIMIT_CORE, 0},
        {RLIMIT_STACK, 8u << 20},    {RLIMIT_CPU, RLIM_INFINITY},
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
 * A command that opens /dev/stderr and the like needs the right to open its pipes: they become its
 * user's. If that fails, it still has its descriptors.
 */
static void give_pipes(const int fds[3], const struct user *user)
{
    for (int i = 0; i < 3; i++)
        (void)!fchown(fds[i], user->uid, user->groups[0]);
}

/* Outside of its cgroup it would have no limits, and could outlive its channel. */
static void join_cgroup(const struct cgroup *cgroup)
{
    int rc = cgroup_join(cgroup);

    if (rc == 0)
        return;
    dprintf(STDERR_FILENO, "cannot join its cgroup: %s\n", strerror(-rc));
    _exit(126);
}

/* What is to be run, and how. */
struct start {
    const char *command;
    const struct user *user;
    const struct cgroup *cgroup;
    struct environment environment;
};

/*
 * In the new process, where all signals are blocked, until none of them is ours any more. In a
 * session of its own no terminal of ours takes what the command types into it (TIOCSTI).
 */
static void run_shell(const struct start *start, const int fds[3])
{
    setsid();
    give_pipes(fds, start->user);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    join_cgroup(start->cgroup);
    close_range(STDERR_FILENO + 1, ~0u, 0);
    reset_signals();
    umask(022);
    reset_limits();
    set_environment(start->user, &start->environment);
    become(start->user);
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

static struct child *child_make(struct event_base *base, struct fdstore *fdstore, const char *label)
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
    child->rested = evtimer_new(base, on_rested, child);
    child->patience = evtimer_new(base, signal_group, child);
    if (child->rested && child->patience)
        return child;
    child_free(child);
    return NULL;
}

static void set_guest(char guest[16], const struct connection *connection)
{
    snprintf(guest, 16, "%.*s", (int)strcspn(connection->id, "/"), connection->id);
}

/* Whether the guest may have one more: those whose channel has gone count until they have ended. */
static bool has_place(const struct connection *connection)
{
    const struct quota *quota = connection->quota;
    const struct child *child;
    unsigned int left = 0;
    char guest[16];

    set_guest(guest, connection);
    LIST_FOREACH(child, &children, next)
        left += child->left && strcmp(child->guest, guest) == 0;
    return !quota || left < quota->channels + SLOW_COMMANDS;
}

/* Of a connection, whose it is until it is left. */
static struct child *child_make_for(const struct connection *connection)
{
    struct child *child = child_make(connection->base, connection->fdstore, connection->label);

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

    child->exited = event_new(base, child->pidfd, EV_READ, on_exit_seen, child);
    if (!child->exited || event_add(child->exited, NULL) < 0)
        return -ENOMEM;
    if (child->stderr_fd < 0)
        return 0;
    rc = copies_open();
    if (rc < 0)
        return rc;
    child->said =
        event_new(base, child->stderr_fd, EV_READ | EV_PERSIST | EV_ET, on_said, child);
    return child->said && event_add(child->said, NULL) == 0 ? 0 : -ENOMEM;
}

/* It may not have joined its cgroup yet, or left its process group. */
static void signal_unfollowed(const struct child *child)
{
    cgroup_signal(child->cgroup, SIGKILL, 0);
    kill_group(child, SIGKILL);
}

/* The program runs already: if it cannot be followed it must not go on. */
static int child_follow(struct event_base *base, struct child *child)
{
    int rc;

    child->pidfd = pidfd_open(child->pid, 0);
    rc = child->pidfd < 0 ? -errno : child_watch(base, child);
    if (rc == 0)
        return 0;
    signal_unfollowed(child);
    waitpid(child->pid, NULL, 0);
    return rc;
}

/* A backend's device is "DOMID/DEVID", a frontend's only "DEVID". */
static void name_cgroup(const struct connection *connection, char group[24])
{
    snprintf(group, 24, "%s-%u", strchr(connection->id, '/') ? "guest" : "backend",
             connection->peer);
}

int child_start(const struct connection *connection, const struct user *user, int *input,
                int *output, struct child **out)
{
    struct start start = {.command = connection->spec.command, .user = user};
    struct child *child;
    struct pipes pipes;
    char group[24];
    int rc;

    if (!has_place(connection))
        return -EDQUOT;
    child = child_make_for(connection);
    if (!child)
        return -ENOMEM;
    environment_read(connection, &start.environment);
    name_cgroup(connection, group);
    rc = pipes_open(&pipes);
    if (rc == 0)
        rc = cgroup_make(group, connection_name(connection), &child->cgroup);
    start.cgroup = child->cgroup;
    if (rc == 0)
        rc = spawn_shell(&start, pipes.theirs, &child->pid);
    close_all(pipes.theirs);
    if (rc == 0) {
        child->stderr_fd = pipes.ours[STDERR_FILENO];
        pipes.ours[STDERR_FILENO] = -1;
        rc = child_follow(connection->base, child);
    }
    if (rc < 0) {
        close_all(pipes.ours);
        child_free(child);
        return rc;
    }
    *input = pipes.ours[STDIN_FILENO];
    *output = pipes.ours[STDOUT_FILENO];
    *out = child;
    return 0;
}

/* ---- one of an earlier process ---- */

/* It cannot be followed, so it must not go on. */
static void stop_unfollowed(struct child *child)
{
    if (group_is_its_own(child))
        signal_unfollowed(child);
    child_free(child);
}

static void stop_unknown(int pidfd)
{
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

/* Linux says it in a line "Pid:\t812"; -1: it has been reaped. */
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

static int child_take(const struct connection *connection, struct child *child, int pidfd)
{
    char group[24];

    child->pidfd = pidfd;
    child->pid = pid_of(pidfd);
    name_cgroup(connection, group);
    child->cgroup = cgroup_find(group, connection_name(connection), child->pid);
    child->stderr_fd = fdstore_take(child->fdstore, child->owner, CHILD_STDERR_KEPT);
    return child_watch(connection->base, child);
}

int child_resume(struct connection *connection, int *input, int *output, struct child **out)
{
    int pidfd = connection_take(connection, CHILD_KEPT), rc;
    struct child *child;

    if (pidfd < 0)
        return -ENOENT;
    child = child_make_for(connection);
    if (!child) {
        stop_unknown(pidfd);
        connection_let_go(connection, CHILD_KEPT, &pidfd);
        return -ENOMEM;
    }
    rc = child_take(connection, child, pidfd);
    if (rc < 0) {
        stop_unfollowed(child);
        return rc;
    }
    *input = fdstore_take(connection->fdstore, connection->id, CHILD_INPUT_KEPT);
    *output = fdstore_take(connection->fdstore, connection->id, CHILD_OUTPUT_KEPT);
    *out = child;
    return 0;
}

void child_dismiss(struct event_base *base, struct fdstore *fdstore, int pidfd)
{
    struct child *child = child_make(base, fdstore, "");

    if (!child) {
        stop_unknown(pidfd);
        close(pidfd);
        return;
    }
    child->pidfd = pidfd;
    child->pid = pid_of(pidfd);
    if (child_watch(base, child) < 0)
        stop_unfollowed(child);
    else
        child_leave(child, true);
}
