/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libxenevtchn for simulated domains: /dev/xen/evtchn as Linux implements it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>

#include "sim/client.h"
#include "sim/evtchn.h"
#include "sim/export.h"

struct xenevtchn_handle {
    int fd;   /* eventfd: one token per queued event */
    int conn; /* to the hypervisor */
    uint32_t index;
    uint32_t slot;
    uint32_t cursor; /* where to start looking for a queued port */
    pthread_mutex_t lock;
    struct sim_control *control;
    /* Eventfds of the peers' handles: generation << 32 | descriptor + 1. */
    _Atomic uint64_t *peers;
};

static struct sim_control *control_map(int fd)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct sim_control *control;

    pthread_mutex_lock(&lock);
    if (!control) {
        void *map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        control = map == MAP_FAILED ? NULL : map;
        /* cppcheck-suppress memleak ; control is static */
    }
    pthread_mutex_unlock(&lock);
    return control;
}

static int handle_call(xenevtchn_handle *xce, struct sim_message *message)
{
    int result;

    pthread_mutex_lock(&xce->lock);
    result = sim_call(xce->conn, message);
    pthread_mutex_unlock(&xce->lock);
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}

static struct sim_handle *handle_self(xenevtchn_handle *xce)
{
    return &xce->control->handles[xce->index];
}

/* The port if this handle has bound it, otherwise NULL. */
static struct sim_port *handle_port(xenevtchn_handle *xce, evtchn_port_t port)
{
    struct sim_port *own = &xce->control->ports[sim_port_index(xce->slot, port % SIM_PORTS)];

    if (port >= SIM_PORTS || atomic_load(&own->handle) != xce->index + 1)
        return NULL;
    return own;
}

/* Opens the device on `xce->conn`. */
static int handle_setup(xenevtchn_handle *xce)
{
    struct sim_message message = {.op = SIM_EVTCHN_OPEN};
    int fds[2] = {-1, -1};
    int nfds = 2;
    int error = sim_send(xce->conn, &message, NULL, NULL, 0);

    if (!error)
        error = sim_receive(xce->conn, &message, NULL, 0, fds, &nfds);
    if (!error)
        error = message.result;
    if (error)
        return error;
    xce->fd = fds[0];
    xce->index = message.arg[0];
    xce->slot = message.arg[2];
    xce->control = control_map(fds[1]);
    close(fds[1]);
    return xce->control ? 0 : -ENOMEM;
}

SIM_EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    xenevtchn_handle *xce;
    int error;

    (void)logger;
    if (flags & ~XENEVTCHN_NO_CLOEXEC) {
        errno = EINVAL;
        return NULL;
    }
    xce = calloc(1, sizeof(*xce));
    if (!xce)
        return NULL;
    xce->fd = -1;
    pthread_mutex_init(&xce->lock, NULL);
    xce->peers = calloc(SIM_HANDLES, sizeof(*xce->peers));
    xce->conn = xce->peers ? sim_connect() : -ENOMEM;
    error = xce->conn < 0 ? xce->conn : handle_setup(xce);
    if (error) {
        xenevtchn_close(xce);
        errno = -error;
        return NULL;
    }
    if (flags & XENEVTCHN_NO_CLOEXEC) {
        fcntl(xce->fd, F_SETFD, 0);
        fcntl(xce->conn, F_SETFD, 0);
    }
    return xce;
}

SIM_EXPORT xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
                                              unsigned int flags)
{
    (void)logger;
    (void)fd;
    errno = flags ? EINVAL : EOPNOTSUPP;
    return NULL;
}

SIM_EXPORT int xenevtchn_close(xenevtchn_handle *xce)
{
    if (!xce)
        return 0;
    if (xce->conn >= 0)
        close(xce->conn);
    for (uint32_t i = 0; xce->peers && i < SIM_HANDLES; i++)
        if (xce->peers[i])
            close((int)(uint32_t)xce->peers[i] - 1);
    if (xce->fd >= 0)
        close(xce->fd);
    free(xce->peers);
    pthread_mutex_destroy(&xce->lock);
    free(xce);
    return 0;
}

SIM_EXPORT int xenevtchn_fd(xenevtchn_handle *xce)
{
    return xce->fd;
}

SIM_EXPORT int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
    (void)xce;
    (void)domid;
    errno = ENOTTY;
    return -1;
}

