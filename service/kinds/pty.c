/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=pty: a pseudo terminal for as long as the device is there, and a link to it. Who has
 * it open is a client: the first to open it comes, the last to close it leaves.
 *
 * While nobody has it open its master says "hung up". That it is opened again wakes nobody who
 * polls; inotify tells, through one instance for all terminals, of which a user may have few.
 */
#include <config.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "service/connection.h"
#include "service/kinds/path.h"
#include "service/kinds/program.h"
#include "service/kinds/rights.h"
#include "service/handover/journal.h"

/* How often all terminals are looked at, because one was opened: in a minute, and at once. */
#define LOOKS_PER_MINUTE 12000
#define LOOKS_AT_ONCE    64

/* How often a terminal's user comes, as a socket's client. */
#define USERS_PER_MINUTE 12000
#define USERS_AT_ONCE    64

struct pty {
    struct connection *connection;
    int master;
    char slave[32]; /* "/dev/pts/3" */
    int watch;      /* of inotify; -1: none */
    bool wanted;    /* the channel is up, and waits for somebody to open it */
    struct rate users;
    struct event *rested; /* pending: too many came, and none does until then */
    struct program user;
    struct rights rights; /* whose the terminal is, and the place */
    LIST_ENTRY(pty) next;
};

/* ---- who opens a terminal ---- */

/* One for the process, while there are terminals. */
static struct {
    int fd;
    struct event *event;
    struct event *rested; /* pending: they were looked at too often, and are not until then */
    struct rate looks;
    LIST_HEAD(, pty) ptys;
} openings = {.fd = -1};

/* Or was, and has left something to be read. */
static bool terminal_is_open(const struct pty *pty)
{
    struct pollfd pollfd = {.fd = pty->master, .events = POLLIN};

    return poll(&pollfd, 1, 0) == 0 || pollfd.revents & POLLIN;
}

static bool pty_admits(struct pty *pty)
{
    int64_t wait = rate_try(&pty->users);
    const struct timeval time = {.tv_usec = wait % 1000000, .tv_sec = wait / 1000000};

    if (wait > 0)
        event_add(pty->rested, &time);
    return wait == 0;
}

static void pty_look(struct pty *pty)
{
    if (!pty->wanted || event_pending(pty->rested, EV_TIMEOUT, NULL) || !terminal_is_open(pty) ||
        !pty_admits(pty))
        return;
    pty->wanted = false;
    program_come(&pty->user, pty->master, pty->slave);
}

static void openings_rested(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    event_add(openings.event, NULL);
}

/* Whoever opens and closes one in a loop costs no more than that. */
static void openings_rest(void)
{
    int64_t wait = rate_take(&openings.looks);
    const struct timeval time = {.tv_usec = wait % 1000000, .tv_sec = wait / 1000000};

    if (wait == 0)
        return;
    event_del(openings.event);
    event_add(openings.rested, &time);
}

static void pty_rested(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pty_look(arg);
}

/* What it says does not matter: the terminals themselves tell who is open. */
static void openings_read(evutil_socket_t fd, short what, void *arg)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct pty *pty, *next;

    (void)what, (void)arg;
    openings_rest();
    while (read(fd, buffer, sizeof(buffer)) > 0)
        ;
    for (pty = LIST_FIRST(&openings.ptys); pty; pty = next) {
        next = LIST_NEXT(pty, next);
        pty_look(pty);
    }
}

static int openings_open(struct event_base *base)
{
    if (openings.fd >= 0)
        return 0;
    openings.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (openings.fd < 0)
        return -errno;
    rate_init(&openings.looks, LOOKS_PER_MINUTE, LOOKS_AT_ONCE);
    openings.rested = evtimer_new(base, openings_rested, NULL);
    openings.event = event_new(base, openings.fd, EV_READ | EV_PERSIST, openings_read, NULL);
    if (openings.rested && openings.event && event_add(openings.event, NULL) == 0)
        return 0;
    return -ENOMEM;
}

static void openings_close(void)
{
    if (!LIST_EMPTY(&openings.ptys) || openings.fd < 0)
        return;
    if (openings.event)
        event_free(openings.event);
    if (openings.rested)
        event_free(openings.rested);
    openings.event = openings.rested = NULL;
    close(openings.fd);
    openings.fd = -1;
}

static void pty_want(void *arg)
{
    struct pty *pty = arg;

    pty->wanted = true;
    pty_look(pty);
}

