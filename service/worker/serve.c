/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker process: has the rings of one channel, and moves bytes between them and descriptors
 * from the broker. It opens nothing itself once it has a peer, and does not use xenstore.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "service/worker/confine.h"
#include "service/worker/echo.h"
#include "service/worker/journal.h"
#include "service/packets.h"
#include "service/start.h"
#include "service/worker/protocol.h"
#include "service/worker/relaying.h"
#include "service/worker/streaming.h"
#include "state/machine.h"
#include "vchan/rings.h"
#include "vchan/xen.h"

/* How long the port of a peer that signals endlessly stays masked. */
#define MUTE_MICROSECONDS 10000

/* How often a port that is taken is tried, and the pause between: 3 seconds in all. */
#define PORT_TRIES    100
#define PORT_PAUSE_NS 30000000

struct process {
    struct event_base *base;
    struct xen *xen;
    struct channel_rings rings;
    struct event *port; /* the descriptor of Xen's event channels */
    struct event *unmute;
    struct event *resend; /* pending: the socket was full, so a status must still be sent */
    struct event *echo;   /* pending: there is more to echo */
    bool echoing;
    struct relaying relaying;
    struct streaming streaming;
    int source, sink; /* the relay's, -1: none */
    struct journal *journal;
    int journal_error;             /* the journal cannot be used, so no bytes are moved */
    struct worker_counts *counts; /* memory shared with the broker, or NULL */
    struct worker_status status;   /* the last one sent */
    uint32_t era, seen;
    int32_t result, failed;
    struct worker_request rings_asked;
    bool confined;
    bool echo_over;
    int echo_error;
    bool moved;
};

static struct channel *worker_channel(const struct process *process)
{
    return process->rings.channel;
}

static bool is_running(const struct process *process)
{
    return process->echoing || relaying_is_on(&process->relaying) ||
           streaming_is_on(&process->streaming);
}

/* ---- the status ---- */

static uint32_t peer_flags(const struct process *process)
{
    const struct channel *channel = worker_channel(process);

    return WORKER_HELD | (channel_peer_died(channel) ? WORKER_PEER_DIED : 0) |
           (channel_peer_left(channel) ? WORKER_PEER_LEFT : 0);
}

/* Whether the other end takes no more bytes. After a mere half-close it still does. */
static bool hung_up(int fd)
{
    struct pollfd pollfd = {.fd = fd};

    return poll(&pollfd, 1, 0) > 0 && pollfd.revents & (POLLHUP | POLLERR);
}

static void fill_streams(struct process *process, struct worker_status *status)
{
    struct streaming *streaming = &process->streaming;

    if (streaming->relay.error || stream_relay_is_done(&streaming->relay)) {
        status->flags |= WORKER_SOURCE_DONE | WORKER_SINK_DONE;
        status->ring_error = streaming->relay.error;
    }
    if (streaming->waiting_count > 0 || streaming->relay.over)
        status->flags |= WORKER_FULL;
    streaming_list_asked(streaming, status->asked);
    status->failures = streaming->failures;
    status->last_reason = streaming->last_reason;
}

static void fill_ends(const struct process *process, struct worker_status *status)
{
    const struct relay *relay = &process->relaying.relay;

    if (process->echoing && process->echo_over) {
        status->flags |= WORKER_SOURCE_DONE | WORKER_SINK_DONE;
        status->ring_error = process->echo_error;
    }
    if (process->echoing)
        return;
    status->flags |= (relay->source_done ? WORKER_SOURCE_DONE : 0) |
                     (relay->sink_done ? WORKER_SINK_DONE : 0) |
                     (relay->source_done && hung_up(relay->source) ? WORKER_HUNG_UP : 0);
    status->source_error = relay->source_error;
    status->sink_error = relay->sink_error;
    status->ring_error = relay->ring_error;
}

static void fill_rings(struct process *process, struct worker_status *status)
{
    status->flags |= peer_flags(process);
    status->peer = process->rings_asked.peer;
    status->ring_ref = process->rings_asked.ring_ref;
    status->port = process->rings_asked.port;
    status->pages = process->rings.rings.ops->pages(&process->rings.rings);
    if (is_running(process)) {
        status->flags |= WORKER_RUNNING;
        if (streaming_is_on(&process->streaming))
            fill_streams(process, status);
        else
            fill_ends(process, status);
    } else {
        status->pending = channel_readable(worker_channel(process), 1);
    }
}

