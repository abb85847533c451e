/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/hypervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/client.h"

#define EVENTS 512

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

/* Answers what has arrived, or closes the connection. */
static void conn_receive(struct conn *conn)
{
    static struct request request;
    int error;

    request.conn = conn;
    request.nfds = 4;
    error = sim_receive(conn->source.fd, &request.message, request.payload, sizeof(request.payload),
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

static void conn_ready(struct source *source)
{
    conn_receive((struct conn *)source);
    domains_reap();
}

static void listener_ready(struct source *source)
{
    /* cppcheck-suppress nullPointer ; nobody wants to know the address */
    int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0 && conn_open(fd, ((struct domain_source *)source)->domain) < 0)
        close(fd);
}

/* A signal sent to the host by kill() goes to the command. */
static void signals_ready(struct source *source)
{
    struct signalfd_siginfo info;

    if (read(source->fd, &info, sizeof(info)) == sizeof(info) && info.ssi_code <= 0)
        domain_boot_signal(info.ssi_signo);
}

static void (*const source_ready[])(struct source *source) = {
    [SOURCE_CONN] = conn_ready,
    [SOURCE_CONTROL] = control_ready,
    [SOURCE_LISTENER] = listener_ready,
    [SOURCE_SIGNALS] = signals_ready,
};

/*
 * Handles ended connections first: as with a kernel, when a wait for a process's death returns,
 * what the process had is released.
 */
static void events_handle(struct epoll_event *events, int count)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;
            bool ended = events[i].events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR);

            if (ended == (pass == 0) && !source->dead)
                do
                    source_ready[source->kind](source);
                while (ended && !source->dead);
        }
    }
    sources_free();
}

int hypervisor_run(void)
{
    static struct epoll_event events[EVENTS];

    while (domain_boot_status() < 0) {
        int count = sources_wait(events, EVENTS, repair_timeout());

        if (count < 0 && errno != EINTR)
            return 1;
        if (count > 0)
            events_handle(events, count);
        repair_continue();
    }
    return domain_boot_status();
}