static const struct program_ops user_ops = {.noun = "client", .wanted = pty_want, .terminal = true};

/* ---- the link ---- */

static bool is_later(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec != other->tv_sec ? one->tv_sec > other->tv_sec
                                        : one->tv_nsec > other->tv_nsec;
}

/*
 * Whether all that is in its place is a link that leads nowhere, or to a terminal that was made
 * after it: the one that the link was made for has gone, and its number was given again, to us or
 * to somebody's shell.
 */
static int check_link(const struct spot *spot)
{
    struct stat link, terminal;

    if (fstat(spot->file, &link) < 0)
        return -errno;
    if (!S_ISLNK(link.st_mode))
        return -EEXIST;
    if (!spot->own && link.st_uid != geteuid() && link.st_uid != 0) /* 0: of an older version */
        return -EBUSY;
    if (fstatat(spot->dir, spot->base, &terminal, 0) < 0)
        return 0;
    return S_ISCHR(terminal.st_mode) && is_later(&terminal.st_ctim, &link.st_ctim) ? 0 : -EADDRINUSE;
}

static int link_there(const struct spot *spot, void *arg)
{
    const char *slave = arg;
    int rc = spot->file < 0 ? 0 : check_link(spot);

    if (rc < 0)
        return rc;
    if (spot->file >= 0)
        unlinkat(spot->dir, spot->base, 0);
    return symlinkat(slave, spot->dir, spot->base) < 0 ? -errno : 0;
}

/* 0: the link at the place leads to the terminal. */
static int find_link_there(const struct spot *spot, void *arg)
{
    char target[sizeof(((struct pty *)NULL)->slave)];
    ssize_t length = readlinkat(spot->dir, spot->base, target, sizeof(target) - 1);

    target[length > 0 ? length : 0] = '\0';
    return strcmp(target, arg) == 0 ? 0 : -ENOENT;
}

static int unlink_there(const struct spot *spot, void *arg)
{
    int rc = find_link_there(spot, arg);

    return rc == 0 && unlinkat(spot->dir, spot->base, 0) < 0 ? -errno : rc;
}

static int visit_link(struct pty *pty, place_work *work)
{
    return place_visit(&pty->connection->place, false, -1, work, pty->slave, sizeof(pty->slave));
}

/* ---- the terminal ---- */

/* Raw, so that bytes pass as they are. (Who opens it may change that.) Linux lets the master do
 * that. */
static int make_raw(int master)
{
    struct termios modes;

    if (tcgetattr(master, &modes) < 0)
        return -errno;
    cfmakeraw(&modes);
    return tcsetattr(master, TCSANOW, &modes) < 0 ? -errno : 0;
}

