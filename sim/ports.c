/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event channels: the slow paths. The fast paths are in control.h and evtchn.c. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/hypervisor.h"

#define VIRQS 24

static uint32_t virq_ports[VIRQS]; /* domain 0's */

static struct sim_port *port_memory(struct domain *domain, uint32_t port)
{
    return &control_memory()->ports[sim_port_index(domain->slot, port)];
}

/* Makes a port pending and delivers the event, like a notifier. */
static void port_raise(struct domain *domain, uint32_t port)
{
    struct sim_port *memory = port_memory(domain, port);
    uint32_t handle = atomic_load(&memory->handle);
    uint64_t token = 1;

    if (!sim_port_pend(memory, sim_generation(atomic_load(&memory->state))) || handle == 0)
        return;
    if (sim_handle_queue(&control_memory()->handles[handle - 1], port) &&
        write(handle_eventfd(handle - 1), &token, sizeof(token)) < 0)
        return; /* the kernel refuses only more than 2^64 tokens */
}

/*
 * Directs a port's events to a connection's handle. Adds a token, because a notifier may have been
 * killed after it queued the number for an earlier port; one token too many does no harm.
 */
static void port_attach(struct domain *domain, uint32_t port, struct conn *conn)
{
    struct sim_handle *handle = &control_memory()->handles[conn->handle];
    uint32_t words = port / 64 + 1;

    if (atomic_load(&handle->words) < words)
        atomic_store(&handle->words, words);
    atomic_fetch_and(&handle->queue[port / 64], ~(UINT64_C(1) << (port % 64)));
    domain->ports[port].conn = conn;
    domain->ports[port].users++;
    atomic_store(&port_memory(domain, port)->handle, (uint32_t)conn->handle + 1);
}

/* The lowest closed port, as in Xen. */
static int port_pick(struct domain *domain)
{
    uint32_t port = 1;

    while (port < SIM_PORTS && domain->ports[port].kind != PORT_CLOSED)
        port++;
    if (port == SIM_PORTS)
        return -ENOSPC;
    if (port > domain->last_port)
        domain->last_port = port;
    return (int)port;
}

/* Opens an unbound port; without a connection it is the kernel's own. */
int port_open(struct domain *domain, uint32_t remote_domid, struct conn *conn)
{
    int port = port_pick(domain);

    if (port < 0)
        return port;
    domain->ports[port] = (struct port){.kind = PORT_UNBOUND, .remote_domid = remote_domid};
    if (conn)
        port_attach(domain, (uint32_t)port, conn);
    else
        domain->ports[port].users = 1;
    return port;
}

static void port_link(struct domain *domain, uint32_t port, struct domain *remote,
                      uint32_t remote_port)
{
    uint32_t generation = sim_generation(atomic_load(&port_memory(remote, remote_port)->state));
    struct port *own = &domain->ports[port];

    own->kind = PORT_INTERDOMAIN;
    own->remote = remote;
    own->remote_domid = remote->domid;
    own->remote_port = remote_port;
    atomic_store(&port_memory(domain, port)->peer,
                 (uint64_t)generation << 32 | (sim_port_index(remote->slot, remote_port) + 1));
}

/* Leaves the peer unbound, so that we can bind to it again, and does not notify it. */
static void port_unlink(struct port *own)
{
    struct port *peer = &own->remote->ports[own->remote_port];

    atomic_store(&port_memory(own->remote, own->remote_port)->peer, 0);
    peer->kind = PORT_UNBOUND;
    peer->remote = NULL;
}

static void port_close(struct domain *domain, uint32_t port)
{
    struct sim_port *memory = port_memory(domain, port);
    struct port *own = &domain->ports[port];
    uint64_t generation = sim_generation(atomic_load(&memory->state)) + UINT64_C(1);

    if (own->kind == PORT_CLOSED)
        return;
    if (own->kind == PORT_INTERDOMAIN)
        port_unlink(own);
    if (own->kind == PORT_VIRQ)
        virq_ports[own->remote_port] = 0;
    atomic_store(&memory->handle, 0);
    atomic_store(&memory->peer, 0);
    atomic_store(&memory->state, generation << 32);
    *own = (struct port){.kind = PORT_CLOSED};
}

void port_drop(struct domain *domain, uint32_t port)
{
    if (--domain->ports[port].users == 0)
        port_close(domain, port);
}

int port_hold(struct domain *domain, uint32_t port)
{
    if (port >= SIM_PORTS || !domain->ports[port].conn)
        return -EINVAL;
    domain->ports[port].users++;
    return 0;
}

void port_notify(struct domain *domain, uint32_t port)
{
    struct port *own = &domain->ports[port];

    if (own->kind == PORT_INTERDOMAIN)
        port_raise(own->remote, own->remote_port);
}

/* Takes a port from its handle; notifications already using it still work. */
static void port_detach(struct domain *domain, uint32_t port)
{
    atomic_store(&port_memory(domain, port)->handle, 0);
    domain->ports[port].conn = NULL;
    port_drop(domain, port);
}

