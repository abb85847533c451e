/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections: what a kernel does when a device file is opened and released. */
#include <errno.h>
#include <sys/socket.h>

#include "sim/hypervisor.h"

int conn_open(int fd, struct domain *domain)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    struct conn *conn = (struct conn *)source_add(fd, sizeof(*conn), SOURCE_CONN);

    if (!conn)
        return -ENOMEM;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    conn->domain = domain;
    conn->pid = peer.pid;
    conn->handle = -1;
    conn->next = conns;
    conn->link = &conns;
    if (conns)
        conns->link = &conn->next;
    conns = conn;
    return 0;
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