/* Opened and closed once it is hung up: before that, nothing tells that nobody has it open. */
static int hang_up(const struct pty *pty)
{
    int fd = open(pty->slave, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int set_rights(const struct pty *pty)
{
    int file = open(pty->slave, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc;

    if (file < 0)
        return -errno;
    rc = rights_give(&pty->rights, file);
    close(file);
    return rc == 0 && chmod(pty->slave, pty->rights.mode) < 0 ? -errno : rc;
}

static int make_terminal(struct pty *pty)
{
    int rc;

    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (pty->master < 0 || grantpt(pty->master) < 0 || unlockpt(pty->master) < 0 ||
        ptsname_r(pty->master, pty->slave, sizeof(pty->slave)) != 0)
        return -errno;
    rc = make_raw(pty->master);
    if (rc == 0)
        rc = set_rights(pty);
    return rc < 0 ? rc : hang_up(pty);
}

static int watch_terminal(struct pty *pty)
{
    int rc = openings_open(pty->connection->base);

    if (rc < 0)
        return rc;
    pty->watch = inotify_add_watch(openings.fd, pty->slave, IN_OPEN);
    return pty->watch < 0 ? -errno : 0;
}

static void let_go_of_terminal(struct pty *pty)
{
    connection_let_go(pty->connection, TERMINAL_KEPT, &pty->master);
}

static void pty_free(struct pty *pty)
{
    LIST_REMOVE(pty, next);
    if (pty->watch >= 0)
        inotify_rm_watch(openings.fd, pty->watch);
    openings_close();
    let_go_of_terminal(pty);
    if (pty->rested)
        event_free(pty->rested);
    free(pty);
}

static const char *link_error(int rc)
{
    switch (rc) {
    case -EADDRINUSE:
        return "a link to something else is there";
    case -EEXIST:
        return "a file that is not a link is there";
    case -EBUSY:
        return "another user's link is there";
    default:
        return place_error(rc);
    }
}

/*
 * The one that an earlier process had, if the link leads there. Who has it open, or opens it,
 * notices nothing.
 */
static bool take_terminal(struct pty *pty)
{
    struct connection *connection = pty->connection;

    pty->master = fdstore_take(connection->fdstore, connection->id, TERMINAL_KEPT);
    if (pty->master < 0)
        return false;
    if (ptsname_r(pty->master, pty->slave, sizeof(pty->slave)) == 0 &&
        visit_link(pty, find_link_there) == 0 && set_rights(pty) == 0 && watch_terminal(pty) == 0)
        return true;
    let_go_of_terminal(pty);
    return false;
}

static int make_all(struct pty *pty, char why[CONNECTION_WHY_MAX])
{
    struct connection *connection = pty->connection;
    int rc = make_terminal(pty);

    if (rc == 0)
        rc = watch_terminal(pty);
    if (rc < 0) {
        snprintf(why, CONNECTION_WHY_MAX, "cannot make a terminal: %s", strerror(-rc));
        return rc;
    }
    rc = visit_link(pty, link_there);
    if (rc < 0)
        snprintf(why, CONNECTION_WHY_MAX, "cannot make a link at its path: %s", link_error(rc));
    else
        fdstore_add(connection->fdstore, connection->id, TERMINAL_KEPT, pty->master,
                 fdstore_has_room(connection->fdstore, 1 + JOURNAL_DESCRIPTORS));
    return rc;
}

static int pty_make(struct pty *pty, char why[CONNECTION_WHY_MAX])
{
    struct connection *connection = pty->connection;
    int rc = rights_read(&connection->spec, &pty->rights, why);

    if (rc < 0)
        return rc;
    connection->place = rights_place(&pty->rights, connection->path);
    if (take_terminal(pty))
        return 0;
    fdstore_drop_untaken(connection->fdstore, connection->id);
    return make_all(pty, why);
}

static int pty_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct pty *pty = calloc(1, sizeof(*pty));
    int rc;

    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    if (!pty)
        return -ENOMEM;
    pty->connection = connection;
    pty->master = pty->watch = -1;
    LIST_INSERT_HEAD(&openings.ptys, pty, next);
    program_init(&pty->user, connection, &user_ops, pty);
    rate_init(&pty->users, USERS_PER_MINUTE, USERS_AT_ONCE);
    pty->rested = evtimer_new(connection->base, pty_rested, pty);
    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    rc = pty->rested ? path_choose(connection, why) : -ENOMEM;
    if (rc == 0)
        rc = pty_make(pty, why);
    if (rc < 0) {
        path_leave(connection);
        pty_free(pty);
    } else {
        connection->state = pty;
    }
    return rc;
}

static void pty_unplug(struct connection *connection)
{
    visit_link(connection->state, unlink_there);
    path_leave(connection);
    pty_free(connection->state);
}

static void pty_open(struct connection *connection)
{
    struct pty *pty = connection->state;

    path_follow_name(connection);
    program_open(&pty->user);
    endpoint_set_ready(connection->endpoint);
}

/*
 * Whom an earlier process served is there, if only for what it had taken from him, or for his end.
 * But where one comes after the other there may be only what the next is to be given.
 */
static bool is_served(const struct pty *pty)
{
    const struct carrier *carrier = &pty->user.carrier;

    return carrier_has_begun(carrier) &&
           (!pty->connection->spec.reconnect || carrier_unsent(carrier) > 0 ||
            terminal_is_open(pty));
}

static void pty_start(struct connection *connection)
{
    struct pty *pty = connection->state;

    if (is_served(pty))
        program_come(&pty->user, pty->master, pty->slave);
    else
        pty_want(pty);
}

static void pty_stir(struct connection *connection)
{
    struct pty *pty = connection->state;

    program_stir(&pty->user);
}

static void pty_close(struct connection *connection)
{
    struct pty *pty = connection->state;

    pty->wanted = false;
    event_del(pty->rested);
    program_close(&pty->user);
}

const struct connection_kind connection_pty = {
    .name = "pty",
    .plug = pty_plug,
    .unplug = pty_unplug,
    .open = pty_open,
    .start = pty_start,
    .stir = pty_stir,
    .close = pty_close,
};
