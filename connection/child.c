/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "connection/child.h"

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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connection/connection.h"
#include "connection/rights.h"

#define PATIENCE_SECONDS 5

/* More than this without a newline is logged as a line of its own. */
#define LINE_MAX_BYTES 800

/* What a program can have left in a pipe when it ended, in reads. */
#define READ_BYTES 4096
#define LAST_READS 16

struct child {
    pid_t pid; /* 0: not known */
    int pidfd;
    int stderr_fd;
    bool ended;
    bool left;
    int next_signal;
    struct event *exited;
    struct event *said;
    struct event *patience;
    void (*told)(void *arg, int status);
    void *told_arg;
    char label[128];
    struct quota *quota; /* the guest's; once the child is left, a copy */
    struct quota own_quota;
    struct keep *keep;
    char owner[40]; /* who keeps it; "": nobody yet */
};

/* ---- the log ---- */

/* A pipe for the process: what lies in a command's is looked at in a copy. */
static int copies[2] = {-1, -1};

static int copies_open(void)
{
    return copies[0] >= 0 || pipe2(copies, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno;
}

/* As read(), but the bytes stay where they are. 0: none is left, and none will come. */
static ssize_t look_into(int fd, char *text, size_t size)
{
    ssize_t bytes = tee(fd, copies[1], size, SPLICE_F_NONBLOCK);

    return bytes > 0 ? read(copies[0], text, (size_t)bytes) : bytes;
}

static bool is_end_of_line(char c)
{
    return c == '\n' || c == '\r';
}

/* Nobody will write the rest of a line any more. */
static bool is_closed(int fd)
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

/*
 * Half a line stays in the pipe: if this process is killed, the next one has it. (A whole one may
 * be logged twice then.)
 */
static void on_said(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;
    char text[READ_BYTES];
    bool closed = is_closed(fd); /* before the look, so that nothing comes after it */
    ssize_t bytes = look_into(fd, text, sizeof(text));
    size_t used;

    (void)what;
    if (bytes < 0)
        return;
    used = log_lines(child, text, (size_t)bytes);
    if (used > 0 && read(fd, text, used) > 0) {
        event_active(child->said, EV_READ, 0); /* it does not tell again of what is there */
    } else if (closed) {
        if (bytes > 0)
            log_child_line(child, text, (size_t)bytes);
        event_del(child->said);
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
                  "command exited with %d", WEXITSTATUS(status));
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
    keep_drop(child->keep, child->owner, CHILD_KEPT); /* first: without it the rest is nothing */
    keep_drop(child->keep, child->owner, CHILD_STDERR_KEPT);
    child->owner[0] = '\0';
}

static void child_free(struct child *child)
{
    unkeep(child);
    free_event(child->exited);
    free_event(child->said);
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

static void on_exit_seen(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;
    int status;

    if (child->next_signal == SIGKILL && group_is_its_own(child))
        kill(-child->pid, SIGKILL); /* what the shell left behind */
    status = take_status(child);
    child->ended = true;
    event_del(child->patience);
    for (int i = 0; i < LAST_READS && child->said && event_pending(child->said, EV_READ, NULL); i++)
        on_said(child->stderr_fd, what, child);
    (void)fd;
    if (child->left || status == 0 || !child->told)
        log_end(child, status);
    if (child->left)
        child_free(child);
    else if (child->told)
        child->told(child->told_arg, status); /* it may leave the child: the last thing here */
}

/* The group, not the process alone: the shell's own children belong to the command. */
static void signal_group(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct child *child = arg;

    (void)fd, (void)what;
    if (group_is_its_own(child))
        kill(-child->pid, child->next_signal);
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
        child->quota = &child->own_quota;
    }
    unkeep(child);
    if (child->ended)
        return;
    snprintf(child->owner, sizeof(child->owner), "left-%d", child->pid);
    keep_add(child->keep, child->owner, CHILD_KEPT, child->pidfd, keep_has_room(child->keep, 1));
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
    bool is_already = geteuid() != 0 && geteuid() == user->uid;

    if (is_already)
        return;
    if (setgroups((size_t)user->group_count, user->groups) < 0 || setgid(user->groups[0]) < 0 ||
        setuid(user->uid) < 0) {
        dprintf(STDERR_FILENO, "cannot become user %s: %s\n", user->name, strerror(errno));
        _exit(126);
    }
}

static void set_environment(const struct user *user)
{
    setenv("USER", user->name, 1);
    setenv("LOGNAME", user->name, 1);
    setenv("HOME", user->home, 1);
}

/*
 * What the service manager says to this process is nothing to a command, which could take it as
 * said to itself.
 */
static void forget_manager(void)
{
    static const char *const variables[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                            "FDSTORE"};

    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
}

/* In the new process, where all signals are blocked, until none of them is ours any more. */
static void run_shell(const char *command, const struct user *user, const int fds[3])
{
    static const int signals[] = {SIGPIPE, SIGTERM, SIGINT, SIGHUP};
    sigset_t none;

    setpgid(0, 0);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    forget_manager();
    set_environment(user);
    become(user);
    execl("/bin/sh", "sh", "-c", command, NULL);
    dprintf(STDERR_FILENO, "cannot run /bin/sh: %s\n", strerror(errno));
    _exit(127);
}

static int spawn_shell(const char *command, const struct user *user, const int fds[3], pid_t *pid)
{
    sigset_t all, before;
    int rc = 0;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid == 0)
        run_shell(command, user, fds);
    if (*pid < 0)
        rc = -errno;
    else
        setpgid(*pid, *pid); /* here too: nobody is to signal a group that is not yet */
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static struct child *child_make(struct event_base *base, struct keep *keep, const char *label)
{
    struct child *child = calloc(1, sizeof(*child));

    if (!child)
        return NULL;
    child->pidfd = child->stderr_fd = -1;
    child->next_signal = SIGTERM;
    child->keep = keep;
    snprintf(child->label, sizeof(child->label), "%s", label);
    child->patience = evtimer_new(base, signal_group, child);
    if (child->patience)
        return child;
    child_free(child);
    return NULL;
}

/* Of a connection, whose it is until it is left. */
static struct child *child_make_for(const struct connection *connection)
{
    struct child *child = child_make(connection->base, connection->keep, connection->label);

    if (!child)
        return NULL;
    child->quota = connection->quota;
    snprintf(child->owner, sizeof(child->owner), "%s", connection->id);
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

/* The program runs already: if it cannot be followed it must not go on. */
static int child_follow(struct event_base *base, struct child *child)
{
    int rc;

    child->pidfd = pidfd_open(child->pid, 0);
    rc = child->pidfd < 0 ? -errno : child_watch(base, child);
    if (rc == 0)
        return 0;
    kill(-child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    return rc;
}

int child_start(const struct connection *connection, const struct user *user, int *input,
                int *output, struct child **out)
{
    struct child *child = child_make_for(connection);
    struct pipes pipes;
    int rc;

    if (!child)
        return -ENOMEM;
    rc = pipes_open(&pipes);
    if (rc == 0)
        rc = spawn_shell(connection->spec.command, user, pipes.theirs, &child->pid);
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
    child->pidfd = pidfd;
    child->pid = pid_of(pidfd);
    child->stderr_fd = keep_take(child->keep, child->owner, CHILD_STDERR_KEPT);
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
        connection_let_go(connection, CHILD_KEPT, &pidfd);
        return -ENOMEM;
    }
    rc = child_take(connection, child, pidfd);
    if (rc < 0) {
        child_free(child);
        return rc;
    }
    *input = keep_take(connection->keep, connection->id, CHILD_INPUT_KEPT);
    *output = keep_take(connection->keep, connection->id, CHILD_OUTPUT_KEPT);
    *out = child;
    return 0;
}

void child_dismiss(struct event_base *base, struct keep *keep, int pidfd)
{
    struct child *child = child_make(base, keep, "");

    if (!child) {
        close(pidfd);
        return;
    }
    child->pidfd = pidfd;
    child->pid = pid_of(pidfd);
    if (child_watch(base, child) < 0)
        child_free(child);
    else
        child_leave(child, true);
}
