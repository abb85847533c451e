/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/statistics.h"
#include "service/cgroup.h"
#include "service/kinds/child.h"
#include "service/kinds/path.h"
#include "service/handover/ring-holder.h"
#include "service/handover/fdstore.h"
#include "service/log.h"
#include "service/worker/worker.h"
#include "state/error.h"
#include "state/notify.h"
#include "state/lock.h"

/* libxenstore's fd does not report that xenstored is gone, so it is asked from time to time. */
#define HEARTBEAT_SECONDS 5

/*
 * How many events are read before what they call for is done: in practice all. So another guest's
 * events never wait behind those that one guest causes in a loop. Reading one takes a few
 * microseconds; xenstored needs longer to send it.
 */
#define EVENTS_AT_ONCE 4096

/* How long delivering what is in the rings may take when the service stops. */
#define DRAIN_SECONDS 10

/* How long after a change the status is sent to the service manager, once for all changes. */
#define STATUS_SECONDS 1

/* How long the process waits at its end for the manager to read its messages. */
#define FINISH_MS 1000

enum {
    ON_STORE,
    ON_HEARTBEAT,
    ON_SIGNAL,
    ON_WATCHDOG,
    ON_STATUS,
    ON_DRAINED,
    ON_MANAGER,
    EVENT_COUNT
};

struct server {
    struct loop loop;
    int lock;
    /* a signalfd: a signal that is not read stays pending for the process that replaces this one */
    int signals;
    bool draining;
    bool reloads; /* replaces itself once the manager has read all messages */
    int error;    /* 0, or the negative errno that ended the loop, already logged */
    struct event *events[EVENT_COUNT];
};

/* ---- events ---- */

static void stop_with_error(struct server *server, int rc, const char *what)
{
    log_line(LOG_ERRORS, "%s: %s", what, strerror(-rc));
    server->error = rc;
    event_base_loopbreak(server->loop.base);
}

/* Reads a batch of events, then does once what they call for. */
static void on_store(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    struct store_event event;
    int rc = 0;

    (void)fd, (void)what;
    for (int i = 0; i < EVENTS_AT_ONCE && (rc = store_next_event(server->loop.store, &event)) > 0;
         i++)
        server->loop.ops->changed(server->loop.service, event.path);
    server->loop.ops->settle(server->loop.service);
    if (rc < 0)
        stop_with_error(server, -ECONNRESET, "lost the connection to xenstored");
}

static void await_drain(struct server *server)
{
    static const struct timeval limit = {.tv_sec = DRAIN_SECONDS};

    log_line(LOG_CHANGES, "stopping: delivering what is left in the rings (at most %d s)",
             DRAIN_SECONDS);
    event_add(server->events[ON_DRAINED], &limit);
}

/* From now on no device is taken over. */
static void start_drain(struct server *server)
{
    const struct loop *loop = &server->loop;

    notify_manager("STOPPING=1");
    loop->ops->drain(loop->service);
    server->draining = true;
    if (loop->ops->drained(loop->service))
        event_base_loopbreak(loop->base);
    else
        await_drain(server);
}

static void stop_service(struct server *server)
{
    if (server->draining || !server->loop.ops->drain)
        event_base_loopbreak(server->loop.base);
    else
        start_drain(server);
}

static void on_drain_end(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd, (void)what;
    log_line(LOG_ERRORS, "timed out after %d s: undelivered bytes are lost", DRAIN_SECONDS);
    event_base_loopbreak(server->loop.base);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    notify_manager("WATCHDOG=1");
}

static void notify_status(const struct server *server)
{
    unsigned int channels = 0, connected = 0;
    char text[64];

    server->loop.ops->count(server->loop.service, &channels, &connected);
    snprintf(text, sizeof(text), "STATUS=%u channel%s, %u connected", channels,
             channels == 1 ? "" : "s", connected);
    notify_manager(text);
}

static void on_status(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    notify_status(arg);
}

void loop_state_changed(const struct loop *loop)
{
    static const struct timeval soon = {.tv_sec = STATUS_SECONDS};
    struct server *server = (struct server *)((const char *)loop - offsetof(struct server, loop));
    struct event *status = server->events[ON_STATUS];

    if (status && !event_pending(status, EV_TIMEOUT, NULL))
        event_add(status, &soon);
    if (server->draining && loop->ops->drained(loop->service))
        event_base_loopbreak(loop->base);
}

static void continue_as_new_process(struct server *server)
{
    int rc;

    log_line(LOG_CHANGES, "reloading: continuing as a new process");
    notify_manager("RELOADING=1");
    rc = fdstore_hand_over(server->loop.fdstore);
    log_line(LOG_ERRORS, "reload failed: %s (still running the old process)", strerror(-rc));
    notify_manager("READY=1");
}

/* A new process would stop before it has taken all channels over, and so not cleanly. */
static bool is_stopping(const struct server *server)
{
    sigset_t pending;

    return server->draining || (sigpending(&pending) == 0 &&
                                (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT)));
}