void ports_destroy(struct domain *domain)
{
    for (uint32_t port = 1; port <= domain->last_port; port++)
        port_close(domain, port);
}

void virq_raise(uint32_t virq)
{
    if (virq_ports[virq])
        port_raise(domain_find(0), virq_ports[virq]);
}

void handle_close(struct conn *conn)
{
    struct domain *domain = conn->domain;
    uint32_t index = (uint32_t)conn->handle;

    if (conn->handle < 0)
        return;
    for (uint32_t port = 1; port <= domain->last_port; port++)
        if (domain->ports[port].conn == conn)
            port_detach(domain, port);
    conn->handle = -1;
    handle_free(index);
    repair_handle(index);
}

int evtchn_bind_unbound(struct request *request)
{
    struct conn *conn = request->conn;
    struct domain *remote = domain_meant(request, 0);
    uint32_t domid = remote ? remote->domid : request->message.arg[0];
    int port = conn->handle < 0 ? -EBADF : port_open(conn->domain, domid, conn);

    if (port < 0)
        return port;
    request->reply.arg[0] = (uint32_t)port;
    return 0;
}

static int remote_check(struct domain *domain, struct domain *remote, uint32_t remote_port)
{
    if (!remote)
        return -ESRCH;
    if (remote->dying || remote_port == 0 || remote_port >= SIM_PORTS)
        return -EINVAL;
    if (remote->ports[remote_port].kind != PORT_UNBOUND ||
        remote->ports[remote_port].remote_domid != domain->domid)
        return -EINVAL;
    return 0;
}

int evtchn_bind_interdomain(struct request *request)
{
    struct conn *conn = request->conn;
    struct domain *domain = conn->domain;
    struct domain *remote = domain_meant(request, 0);
    uint32_t remote_port = request->message.arg[1];
    int port = conn->handle < 0 ? -EBADF : remote_check(domain, remote, remote_port);

    if (port == 0)
        port = port_open(domain, remote->domid, conn);
    if (port < 0)
        return port;
    port_link(domain, (uint32_t)port, remote, remote_port);
    port_link(remote, remote_port, domain, (uint32_t)port);
    port_raise(domain, (uint32_t)port);
    request->reply.arg[0] = (uint32_t)port;
    return 0;
}

int evtchn_bind_virq(struct request *request)
{
    struct conn *conn = request->conn;
    uint32_t virq = request->message.arg[0];
    int port;

    if (virq >= VIRQS)
        return -EINVAL;
    if (virq_ports[virq])
        return -EEXIST;
    port = conn->handle < 0 ? -EBADF : port_open(conn->domain, 0, conn);
    if (port < 0)
        return port;
    conn->domain->ports[port].kind = PORT_VIRQ;
    conn->domain->ports[port].remote_port = virq;
    virq_ports[virq] = (uint32_t)port;
    request->reply.arg[0] = (uint32_t)port;
    return 0;
}

/* The port that a request names, which must belong to its own handle. */
static struct port *port_own(struct request *request)
{
    uint32_t port = request->message.arg[0];
    struct port *own = &request->conn->domain->ports[port % SIM_PORTS];

    return port < SIM_PORTS && own->conn == request->conn ? own : NULL;
}

int evtchn_unbind(struct request *request)
{
    if (request->message.arg[0] >= SIM_PORTS)
        return -EINVAL;
    if (!port_own(request))
        return -ENOTCONN;
    port_detach(request->conn->domain, request->message.arg[0]);
    return 0;
}

int evtchn_peer(struct request *request)
{
    struct port *own = port_own(request);
    struct conn *peer =
        own && own->kind == PORT_INTERDOMAIN ? own->remote->ports[own->remote_port].conn : NULL;

    if (!peer)
        return -ENOTCONN;
    request->reply.arg[0] = (uint32_t)peer->handle;
    request->reply.arg[1] = atomic_load(&control_memory()->handles[peer->handle].generation);
    request->out_fds[0] = handle_eventfd((uint32_t)peer->handle);
    request->nout = 1;
    return 0;
}

int evtchn_adopt(struct request *request)
{
    struct conn *conn = request->conn;
    struct domain *domain = conn->domain;

    if (conn->handle < 0 || conn->pid != domain->init || domain->ports[domain->store_port].conn)
        return -EPERM;
    port_attach(domain, domain->store_port, conn);
    conn->host = true;
    request->reply.arg[0] = domain->store_port;
    request->out_fds[0] = domain->store->memory;
    request->nout = 1;
    return 0;
}

int evtchn_status(struct request *request)
{
    struct domain *domain = domain_meant(request, 0);
    uint32_t port = request->message.arg[1];

    if (!domain)
        return -ESRCH;
    if (request->conn->domain->domid != 0 && request->conn->domain != domain)
        return -EPERM;
    if (port > domain->last_port)
        return -EINVAL;
    request->reply.arg[0] = (uint32_t)domain->ports[port].kind;
    request->reply.arg[1] = domain->ports[port].remote_domid;
    request->reply.arg[2] = domain->ports[port].remote_port;
    return 0;
}
