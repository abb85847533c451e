/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=pty: a pseudo terminal that exists as long as the device, and a link to it. The client
 * connects when a first program opens the terminal, and leaves when the last one closes it.
 *
 * While no program has the terminal open, its master is hung up. poll() does not report when a
 * program opens it again, so inotify does: one instance for all terminals, since a user may have
 * few.
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
#include "service/timer.h"
#include "service/handover/journal-kit.h"

/* How often all terminals are checked because one was opened: a minute, and at once. */
#define CHECKS_PER_MINUTE 12000
#define CHECKS_AT_ONCE    64

/* How often a terminal's client may connect, as for a socket. */
#define USERS_PER_MINUTE 12000
#define USERS_AT_ONCE    64

struct pty {
    struct connection *connection;
    int master;
    char slave[32]; /* "/dev/pts/3" */
    int watch;      /* inotify's; -1: none */
    bool awaiting;  /* the channel is open, and waits for a program to open the terminal */
    struct rate users;
    struct event *pause; /* pending: too many clients came, so none connects until then */
    struct program user;
    struct rights rights; /* the terminal's owner, group and mode, and the link's owner */
    LIST_ENTRY(pty) next;
};

/* ---- programs that open a terminal ---- */

/* One inotify instance for the process, open while there are terminals. */
static struct {
    int fd;
    struct event *event;
    struct event *pause; /* pending: terminals were checked too often, so none is until then */
    struct rate checks;
    LIST_HEAD(, pty) ptys;
} openings = {.fd = -1};

/* Whether a program has it open, or has closed it and left bytes to be read. */
static bool terminal_is_open(const struct pty *pty)
{
    struct pollfd pollfd = {.fd = pty->master, .events = POLLIN};

    return poll(&pollfd, 1, 0) == 0 || pollfd.revents & POLLIN;
}

static bool pty_admits(struct pty *pty)
{
    int64_t wait = rate_try(&pty->users);

    if (wait > 0)
        timer_start(pty->pause, wait);
    return wait == 0;
}

static void pty_check_open(struct pty *pty)
{
    if (!pty->awaiting || event_pending(pty->pause, EV_TIMEOUT, NULL) || !terminal_is_open(pty) ||
        !pty_admits(pty))
        return;
    pty->awaiting = false;
    program_attach(&pty->user, pty->master, pty->slave);
}

static void on_openings_pause_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    event_add(openings.event, NULL);
}

/* Bounds the CPU time that a program costs which opens and closes a terminal in a loop. */
static void openings_pause(void)
{
    int64_t wait = rate_take(&openings.checks);

    if (wait == 0)
        return;
    event_del(openings.event);
    timer_start(openings.pause, wait);
}

static void on_pty_pause_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pty_check_open(arg);
}

/* Discards the events, and asks the terminals which of them are open. */
static void on_terminal_opened(evutil_socket_t fd, short what, void *arg)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct pty *pty, *next;

    (void)what, (void)arg;
    openings_pause();
    while (read(fd, buffer, sizeof(buffer)) > 0)
        ;
    for (pty = LIST_FIRST(&openings.ptys); pty; pty = next) {
        next = LIST_NEXT(pty, next);
        pty_check_open(pty);
    }
}

static int openings_open(struct event_base *base)
{
    if (openings.fd >= 0)
        return 0;
    openings.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (openings.fd < 0)
        return -errno;
    rate_init(&openings.checks, CHECKS_PER_MINUTE, CHECKS_AT_ONCE);
    openings.pause = evtimer_new(base, on_openings_pause_over, NULL);
    openings.event = event_new(base, openings.fd, EV_READ | EV_PERSIST, on_terminal_opened, NULL);
    if (openings.pause && openings.event && event_add(openings.event, NULL) == 0)
        return 0;
    return -ENOMEM;
}

static void openings_close(void)
{
    if (!LIST_EMPTY(&openings.ptys) || openings.fd < 0)
        return;
    if (openings.event)
        event_free(openings.event);
    if (openings.pause)
        event_free(openings.pause);
    openings.event = openings.pause = NULL;
    close(openings.fd);
    openings.fd = -1;
}

static void pty_await_user(void *arg)
{
    struct pty *pty = arg;

    pty->awaiting = true;
    pty_check_open(pty);
}

static const struct program_ops user_ops = {
    .noun = "client", .want_next = pty_await_user, .terminal = true};