/* Messages that the manager has not read would be lost, so it reads them first. */
static void reload_service(struct server *server)
{
    if (is_stopping(server))
        return;
    server->reloads = !server->loop.ops->reload && !notify_flush();
    if (server->loop.ops->reload)
        server->loop.ops->reload(server->loop.service);
    else if (!server->reloads)
        continue_as_new_process(server);
}

/* ---- a manager that is slow to read ---- */

static void on_manager_writable(evutil_socket_t fd, short what, void *arg);

static void await_manager(void *arg)
{
    struct server *server = arg;
    struct event *writable = server->events[ON_MANAGER];

    if (event_pending(writable, EV_WRITE, NULL))
        return;
    event_assign(writable, server->loop.base, notify_fd(), EV_WRITE, on_manager_writable, server);
    event_add(writable, NULL);
}

static void on_manager_writable(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd, (void)what;
    if (!notify_flush())
        await_manager(server);
    else if (server->reloads)
        reload_service(server);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct signalfd_siginfo signal_info;

    (void)what;
    if (read(fd, &signal_info, sizeof(signal_info)) != (ssize_t)sizeof(signal_info))
        return;
    if (signal_info.ssi_signo == SIGHUP)
        reload_service(arg);
    else
        stop_service(arg);
}

/* ---- starting: each step returns 0 or a negative errno ---- */

static int add_event(struct server *server, int which, int fd, short what,
                     event_callback_fn callback, const struct timeval *time)
{
    struct event *event =
        event_new(server->loop.base, fd, (short)(what | EV_PERSIST), callback, server);

    server->events[which] = event;
    return event && event_add(event, time) == 0 ? 0 : -ENOMEM;
}

static int take_lock(struct server *server)
{
    server->lock = lock_service_take(server->loop.ops->program);
    return server->lock < 0 ? server->lock : 0;
}

/* A command of an earlier process that was terminating, or whose channel is gone. */
static void terminate_command(void *arg, int pidfd)
{
    struct server *server = arg;

    child_terminate_pidfd(server->loop.base, server->loop.fdstore, pidfd);
}

/* Leaves everything as it is, for a program that knows this version. */
static int refuse_version(const char *what, uint32_t found, uint32_t spoken)
{
    log_line(LOG_ERRORS,
             "cannot take over from the previous process: its %s has version %u, not %u (start "
             "the program that left it, or stop the service to discard it)",
             what, found, spoken);
    return -EPROTONOSUPPORT;
}

static int check_fdstore_version(const struct fdstore *fdstore)
{
    if (fdstore_version(fdstore) > FDSTORE_VERSION)
        return refuse_version("set of descriptors", fdstore_version(fdstore), FDSTORE_VERSION);
    return 0;
}

static int open_fdstore(struct server *server)
{
    int rc = server->loop.ops->hands_over ? fdstore_open(&server->loop.fdstore) : 0;

    if (rc == 0)
        rc = check_fdstore_version(server->loop.fdstore);
    fdstore_on_discard(server->loop.fdstore, FDSTORE_COMMAND, terminate_command, server);
    return rc;
}

static int open_cgroups(struct server *server)
{
    cgroups_start(server->loop.base);
    return 0;
}

static int open_store(struct server *server)
{
    return store_open(&server->loop.store);
}

static int sweep_paths(struct server *server)
{
    path_sweep(server->loop.store);
    return 0;
}

static int open_workers(struct server *server)
{
    return workers_open(server->loop.base, server->loop.fdstore, server->loop.ops->role,
                        &server->loop.workers);
}

static int open_ring_holder(struct server *server)
{
    uint32_t version = RING_HOLDER_VERSION;
    int rc = ring_holder_open(server->loop.base, server->loop.fdstore, &server->loop.ring_holder,
                              &version);

    if (rc == -EPROTONOSUPPORT)
        refuse_version(RING_HOLDER_NAME, version, RING_HOLDER_VERSION);
    return rc;
}

static sigset_t signals_wanted(const struct loop_ops *ops)
{
    sigset_t wanted;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    if (ops->reload || ops->hands_over)
        sigaddset(&wanted, SIGHUP);
    return wanted;
}

/*
 * Blocks the signals first and for good: none may end a process that has not reached its loop yet,
 * or has left it.
 */
static int block_signals(struct server *server)
{
    const sigset_t wanted = signals_wanted(server->loop.ops);

    sigprocmask(SIG_SETMASK, &wanted, NULL);
    server->signals = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
    return server->signals < 0 ? -errno : 0;
}

static int add_signals(struct server *server)
{
    return add_event(server, ON_SIGNAL, server->signals, EV_READ, on_signal, NULL);
}

/* Creates a timer that is not pending. */
static int make_timer(struct server *server, int which, event_callback_fn callback)
{
    server->events[which] = evtimer_new(server->loop.base, callback, server);
    return server->events[which] ? 0 : -ENOMEM;
}

