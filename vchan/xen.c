/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xentoollog.h>

#include "state/descriptor.h"
#include "vchan/pace.h"
#include "vchan/ring.h"

/* So that a storm of events cannot keep a program from its other work. */
#define DISPATCH_MAX 256

/* A well-behaved peer signals because of bytes, or when it comes or ends. */
#define IDLE_MAX 32

/* A domain at the other end of some of our ports. */
struct xen_peer {
    LIST_ENTRY(xen_peer) next;
    uint32_t domid;
    unsigned int ports;
    struct pace pace;
};

struct xen {
    xenevtchn_handle *events;
    xengntshr_handle *granting;
    xengnttab_handle *mapping;
    struct xen_port **ports; /* indexed by port number */
    size_t room;
    unsigned int bound;
    bool nonblocking; /* the fd's current mode */
    bool abandoned;
    void (*later)(void *arg); /* NULL: serve all ports at once */
    void *later_arg;
    TAILQ_HEAD(, xen_port) muted;
    LIST_HEAD(, xen_peer) peers;
};

static int xen_error(void)
{
    return errno ? -errno : -EIO;
}

/* The error for a device node that cannot be opened. */
static int device_error(void)
{
    return errno == ENOENT || errno == ENXIO ? -ENODEV : xen_error();
}

static void drop_message(xentoollog_logger *logger, xentoollog_level level, int errnoval,
                         const char *context, const char *format, va_list args)
{
    (void)logger, (void)level, (void)errnoval, (void)context, (void)format, (void)args;
}

static void drop_progress(xentoollog_logger *logger, const char *context, const char *doing,
                          int percent, unsigned long done, unsigned long total)
{
    (void)logger, (void)context, (void)doing, (void)percent, (void)done, (void)total;
}

static void drop_logger(xentoollog_logger *logger)
{
    (void)logger;
}

/*
 * The Xen libraries would write to stderr. Our caller reports the failure once, and knows its
 * purpose.
 */
static xentoollog_logger silence = {
    .vmessage = drop_message, .progress = drop_progress, .destroy = drop_logger,
};

/*
 * A grant is 4096 bytes, and Linux gives each a page of its own, even a larger one. What the Xen
 * libraries map as one piece would then be the first grant and memory that the peer does not share.
 */
static bool has_small_pages(void)
{
    return (unsigned int)getpagesize() == RING_PAGE_SIZE;
}

int xen_open(struct xen **out)
{
    struct xen *xen;

    *out = NULL;
    if (!has_small_pages())
        return -EMEDIUMTYPE;
    xen = calloc(1, sizeof(*xen));
    if (!xen)
        return -ENOMEM;
    errno = 0;
    descriptor_guard();
    xen->events = xenevtchn_open(&silence, 0);
    descriptor_unguard();
    if (!xen->events) {
        int rc = device_error();

        free(xen);
        return rc;
    }
    TAILQ_INIT(&xen->muted);
    LIST_INIT(&xen->peers);
    *out = xen;
    return 0;
}

void xen_close(struct xen *xen)
{
    if (!xen)
        return;
    if (xen->granting)
        xengntshr_close(xen->granting);
    if (xen->mapping)
        xengnttab_close(xen->mapping);
    if (xen->events)
        xenevtchn_close(xen->events);
    free(xen->ports);
    free(xen);
}

void xen_abandon(struct xen *xen)
{
    xen->abandoned = true;
}

int xen_fd(const struct xen *xen)
{
    return xenevtchn_fd(xen->events);
}

static void unmask_port(struct xen *xen, struct xen_port *port)
{
    xenevtchn_unmask(xen->events, port->number);
    port->fired(port);
}

static void mute_port(struct xen *xen, struct xen_port *port)
{
    bool first = TAILQ_EMPTY(&xen->muted);

    port->muted = true;
    TAILQ_INSERT_TAIL(&xen->muted, port, next);
    if (first)
        xen->later(xen->later_arg);
}

static void unmute_port(struct xen *xen, struct xen_port *port)
{
    TAILQ_REMOVE(&xen->muted, port, next);
    port->muted = false;
}

static uint64_t milliseconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* Whether a port that fired must wait for xen_unmute(). */
static bool is_too_much(struct xen_port *port)
{
    return port->idle++ >= IDLE_MAX ||
           (port->little && pace_is_hasty(&port->peer->pace, milliseconds()));
}

static void serve_port(struct xen *xen, evtchn_port_t number)
{
    struct xen_port *port = number < xen->room ? xen->ports[number] : NULL;

    if (!port)
        return; /* it was unbound after it fired */
    if (xen->later && is_too_much(port))
        mute_port(xen, port);
    else
        unmask_port(xen, port);
}

void xen_set_patience(struct xen *xen, void (*later)(void *arg), void *arg)
{
    xen->later = later;
    xen->later_arg = arg;
}

