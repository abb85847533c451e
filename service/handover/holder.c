/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/holder.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/backoff.h"
#include "service/handover/holder-own.h"
#include "service/handover/fdstore.h"
#include "service/log.h"
#include "state/clock.h"

/* It is kept as this. */
#define OWNER "holder"
#define WHAT  "socket"

#define PATIENCE_SECONDS 5

struct record {
    TAILQ_ENTRY(record) next;
    char owner[sizeof(((struct holder_message *)NULL)->owner)];
    struct endpoint_rings rings;
    bool ours; /* this process has them, too */
};

struct holder {
    struct event_base *base;
    struct fdstore *fdstore;
    int fd; /* -1: there is none, for a moment */
    struct event *gone;
    struct backoff again;
    uint32_t tag;
    TAILQ_HEAD(, record) records; /* all that it holds, or is to hold when there is one again */
};

/* ---- the process ---- */

/*
 * Nothing of the service's goes along: whoever waits for the end of a pipe is not to wait for this
 * process. (It says on standard error why it cannot start, and then lets go of it, too.)
 */
static void become_holder(int fd)
{
    char *const arguments[] = {HOLDER_NAME, NULL};
    int null;

    if (fd != HOLDER_FD && dup2(fd, HOLDER_FD) < 0)
        _exit(1);
    fcntl(HOLDER_FD, F_SETFD, 0);
    null = open("/dev/null", O_RDWR);
    for (int i = STDIN_FILENO; i <= STDOUT_FILENO; i++)
        dup2(null, i);
    close_range(HOLDER_FD + 1, ~0U, 0);
    setsid();
    unsetenv("NOTIFY_SOCKET");
    execv("/proc/self/exe", arguments);
    _exit(1);
}

/*
 * By a process in between, so that it is nobody's child here: the next process of the service
 * cannot wait for it.
 */