/* ---- the link ---- */

static bool is_later(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec != other->tv_sec ? one->tv_sec > other->tv_sec
                                        : one->tv_nsec > other->tv_nsec;
}

/*
 * Returns 0 if the path has a stale link: one that leads nowhere, or to a terminal younger than the
 * link. The kernel has then reused the number of the link's own terminal, for us or another
 * program.
 */
static int check_stale_link(const struct spot *spot)
{
    struct stat link, terminal;

    if (fstat(spot->file, &link) < 0)
        return -errno;
    if (!S_ISLNK(link.st_mode))
        return -EEXIST;
    /* Older versions made the link as root. */
    if (!spot->own && link.st_uid != geteuid() && link.st_uid != 0)
        return -EBUSY;
    if (fstatat(spot->dir, spot->base, &terminal, 0) < 0)
        return 0;
    return S_ISCHR(terminal.st_mode) && is_later(&terminal.st_ctim, &link.st_ctim) ? 0
                                                                                   : -EADDRINUSE;
}

static int link_there(const struct spot *spot, void *arg)
{
    const char *slave = arg;
    int rc = spot->file < 0 ? 0 : check_stale_link(spot);

    if (rc < 0)
        return rc;
    if (spot->file >= 0)
        unlinkat(spot->dir, spot->base, 0);
    return symlinkat(slave, spot->dir, spot->base) < 0 ? -errno : 0;
}

/* Returns 0 if the link leads to the terminal. */
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

/* Raw, so that bytes pass unchanged; a program that opens the terminal may change that. */
static int make_raw(int master)
{
    struct termios modes;

    if (tcgetattr(master, &modes) < 0)
        return -errno;
    cfmakeraw(&modes);
    return tcsetattr(master, TCSANOW, &modes) < 0 ? -errno : 0;
}

/* A new master is hung up only once its terminal was opened and closed. */
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

static void close_terminal(struct pty *pty)
{
    connection_close_fd(pty->connection, FDSTORE_TERMINAL, &pty->master);
}

static void pty_free(struct pty *pty)
{
    LIST_REMOVE(pty, next);
    if (pty->watch >= 0)
        inotify_rm_watch(openings.fd, pty->watch);
    openings_close();
    close_terminal(pty);
    if (pty->pause)
        event_free(pty->pause);
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

/* Takes an earlier process's terminal, if the link leads there. Its users notice nothing. */
static bool take_terminal(struct pty *pty)
{
    struct connection *connection = pty->connection;

    pty->master = fdstore_take(connection->fdstore, connection->id, FDSTORE_TERMINAL);
    if (pty->master < 0)
        return false;
    if (ptsname_r(pty->master, pty->slave, sizeof(pty->slave)) == 0 &&
        visit_link(pty, find_link_there) == 0 && set_rights(pty) == 0 && watch_terminal(pty) == 0)
        return true;
    close_terminal(pty);
    return false;
}

static int make_terminal_and_link(struct pty *pty, char why[CONNECTION_WHY_MAX])
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
        fdstore_add(connection->fdstore, connection->id, FDSTORE_TERMINAL, pty->master,
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
    return make_terminal_and_link(pty, why);
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
    pty->pause = evtimer_new(connection->base, on_pty_pause_over, pty);
    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    rc = pty->pause ? path_choose(connection, why) : -ENOMEM;
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
 * Whether the client that an earlier process served must be attached again: to continue, to send
 * what it had written, or to pass its end on. With reconnect=1 there may be only bytes for the next
 * client.
 */
static bool has_user_to_resume(const struct pty *pty)
{
    const struct carrier *carrier = &pty->user.carrier;

    return carrier_has_begun(carrier) && (!pty->connection->spec.reconnect ||
                                          carrier_unsent(carrier) > 0 || terminal_is_open(pty));
}

static void pty_start(struct connection *connection)
{
    struct pty *pty = connection->state;

    if (has_user_to_resume(pty))
        program_attach(&pty->user, pty->master, pty->slave);
    else
        pty_await_user(pty);
}

static void pty_stir(struct connection *connection)
{
    struct pty *pty = connection->state;

    program_stir(&pty->user);
}

static void pty_close(struct connection *connection)
{
    struct pty *pty = connection->state;

    pty->awaiting = false;
    event_del(pty->pause);
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