static struct worker_status make_status(struct process *process)
{
    struct worker_status status = {.version = WORKER_VERSION,
                                   .era = process->era,
                                   .seen = process->seen,
                                   .result = process->result,
                                   .failed = process->failed};

    if (worker_channel(process))
        fill_rings(process, &status);
    if (process->moved)
        status.flags |= WORKER_MOVED;
    return status;
}

static void show_stream_counts(const struct stream_relay *relay, struct worker_counts *counts)
{
    counts->opened = relay->streams.opened;
    counts->refused = relay->streams.refused;
    counts->reset = relay->streams.reset;
    counts->stored = relay->stored;
    counts->open = relay->streams.open;
}

static void show_counts(const struct process *process)
{
    if (!process->counts || !worker_channel(process))
        return;
    process->counts->channel = *channel_counts(worker_channel(process));
    if (streaming_is_on(&process->streaming))
        show_stream_counts(&process->streaming.relay, process->counts);
}

static void send_status(struct process *process)
{
    struct worker_status status = make_status(process);

    show_counts(process);
    if (memcmp(&status, &process->status, sizeof(status)) == 0)
        return;
    if (packets_send(WORKER_FD, &status, sizeof(status), NULL, 0) == -EAGAIN)
        event_add(process->resend, NULL);
    else
        process->status = status;
}

static void on_status_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    send_status(arg);
}

/* ---- bytes ---- */

static void relay_stepped(void *arg)
{
    send_status(arg);
}

static void schedule_echo(struct process *process)
{
    static const struct timeval at_once = {0};

    event_add(process->echo, &at_once);
}

static void continue_echo(struct process *process)
{
    int rc = process->echo_over ? -EAGAIN : echo_step(worker_channel(process));

    if (rc > 0) {
        schedule_echo(process);
    } else if (rc != -EAGAIN) {
        process->echo_over = true;
        process->echo_error = rc;
    }
    send_status(process);
}

static void on_echo(evutil_socket_t fd, short what, void *arg)
{
    struct process *process = arg;

    (void)fd, (void)what;
    if (process->echoing)
        continue_echo(process);
}

static void on_bytes_moved(void *arg)
{
    struct process *process = arg;

    process->moved = true;
}