/* The watchdog is notified at twice the rate that the manager asks for. */
static int add_manager(struct server *server)
{
    uint64_t period = notify_watchdog() / 2;
    const struct timeval time = {.tv_sec = (time_t)(period / 1000000),
                                 .tv_usec = (suseconds_t)(period % 1000000)};
    int rc = make_timer(server, ON_DRAINED, on_drain_end);

    if (rc == 0 && period > 0)
        rc = add_event(server, ON_WATCHDOG, -1, 0, on_watchdog, &time);
    if (rc == 0 && notify_is_wanted())
        rc = make_timer(server, ON_STATUS, on_status);
    if (rc == 0)
        rc = make_timer(server, ON_MANAGER, on_manager_writable);
    if (rc == 0)
        notify_on_wait(await_manager, server);
    return rc;
}

static int open_ledger(struct server *server)
{
    struct loop *loop = &server->loop;

    loop->ledger = ledger_open(loop->base, loop->store, server->loop.ops->statistics);
    return loop->ledger ? 0 : -ENOMEM;
}

static int add_watch(struct server *server)
{
    static const struct timeval heartbeat = {.tv_sec = HEARTBEAT_SECONDS};
    struct loop *loop = &server->loop;
    int rc = store_watch(loop->store, server->loop.ops->watch, "devices");

    if (rc == 0)
        rc = add_event(server, ON_STORE, store_fd(loop->store), EV_READ, on_store, NULL);
    if (rc == 0)
        rc = add_event(server, ON_HEARTBEAT, -1, 0, on_store, &heartbeat);
    return rc;
}

static const struct {
    int (*run)(struct server *server);
    const char *what;
    const char *fix; /* for errors other than permissions */
} steps[] = {
    {block_signals, "cannot block signals", ""},
    {open_fdstore, "cannot take over from the previous process", ""},
    {take_lock, "cannot lock " LOCK_DIR, ""},
    {open_cgroups, "", ""},
    {open_store, "cannot connect to xenstored", " (is xenstored running?)"},
    {sweep_paths, "", ""},
    {open_workers, "cannot open the event channels (/dev/xen/evtchn)", ""},
    {open_ring_holder, "cannot set up " RING_HOLDER_NAME, ""},
    {open_ledger, "cannot keep statistics", ""},
    {add_signals, "cannot set up signals", ""},
    {add_manager, "cannot set up timers", ""},
    {add_watch, "cannot watch xenstore", ""},
};

static int loop_start(struct server *server)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int rc = steps[i].run(server);

        if (rc == -EBUSY)
            log_line(LOG_ERRORS, "%s: another %s runs in this domain", steps[i].what,
                     server->loop.ops->program);
        else if (rc < 0 && rc != -EPROTONOSUPPORT) /* already logged */
            log_line(LOG_ERRORS, "%s: %s%s", steps[i].what, error_text(rc),
                     rc == -EACCES || rc == -EPERM ? " (run it as root)" : steps[i].fix);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- running and stopping ---- */

static void loop_stop(struct server *server)
{
    notify_on_wait(NULL, NULL);
    for (int i = 0; i < EVENT_COUNT; i++)
        if (server->events[i])
            event_free(server->events[i]);
    ledger_close(server->loop.ledger);
    ring_holder_close(server->loop.ring_holder);
    workers_close(server->loop.workers);
    store_close(server->loop.store);
    if (server->lock >= 0)
        lock_service_release(server->loop.ops->program, server->lock);
    if (server->signals >= 0)
        close(server->signals);
}

static enum loop_exit server_run(struct server *server)
{
    const struct loop *loop = &server->loop;

    if (loop_start(server) < 0 || loop->ops->start(loop, loop->service) < 0)
        return LOOP_FAILED;
    if (!loop->ops->hands_over)
        cgroups_sweep(); /* no command of an earlier process continues */
    notify_manager("READY=1");
    notify_status(server);
    event_base_dispatch(server->loop.base);
    server->loop.ops->stop(server->loop.service);
    ring_holder_stop(server->loop.ring_holder);
    return server->error < 0 ? LOOP_FAILED : LOOP_STOPPED;
}

/* Undoes what the parent process may have set: SIGCHLD could be ignored, for example. */
static void reset_inherited(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    (void)!chdir("/"); /* so that file systems can be unmounted */
}

/* libevent itself would write to standard error, and block there. */
static void log_libevent(int severity, const char *message)
{
    log_line(severity >= EVENT_LOG_WARN ? LOG_ERRORS : LOG_TRACE, "libevent: %s", message);
}

enum loop_exit loop_serve(const struct loop_ops *ops, void *service)
{
    struct server server = {.loop = {.ops = ops, .service = service}, .lock = -1, .signals = -1};
    enum loop_exit rc;

    reset_inherited();
    event_set_log_callback(log_libevent);
    server.loop.base = event_base_new();
    if (!server.loop.base) {
        log_line(LOG_ERRORS, "cannot create an event loop");
        return LOOP_FAILED;
    }
    rc = server_run(&server);
    loop_stop(&server);
    /* Only workers and commands that are about to end are left. */
    event_base_dispatch(server.loop.base);
    notify_finish(FINISH_MS);
    fdstore_close(server.loop.fdstore);
    cgroups_close();
    event_base_free(server.loop.base);
    return rc;
}