static int spawn_holder(int fd)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            become_holder(fd);
        _exit(pid < 0 ? 1 : 0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

static int start_holder(void)
{
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    rc = spawn_holder(pair[1]);
    close(pair[1]);
    if (rc == 0)
        return pair[0];
    close(pair[0]);
    return rc;
}

/* ---- its socket ---- */

static void forget_socket(struct holder *holder)
{
    if (holder->fd < 0)
        return;
    event_free(holder->gone);
    holder->gone = NULL;
    fdstore_drop(holder->fdstore, OWNER, WHAT);
    close(holder->fd);
    holder->fd = -1;
}

static void lose(struct holder *holder)
{
    log_line(LOG_ERRORS, HOLDER_NAME " died; restarting it");
    forget_socket(holder);
    backoff_start(&holder->again);
}

/* It says nothing by itself; but an answer may be there that an earlier process asked for. */
static void on_gone(evutil_socket_t fd, short what, void *arg)
{
    struct holder_message message;
    ssize_t got = recv(fd, &message, sizeof(message), MSG_DONTWAIT);

    (void)what;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        lose(arg);
}

static int take_socket(struct holder *holder, int fd)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

    holder->gone = event_new(holder->base, fd, EV_READ | EV_PERSIST, on_gone, holder);
    if (!holder->gone || event_add(holder->gone, NULL) < 0) {
        if (holder->gone)
            event_free(holder->gone);
        holder->gone = NULL;
        fdstore_drop(holder->fdstore, OWNER, WHAT);
        close(fd);
        return -ENOMEM;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    fdstore_add(holder->fdstore, OWNER, WHAT, fd, true);
    holder->fd = fd;
    return 0;
}

static ssize_t receive(int fd, struct holder_message *message)
{
    ssize_t got;

    do
        got = recv(fd, message, sizeof(*message), 0);
    while (got < 0 && errno == EINTR);
    return got;
}

/* The next message with this tag. Returns whether there was one. */
static bool next_answer(struct holder *holder, uint32_t tag, struct holder_message *message)
{
    do
        if (receive(holder->fd, message) != (ssize_t)sizeof(*message))
            return false;
    while (message->tag != tag);
    return true;
}

/* Returns whether it is there to answer. */
static bool holder_ask(struct holder *holder, struct holder_message *message)
{
    ssize_t sent;

    message->tag = ++holder->tag;
    do
        sent = send(holder->fd, message, sizeof(*message), MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof(*message);
}

/*
 * The answer's result; 0 if there is no holder at the moment, or none any more: the next one is
 * told it all.
 */
static int exchange(struct holder *holder, enum holder_request request, const struct record *record)
{
    struct holder_message message = {.request = request, .rings = record->rings};

    memcpy(message.owner, record->owner, sizeof(message.owner));
    if (holder->fd < 0)
        return 0;
    if (holder_ask(holder, &message) && next_answer(holder, message.tag, &message))
        return message.result;
    lose(holder);
    return 0;
}

/* ---- what is held ---- */

static struct record *record_find(const struct holder *holder, const char *owner)
{
    struct record *record;

    TAILQ_FOREACH (record, &holder->records, next)
        if (strcmp(record->owner, owner) == 0)
            return record;
    return NULL;
}

static struct record *record_add(struct holder *holder, const char *owner)
{
    struct record *record = calloc(1, sizeof(*record));

    if (!record)
        return NULL;
    snprintf(record->owner, sizeof(record->owner), "%s", owner);
    TAILQ_INSERT_TAIL(&holder->records, record, next);
    return record;
}

static void record_drop(struct holder *holder, struct record *record)
{
    TAILQ_REMOVE(&holder->records, record, next);
    free(record);
}

int holder_hold(struct holder *holder, const char *owner, const struct endpoint_rings *rings)
{
    struct record *record = holder ? record_find(holder, owner) : NULL;

    if (!holder)
        return 0;
    if (!record)
        record = record_add(holder, owner);
    if (!record)
        return -ENOMEM;
    record->rings = *rings;
    record->ours = true;
    return exchange(holder, HOLDER_HOLD, record);
}

void holder_let_go(struct holder *holder, const char *owner)
{
    struct record *record = holder ? record_find(holder, owner) : NULL;

    if (!record)
        return;
    exchange(holder, HOLDER_LET_GO, record);
    record_drop(holder, record);
}

bool holder_find(const struct holder *holder, const char *owner, struct endpoint_rings *rings)
{
    const struct record *record = holder ? record_find(holder, owner) : NULL;
    bool left = record && !record->ours;

    if (left)
        *rings = record->rings;
    return left;
}

void holder_forget(struct holder *holder)
{
    struct record *record, *next;

    for (record = holder ? TAILQ_FIRST(&holder->records) : NULL; record; record = next) {
        next = TAILQ_NEXT(record, next);
        if (!record->ours)
            holder_let_go(holder, record->owner);
    }
}

/* ---- coming and going ---- */

/* Another one is told what this process has. */
static void hold_again(struct holder *holder)
{
    struct record *record;
    unsigned int count = 0;

    TAILQ_FOREACH (record, &holder->records, next)
        count += record->ours && exchange(holder, HOLDER_HOLD, record) == 0;
    if (count > 0 && holder->fd >= 0)
        log_line(LOG_CHANGES, HOLDER_NAME " mapped the rings of %u channel%s again", count,
                 count == 1 ? "" : "s");
}

static void start_again(void *arg)
{
    struct holder *holder = arg;
    int fd = start_holder(), rc = fd < 0 ? fd : take_socket(holder, fd);

    if (rc < 0) {
        log_line(LOG_ERRORS, "cannot start " HOLDER_NAME ": %s", strerror(-rc));
        backoff_start(&holder->again);
        return;
    }
    hold_again(holder);
}

/* Whether an earlier process's holder speaks as we do: -EPROTONOSUPPORT, or -EIO if it is gone. */
static int check_version(struct holder *holder, uint32_t *version)
{
    struct holder_message message = {.request = HOLDER_VERSION};

    if (!holder_ask(holder, &message) || !next_answer(holder, message.tag, &message))
        return -EIO;
    if (message.result == HOLDER_SPEAKS || message.result == -ENOSYS)
        return 0;
    *version = (uint32_t)message.result;
    return -EPROTONOSUPPORT;
}

/* What the earlier process's holder has. Returns whether it is there. */
static bool learn_held(struct holder *holder)
{
    struct holder_message message = {.request = HOLDER_LIST};
    uint32_t tag;

    if (!holder_ask(holder, &message))
        return false;
    tag = message.tag;
    while (next_answer(holder, tag, &message)) {
        struct record *record;

        if (message.request == HOLDER_LIST)
            return true;
        message.owner[sizeof(message.owner) - 1] = '\0';
        record = record_add(holder, message.owner);
        if (!record)
            return false;
        record->rings = message.rings;
    }
    return false;
}

/* No process's first tag is one that an earlier process had. */
static uint32_t first_tag(void)
{
    return (uint32_t)clock_us();
}

/* 0, also if there is to be another one, or -EPROTONOSUPPORT. */
static int find_or_start(struct holder *holder, uint32_t *version)
{
    int fd = fdstore_take(holder->fdstore, OWNER, WHAT);
    int rc = fd < 0 ? fd : take_socket(holder, fd);

    if (rc == 0)
        rc = check_version(holder, version);
    if (rc == -EPROTONOSUPPORT || (rc == 0 && learn_held(holder)))
        return rc;
    if (holder->fd >= 0)
        lose(holder);
    else
        start_again(holder);
    return 0;
}

int holder_open(struct event_base *base, struct fdstore *fdstore, struct holder **out, uint32_t *version)
{
    struct holder *holder;
    int rc;

    *out = NULL;
    if (!fdstore_is_left(fdstore, OWNER, WHAT) && !fdstore_has_room(fdstore, 1))
        return 0;
    holder = calloc(1, sizeof(*holder));
    if (!holder)
        return -ENOMEM;
    holder->base = base;
    holder->fdstore = fdstore;
    holder->fd = -1;
    holder->tag = first_tag();
    TAILQ_INIT(&holder->records);
    if (backoff_open(&holder->again, base, start_again, holder) < 0) {
        free(holder);
        return -ENOMEM;
    }
    rc = find_or_start(holder, version);
    if (rc < 0)
        holder_close(holder);
    else
        *out = holder;
    return rc;
}

void holder_close(struct holder *holder)
{
    struct record *record;

    if (!holder)
        return;
    while ((record = TAILQ_FIRST(&holder->records)))
        record_drop(holder, record);
    backoff_close(&holder->again);
    if (holder->gone)
        event_free(holder->gone);
    if (holder->fd >= 0)
        close(holder->fd);
    free(holder);
}

/* For the holder, the end of the socket is as good as that of all who have it. */
void holder_dismiss(struct holder *holder)
{
    struct holder_message message;

    if (!holder)
        return;
    backoff_close(&holder->again);
    if (holder->fd < 0)
        return;
    shutdown(holder->fd, SHUT_WR);
    while (receive(holder->fd, &message) > 0)
        ;
    forget_socket(holder);
}