void xen_unmute(struct xen *xen)
{
    struct xen_port *port;

    while ((port = TAILQ_FIRST(&xen->muted))) {
        unmute_port(xen, port);
        unmask_port(xen, port);
    }
}

/*
 * The fd is ours alone, so its mode is too. The mode changes only when the other kind of call
 * comes.
 */
static int set_nonblocking(struct xen *xen, bool nonblocking)
{
    int fd = xenevtchn_fd(xen->events), flags;

    if (xen->nonblocking == nonblocking)
        return 0;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 ||
        fcntl(fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        return xen_error();
    xen->nonblocking = nonblocking;
    return 0;
}

int xen_dispatch(struct xen *xen)
{
    int served = 0, rc = set_nonblocking(xen, true);

    if (rc < 0)
        return rc;
    while (served < DISPATCH_MAX) {
        int port = xenevtchn_pending(xen->events);

        if (port < 0 && errno == EINTR)
            continue;
        if (port < 0)
            return errno == EAGAIN || served > 0 ? served : xen_error();
        serve_port(xen, (evtchn_port_t)port);
        served++;
        if (xen->bound <= 1)
            break; /* no other can have fired; trying would make the fd readable again */
    }
    return served;
}

int xen_await(struct xen *xen)
{
    int rc = set_nonblocking(xen, false);
    int port;

    if (rc < 0)
        return rc;
    port = xenevtchn_pending(xen->events);
    if (port < 0)
        return xen_error();
    serve_port(xen, (evtchn_port_t)port);
    return 0;
}

/* Makes room in the table before asking the hypervisor, so that every bound port has a place. */
static int make_room(struct xen *xen, size_t wanted)
{
    size_t room = xen->room ? xen->room : 64;
    struct xen_port **ports;

    while (room <= wanted)
        room *= 2;
    if (room == xen->room)
        return 0;
    ports = reallocarray(xen->ports, room, sizeof(ports[0]));
    if (!ports)
        return -ENOMEM;
    memset(ports + xen->room, 0, (room - xen->room) * sizeof(ports[0]));
    xen->ports = ports;
    xen->room = room;
    return 0;
}

static struct xen_peer *peer_find(struct xen *xen, uint32_t domid)
{
    struct xen_peer *peer;

    LIST_FOREACH (peer, &xen->peers, next)
        if (peer->domid == domid)
            return peer;
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    peer->domid = domid;
    LIST_INSERT_HEAD(&xen->peers, peer, next);
    return peer;
}

static void peer_drop(struct xen_peer *peer)
{
    if (--peer->ports > 0)
        return;
    LIST_REMOVE(peer, next);
    free(peer);
}

/* Running out of grants gives the same errno but needs a different fix. */
static int port_error(void)
{
    return errno == ENOSPC ? -EUSERS : xen_error();
}

static int keep_port(struct xen *xen, uint32_t domid, xenevtchn_port_or_error_t number,
                     struct xen_port *port)
{
    int rc;

    if (number < 0)
        return port_error();
    rc = make_room(xen, (size_t)number);
    port->peer = rc < 0 ? NULL : peer_find(xen, domid);
    if (!port->peer) {
        xenevtchn_unbind(xen->events, (evtchn_port_t)number);
        return -ENOMEM;
    }
    port->peer->ports++;
    port->number = (evtchn_port_t)number;
    port->idle = 0;
    port->little = false;
    xen->ports[number] = port;
    xen->bound++;
    return 0;
}

int xen_offer_port(struct xen *xen, uint32_t peer, struct xen_port *port)
{
    return keep_port(xen, peer, xenevtchn_bind_unbound_port(xen->events, peer), port);
}

int xen_bind_port(struct xen *xen, uint32_t peer, evtchn_port_t remote, struct xen_port *port)
{
    return keep_port(xen, peer, xenevtchn_bind_interdomain(xen->events, peer, remote), port);
}

void xen_unbind_port(struct xen *xen, struct xen_port *port)
{
    if (port->number == 0)
        return;
    if (port->muted)
        unmute_port(xen, port);
    xen->ports[port->number] = NULL;
    xen->bound--;
    peer_drop(port->peer);
    if (!xen->abandoned)
        xenevtchn_unbind(xen->events, port->number);
    port->number = 0;
}

void xen_signal(struct xen *xen, const struct xen_port *port)
{
    if (port->number != 0 && !xen->abandoned)
        xenevtchn_notify(xen->events, port->number);
}

xengntshr_handle *xen_granting(struct xen *xen, int *rc)
{
    descriptor_guard();
    if (!xen->granting)
        xen->granting = xengntshr_open(&silence, 0);
    descriptor_unguard();
    *rc = xen->granting ? 0 : device_error();
    return xen->granting;
}

xengnttab_handle *xen_mapping(struct xen *xen, int *rc)
{
    descriptor_guard();
    if (!xen->mapping)
        xen->mapping = xengnttab_open(&silence, 0);
    descriptor_unguard();
    *rc = xen->mapping ? 0 : device_error();
    return xen->mapping;
}