/* The peer has signalled (rings->fired). */
static void on_peer_signal(void *arg)
{
    struct process *process = arg;

    if (process->echoing)
        continue_echo(process);
    else if (streaming_is_on(&process->streaming))
        streaming_step(&process->streaming);
    else if (relaying_is_on(&process->relaying))
        relaying_step(&process->relaying);
    else
        send_status(process);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void pause_relay(struct process *process)
{
    relaying_stop(&process->relaying);
    streaming_stop(&process->streaming);
    event_del(process->echo);
    process->echoing = false;
    if (process->sink != process->source)
        close_fd(&process->sink);
    close_fd(&process->source);
    process->sink = -1;
}

static void forget_journal(struct process *process)
{
    journal_close(process->journal);
    process->journal = NULL;
    process->journal_error = 0;
}

/* ---- Xen ---- */

static void on_port(evutil_socket_t fd, short what, void *arg)
{
    struct process *process = arg;

    (void)fd, (void)what;
    if (xen_dispatch(process->xen) < 0)
        event_base_loopbreak(process->base);
}

static void on_port_muted(void *arg)
{
    static const struct timeval pause = {.tv_usec = MUTE_MICROSECONDS};
    struct process *process = arg;

    event_add(process->unmute, &pause);
}

static void on_unmute(evutil_socket_t fd, short what, void *arg)
{
    struct process *process = arg;

    (void)fd, (void)what;
    xen_unmute(process->xen);
}

/* Ignores errors: a later request for rings reports them. */
static void open_device(struct process *process, uint32_t role)
{
    int rc;

    if (role == MACHINE_FRONTEND)
        xen_granting(process->xen, &rc);
    else
        xen_mapping(process->xen, &rc);
}

/* Opens all that the process will ever need of Xen. */
static int open_xen(struct process *process, uint32_t role)
{
    int rc = xen_open(&process->xen);

    if (rc < 0)
        return rc;
    open_device(process, role);
    channel_rings_init(&process->rings, process->xen);
    process->rings.rings.fired = on_peer_signal;
    process->rings.rings.arg = process;
    xen_set_patience(process->xen, on_port_muted, process);
    process->port =
        event_new(process->base, xen_fd(process->xen), EV_READ | EV_PERSIST, on_port, process);
    return process->port && event_add(process->port, NULL) == 0 ? 0 : -ENOMEM;
}

static void release_channel(struct process *process)
{
    show_counts(process);
    pause_relay(process);
    forget_journal(process);
    if (worker_channel(process))
        process->rings.rings.ops->release(&process->rings.rings);
}

/* ---- requests: a handler takes the descriptors that it keeps; the others are closed ---- */

struct request {
    struct worker_request ask;
    struct packets_fds fds;
};

static int take_fd(struct request *request, unsigned int which)
{
    int fd = which < request->fds.count ? request->fds.fd[which] : -1;

    if (fd >= 0)
        request->fds.fd[which] = -1;
    return fd;
}

/* Maps the memory in which bytes are counted. A new broker sends a new one. */
static void map_counts(struct process *process, struct request *request)
{
    int fd = take_fd(request, 0);
    void *memory = MAP_FAILED;

    if (fd >= 0)
        memory =
            mmap(NULL, sizeof(struct worker_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close_fd(&fd);
    if (memory == MAP_FAILED)
        return;
    if (process->counts)
        munmap(process->counts, sizeof(*process->counts));
    process->counts = memory;
}

static void handle_hello(struct process *process, struct request *request)
{
    map_counts(process, request);
    process->era = request->ask.era;
    if (!process->xen)
        process->result = open_xen(process, request->ask.role);
    memset(&process->status, 0, sizeof(process->status)); /* so a status is sent in any case */
}

static struct ring_orders orders_of(const struct worker_request *ask)
{
    return (struct ring_orders){.read = (uint16_t)ask->read_order,
                                .write = (uint16_t)ask->write_order};
}

/*
 * The worker of a broker that was killed exits by itself, but perhaps a moment later, and has the
 * port until then.
 */
static int map_free_port(struct rings *rings, domid_t peer, const struct rings_keys *keys,
                     const struct ring_orders *most)
{
    static const struct timespec pause = {.tv_nsec = PORT_PAUSE_NS};
    int rc = rings->ops->map(rings, peer, keys, most);

    for (int i = 0; rc == -EBUSY && i < PORT_TRIES; i++) {
        nanosleep(&pause, NULL);
        rc = rings->ops->map(rings, peer, keys, most);
    }
    return rc;
}

static int get_rings(struct process *process, struct worker_request *ask)
{
    const struct rings_ops *ops = process->rings.rings.ops;
    const struct ring_orders orders = orders_of(ask);
    struct rings_keys keys = {.ring_ref = ask->ring_ref, .port = ask->port};
    domid_t peer = (domid_t)ask->peer;
    int rc;

    if (ask->type == WORKER_GRANT)
        rc = ops->grant(&process->rings.rings, peer, &orders, &keys);
    else if (ask->type == WORKER_MAP)
        rc = map_free_port(&process->rings.rings, peer, &keys, &orders);
    else
        rc = ops->adopt(&process->rings.rings, peer, ask->ring_ref, &orders);
    ask->ring_ref = keys.ring_ref;
    ask->port = keys.port;
    return rc;
}

/* A process that cannot be confined must not serve a guest: it exits. */
static void require_confinement(struct process *process, int rc)
{
    if (rc < 0)
        event_base_loopbreak(process->base);
    process->confined = rc == 0;
}

static int take_rings(struct process *process, struct worker_request *ask)
{
    int rc;

    if (!process->xen)
        return -ENODEV;
    if (worker_channel(process) || process->confined)
        return -EBUSY;
    require_confinement(process, confine_for((domid_t)ask->peer));
    if (!process->confined)
        return -EPERM;
    rc = get_rings(process, ask);
    require_confinement(process, confine_to_rings());
    return rc;
}

static void handle_rings(struct process *process, struct request *request)
{
    process->rings_asked = request->ask;
    process->result = take_rings(process, &process->rings_asked);
}

static void handle_set_peer(struct process *process, struct request *request)
{
    struct rings *rings = &process->rings.rings;

    if (!worker_channel(process))
        return;
    if (request->ask.type == WORKER_SET_RESUMABLE)
        rings->ops->set_resumable(rings, request->ask.flags & WORKER_ON);
    else if (request->ask.type == WORKER_SET_ENDED)
        rings->ops->set_ended(rings);
    else
        rings->ops->set_gone(rings);
    on_peer_signal(process);
}

static void handle_journal(struct process *process, struct request *request)
{
    int fds[JOURNAL_DESCRIPTORS];

    if (process->journal || !worker_channel(process) || request->fds.count != JOURNAL_DESCRIPTORS)
        return;
    for (unsigned int i = 0; i < JOURNAL_DESCRIPTORS; i++)
        fds[i] = take_fd(request, i);
    process->journal_error = journal_open(fds, worker_channel(process), &process->journal);
}

/* Whether a request to resume finds bytes moving already, and so nothing to do. */
static bool is_under_way(const struct process *process, const struct worker_request *ask)
{
    return ask->flags & WORKER_RESUME && process->echoing == (ask->type == WORKER_ECHO) &&
           is_running(process);
}

static int start_relay(struct process *process)
{
    if (process->journal_error < 0)
        return process->journal_error;
    if (process->source < 0)
        return -EBADF;
    return relaying_start(&process->relaying, process->base, worker_channel(process),
                          process->source, process->sink, journal_way(process->journal),
                          relay_stepped, process);
}

static void handle_start(struct process *process, struct request *request)
{
    if (!worker_channel(process) || is_under_way(process, &request->ask))
        return;
    pause_relay(process);
    process->source = take_fd(request, 0);
    process->sink = request->ask.flags & WORKER_ONE_FD ? process->source : take_fd(request, 1);
    process->failed = start_relay(process);
    if (process->failed < 0)
        pause_relay(process);
}

static void handle_echo(struct process *process, struct request *request)
{
    if (!worker_channel(process) || is_under_way(process, &request->ask))
        return;
    pause_relay(process);
    process->echoing = true;
    process->echo_over = false;
    process->echo_error = 0;
    if (request->ask.flags & WORKER_RESUME)
        echo_recover(worker_channel(process));
    schedule_echo(process);
}

/* A process that takes rings over, and carries no streams yet, does not know those there were. */
static int start_streams(struct process *process, const struct worker_request *ask)
{
    int rc;

    if (ask->streams < STREAMS_MIN || ask->streams > STREAMS_MAX)
        return -EINVAL;
    rc = streaming_start(&process->streaming, process->base, worker_channel(process), ask->streams,
                         process->rings_asked.type != WORKER_GRANT, ask->flags & WORKER_RESUME,
                         relay_stepped, process);
    process->streaming.last_id = ask->stream;
    process->streaming.echoes = ask->flags & WORKER_ECHOES;
    process->streaming.refuses = ask->flags & WORKER_REFUSES;
    return rc;
}

static void handle_streams(struct process *process, struct request *request)
{
    const struct worker_request *ask = &request->ask;

    if (!worker_channel(process) ||
        (ask->flags & WORKER_RESUME && streaming_is_on(&process->streaming)))
        return;
    pause_relay(process);
    process->failed = start_streams(process, ask);
}

static void handle_connect(struct process *process, struct request *request)
{
    int fd = take_fd(request, 0);

    if (fd >= 0)
        streaming_connect(&process->streaming, fd);
}

static void handle_accept(struct process *process, struct request *request)
{
    int fd = take_fd(request, 0);

    if (fd >= 0)
        streaming_accept(&process->streaming, request->ask.stream, fd);
    else /* the kernel had no room for it */
        streaming_refuse(&process->streaming, request->ask.stream, STREAM_FAILED);
}

static void handle_refuse(struct process *process, struct request *request)
{
    uint32_t reason = request->ask.reason;

    streaming_refuse(&process->streaming, request->ask.stream,
                     reason > 0 && reason < STREAM_REASONS ? reason : STREAM_FAILED);
}

static void handle_divert(struct process *process, struct request *request)
{
    int old = process->sink;

    if (!relaying_is_on(&process->relaying))
        return;
    process->sink = take_fd(request, 0);
    relaying_divert(&process->relaying, process->sink); /* removes the old one's event */
    if (old != process->source)
        close_fd(&old);
}

static void handle_kick(struct process *process, struct request *request)
{
    (void)request;
    relaying_step_later(&process->relaying);
}

static void handle_pause(struct process *process, struct request *request)
{
    (void)request;
    pause_relay(process);
}

static void handle_stop(struct process *process, struct request *request)
{
    (void)request;
    pause_relay(process);
    forget_journal(process);
}

static void handle_count(struct process *process, struct request *request)
{
    (void)request;
    process->moved = false;
    if (worker_channel(process))
        channel_on_traffic(worker_channel(process), on_bytes_moved, process);
}

/*
 * After the domain was restored or migrated, its event channels and grants are void, but the kernel
 * does not know: Linux 6.1 hits a BUG() if such a port is closed, or closes a new port with the
 * same number. So this process keeps them open as long as the kernel runs.
 */
static void handle_stale(struct process *process, struct request *request)
{
    pause_relay(process);
    forget_journal(process);
    packets_close_fds(&request->fds);
    close(WORKER_FD);
    prctl(PR_SET_NAME, "vchan-stale");
    for (;;)
        pause();
}

static void handle_release(struct process *process, struct request *request)
{
    (void)request;
    release_channel(process);
    event_base_loopbreak(process->base);
}

static void handle_request(struct process *process, struct request *request)
{
    static void (*const requests[])(struct process *, struct request *) = {
        [WORKER_HELLO] = handle_hello,
        [WORKER_GRANT] = handle_rings,
        [WORKER_MAP] = handle_rings,
        [WORKER_ADOPT] = handle_rings,
        [WORKER_SET_RESUMABLE] = handle_set_peer,
        [WORKER_SET_ENDED] = handle_set_peer,
        [WORKER_SET_GONE] = handle_set_peer,
        [WORKER_JOURNAL] = handle_journal,
        [WORKER_START] = handle_start,
        [WORKER_ECHO] = handle_echo,
        [WORKER_STREAMS] = handle_streams,
        [WORKER_CONNECT] = handle_connect,
        [WORKER_ACCEPT] = handle_accept,
        [WORKER_REFUSE] = handle_refuse,
        [WORKER_DIVERT] = handle_divert,
        [WORKER_KICK] = handle_kick,
        [WORKER_PAUSE] = handle_pause,
        [WORKER_STOP] = handle_stop,
        [WORKER_COUNT] = handle_count,
        [WORKER_STALE] = handle_stale,
        [WORKER_RELEASE] = handle_release,
    };
    const struct worker_request *ask = &request->ask;
    bool known =
        ask->type < WORKER_REQUESTS && (ask->version == WORKER_VERSION ||
                                        ask->type == WORKER_HELLO || ask->type == WORKER_RELEASE);

    if (known)
        requests[ask->type](process, request);
    process->seen = ask->number;
    packets_close_fds(&request->fds);
}

/* If no process has the broker's end any more, no broker will come back, and the worker exits. */
static void on_request(evutil_socket_t fd, short what, void *arg)
{
    struct process *process = arg;
    struct request request;
    ssize_t got;

    (void)what;
    for (;;) {
        request.ask = (struct worker_request){0};
        got = packets_receive(fd, &request.ask, sizeof(request.ask), &request.fds);
        if (got <= 0)
            break;
        if (got >= WORKER_HELLO_BYTES)
            handle_request(process, &request);
        else
            packets_close_fds(&request.fds);
        send_status(process);
        if (event_base_got_break(process->base))
            return;
    }
    if (got == -EAGAIN)
        return;
    release_channel(process);
    event_base_loopbreak(process->base);
}

/* ---- starting ---- */

/*
 * A service manager that stops the service signals all of its processes. A worker continues, since
 * the broker ends it once its bytes are delivered.
 */
static void ignore_service_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_IGN);
}

static int prepare_worker(struct process *process)
{
    struct event *control;
    int rc;

    process->base = event_base_new();
    if (!process->base)
        return -ENOMEM;
    process->echo = evtimer_new(process->base, on_echo, process);
    process->unmute = evtimer_new(process->base, on_unmute, process);
    process->resend = event_new(process->base, WORKER_FD, EV_WRITE, on_status_writable, process);
    control = event_new(process->base, WORKER_FD, EV_READ | EV_PERSIST, on_request, process);
    if (!process->echo || !process->unmute || !process->resend || !control)
        return -ENOMEM;
    rc = fcntl(WORKER_FD, F_SETFL, O_NONBLOCK) < 0 ? -errno : journal_open_tools();
    return rc == 0 && event_add(control, NULL) < 0 ? -ENOMEM : rc;
}

int worker_serve(void)
{
    struct process process = {.source = -1, .sink = -1, .result = -ENODEV};
    int type;

    if (getsockopt(WORKER_FD, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) < 0) {
        fprintf(stderr, WORKER_NAME ": cannot use its socket: %s (the service starts it)\n",
                strerror(errno));
        return 1;
    }
    prctl(PR_SET_NAME, WORKER_NAME);
    ignore_service_signals();
    if (prepare_worker(&process) < 0 || start_is_over() < 0)
        return 1;
    event_base_dispatch(process.base);
    return 0;
}
