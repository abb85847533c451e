/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/client.h"

#define EVENTS 512

struct conn *conns;

static int epoll = -1;
static int exit_status = -1;
static struct source *graveyard;

struct source *source_add(int fd, size_t size, void (*ready)(struct source *))
{
    struct source *source = calloc(1, size);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = source};

    if (!source)
        return NULL;
    source->fd = fd;
    source->ready = ready;
    if (epoll < 0)
        epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(source);
        return NULL;
    }
    return source;
}

void source_remove(struct source *source)
{
    if (!source || source->dead)
        return;
    epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
    close(source->fd);
    source->dead = true;
    source->next = graveyard;
    graveyard = source;
}

static void graveyard_clear(void)
{
    while (graveyard) {
        struct source *source = graveyard;

        graveyard = source->next;
        free(source);
    }
}

static int host_ready(struct request *request)
{
    if (request->conn->domain->domid != 0)
        return -EPERM;
    for (struct conn *conn = conns; conn; conn = conn->next)
        conn->host = true;
    return 0;
}

static const struct {
    int (*handle)(struct request *request);
    bool privileged;
} handlers[SIM_OPS] = {
    [SIM_EVTCHN_OPEN] = {evtchn_open, false},
    [SIM_BIND_UNBOUND] = {evtchn_bind_unbound, false},
    [SIM_BIND_INTERDOMAIN] = {evtchn_bind_interdomain, false},
    [SIM_BIND_VIRQ] = {evtchn_bind_virq, true},
    [SIM_UNBIND] = {evtchn_unbind, false},
    [SIM_PEER] = {evtchn_peer, false},
    [SIM_STORE] = {evtchn_adopt, false},
    [SIM_PORT_STATUS] = {evtchn_status, false},
    [SIM_SHARE] = {grant_share, false},
    [SIM_UNSHARE] = {grant_unshare, false},
    [SIM_MAP] = {grant_map, false},
    [SIM_UNMAP] = {grant_unmap, false},
    [SIM_LIST] = {domain_list, false},
    [SIM_CREATE] = {domain_create, true},
    [SIM_DESTROY] = {domain_destroy, true},
    [SIM_PAUSE] = {domain_pause, true},
    [SIM_UNPAUSE] = {domain_unpause, true},
    [SIM_SHUTDOWN] = {domain_shutdown, true},
    [SIM_SPAWN] = {domain_spawn, false},
    [SIM_SIGNAL] = {domain_signal, false},
    [SIM_LIMIT] = {grant_limit, false},
    [SIM_READY] = {host_ready, true},
    [SIM_LEAKS] = {report_leaks, false},
};

static void request_answer(struct request *request)
{
    struct conn *conn = request->conn;
    uint32_t op = request->message.op;
    int result = -ENOSYS;

    request->reply = (struct sim_message){.op = op};
    request->out = NULL;
    request->nout = 0;
    request->silent = false;
    if (op < SIM_OPS && handlers[op].handle)
        result = handlers[op].privileged && conn->domain->domid != 0 ? -EPERM
                                                                     : handlers[op].handle(request);
    request->reply.result = result < 0 ? result : 0;
    if (!request->silent || result < 0)
        sim_send(conn->source.fd, &request->reply, request->out, request->out_fds, request->nout);
    free(request->out);
    for (int i = 0; i < request->nfds; i++)
        close(request->fds[i]);
}

/* Answers what has arrived, or buries the connection. */
static void conn_ready(struct source *source)
{
    static struct request request;
    struct conn *conn = (struct conn *)source;
    int error;

    request.conn = conn;
    request.nfds = 4;
    error = sim_receive(source->fd, &request.message, request.payload, sizeof(request.payload),
                        request.fds, &request.nfds);
    if (error == -EAGAIN)
        return;
    if (error) {
        for (int i = 0; i < request.nfds && request.nfds <= 4; i++)
            close(request.fds[i]);
        conn_close(conn);
        return;
    }
    request_answer(&request);
}

void conn_close(struct conn *conn)
{
    if (conn->source.dead)
        return;
    spawn_end(conn);
    handle_close(conn);
    grants_close(conn);
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    source_remove(&conn->source);
}

void conn_accept(struct source *listener, struct domain *domain)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    struct conn *conn;

    if (fd < 0)
        return;
    conn = (struct conn *)source_add(fd, sizeof(*conn), conn_ready);
    if (!conn) {
        close(fd);
        return;
    }
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    conn->domain = domain;
    conn->pid = peer.pid;
    conn->handle = -1;
    conn->next = conns;
    conn->link = &conns;
    if (conns)
        conns->link = &conn->next;
    conns = conn;
}

/* What ended comes first: whoever waited for a process to die finds its things released, as with
 * a kernel. */
static void events_handle(struct epoll_event *events, int count)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;
            bool ended = events[i].events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR);

            if (ended == (pass == 0) && !source->dead)
                do
                    source->ready(source);
                while (ended && !source->dead);
        }
    }
    graveyard_clear();
}

int broker_run(void)
{
    static struct epoll_event events[EVENTS];

    while (exit_status < 0) {
        int count = epoll_wait(epoll, events, EVENTS, repair_timeout());

        if (count < 0 && errno != EINTR)
            return 1;
        if (count > 0)
            events_handle(events, count);
        repair_continue();
    }
    return exit_status;
}

void broker_stop(int status)
{
    exit_status = status;
}