/* Asks the hypervisor for the eventfd behind a port's peer. */
static int peer_fetch(xenevtchn_handle *xce, uint32_t port, uint32_t index, uint32_t generation)
{
    struct sim_message message = {.op = SIM_PEER, .arg = {port}};
    uint64_t old = xce->peers[index];
    int fd = -1;
    int nfds = 1;
    int error;

    if (old && sim_generation(old) == generation)
        return (int)(uint32_t)old - 1; /* another thread was faster */
    error = sim_send(xce->conn, &message, NULL, NULL, 0);
    if (!error)
        error = sim_receive(xce->conn, &message, NULL, 0, &fd, &nfds);
    if (error || message.result || nfds != 1)
        return -1;
    if (message.arg[0] != index || message.arg[1] != generation) {
        close(fd); /* the port is closed or bound anew: drop the event */
        return -1;
    }
    if (old) { /* keep the number, since another thread may be about to write to it */
        dup3(fd, (int)(uint32_t)old - 1, O_CLOEXEC);
        close(fd);
        fd = (int)(uint32_t)old - 1;
    }
    xce->peers[index] = (uint64_t)generation << 32 | (uint32_t)(fd + 1);
    return fd;
}

static int peer_fd(xenevtchn_handle *xce, uint32_t port, uint32_t index)
{
    uint32_t generation = atomic_load(&xce->control->handles[index].generation);
    uint64_t known = atomic_load_explicit(&xce->peers[index], memory_order_acquire);
    int fd;

    if (known && sim_generation(known) == generation)
        return (int)(uint32_t)known - 1;
    pthread_mutex_lock(&xce->lock);
    fd = peer_fetch(xce, port, index, generation);
    pthread_mutex_unlock(&xce->lock);
    return fd;
}

static void token_write(int fd)
{
    uint64_t token = 1;

    /* Fails only for more than 2^64 tokens, or on a closed descriptor. */
    if (write(fd, &token, sizeof(token)) != sizeof(token))
        return;
}

/*
 * Queues a port of a handle and adds the token. Gets the eventfd first: a port queued without a
 * token would stay silent, and so would the next user of its number.
 */
static void deliver(xenevtchn_handle *xce, evtchn_port_t own, uint32_t handle, uint32_t port)
{
    int fd = handle == xce->index ? xce->fd : peer_fd(xce, own, handle);

    if (fd >= 0 && sim_handle_queue(&xce->control->handles[handle], port))
        token_write(fd);
}

SIM_EXPORT int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    struct sim_port *own = handle_port(xce, port);
    struct sim_port *remote;
    _Atomic uint32_t *intent;
    uint64_t peer;
    uint32_t index, handle;

    if (!own) {
        errno = ENOTCONN;
        return -1;
    }
    peer = atomic_load(&own->peer);
    if (!peer)
        return 0;
    index = (uint32_t)peer - 1;
    remote = &xce->control->ports[index];
    intent = sim_intent_open(handle_self(xce), index);
    if (sim_port_pend(remote, sim_generation(peer)) && (handle = atomic_load(&remote->handle)))
        deliver(xce, port, handle - 1, index % SIM_PORTS);
    sim_intent_close(intent);
    return 0;
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    for (;;) {
        uint64_t token;
        struct sim_port *own;
        int port;

        if (read(xce->fd, &token, sizeof(token)) != sizeof(token))
            return -1;
        port = sim_handle_take(handle_self(xce), &xce->cursor);
        if (port < 0)
            continue;
        own = handle_port(xce, (uint32_t)port);
        if (own)
            sim_port_take(own);
        return port;
    }
}

SIM_EXPORT int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    struct sim_port *own = handle_port(xce, port);

    if (own && sim_port_unmask(own) && sim_handle_queue(handle_self(xce), port))
        token_write(xce->fd);
    return 0;
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce,
                                                                 uint32_t domid)
{
    struct sim_message message = {.op = SIM_BIND_UNBOUND, .arg = {domid}};

    return handle_call(xce, &message) < 0 ? -1 : (int)message.arg[0];
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
                                                                uint32_t domid,
                                                                evtchn_port_t remote_port)
{
    struct sim_message message = {.op = SIM_BIND_INTERDOMAIN, .arg = {domid, remote_port}};

    return handle_call(xce, &message) < 0 ? -1 : (int)message.arg[0];
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
    struct sim_message message = {.op = SIM_BIND_VIRQ, .arg = {virq}};

    return handle_call(xce, &message) < 0 ? -1 : (int)message.arg[0];
}

SIM_EXPORT int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    struct sim_message message = {.op = SIM_UNBIND, .arg = {port}};

    return handle_call(xce, &message) < 0 ? -1 : 0;
}

int evtchn_store(xenevtchn_handle *xce, uint32_t *port)
{
    struct sim_message message = {.op = SIM_STORE};
    int fd = -1;
    int nfds = 1;
    int error = sim_send(xce->conn, &message, NULL, NULL, 0);

    if (!error)
        error = sim_receive(xce->conn, &message, NULL, 0, &fd, &nfds);
    if (error || message.result)
        return error ? error : message.result;
    *port = message.arg[0];
    return fd;
}
