/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/server.h"

#include <errno.h>

#include "unikernel/channel.h"
#include "unikernel/console.h"
#include "unikernel/event.h"
#include "unikernel/store.h"
#include "unikernel/text.h"

struct server {
    struct options_server where;
    struct channel *channel; /* a new one for each client */
    bool met;                /* its client has come */
    bool failed;             /* it could not be offered, and that was reported */
};

static struct server servers[OPTIONS_SERVERS_MAX];
static unsigned int count;
static struct ring_orders orders;
static domid_t own_domid;

int servers_init(const struct options *options, domid_t self)
{
    own_domid = self;
    count = options->count;
    for (unsigned int i = 0; i < count; i++)
        servers[i].where = options->servers[i];
    return ring_orders_for(options->read_ring, options->write_ring, &orders);
}

static int write_key(const struct server *server, const char *key, uint32_t value)
{
    int rc = store_write_number(server->where.path, key, value);

    return rc < 0 ? rc : store_share(server->where.path, key, own_domid, server->where.peer);
}

static int write_keys(void *arg)
{
    const struct server *server = arg;
    int rc = write_key(server, "ring-ref", channel_ring_ref(server->channel));

    return rc < 0 ? rc : write_key(server, "event-channel", channel_port(server->channel));
}

static int remove_keys(void *arg)
{
    const struct server *server = arg;
    int rc = store_remove(server->where.path, "event-channel");

    return rc < 0 ? rc : store_remove(server->where.path, "ring-ref");
}

static void server_offer(struct server *server)
{
    const struct options_server *where = &server->where;
    int rc = channel_serve(where->peer, &orders, &server->channel);

    if (rc == 0)
        rc = store_transaction(write_keys, server);
    if (rc < 0) {
        channel_close(server->channel);
        server->channel = NULL;
    }
    if (rc == 0 && (server->failed || !server->met))
        console_line("%s: offered to domain %u, rings of %u and %u bytes", where->path, where->peer,
                     1u << orders.read, 1u << orders.write);
    else if (rc < 0 && !server->failed)
        console_line("%s: cannot offer it to domain %u: %s (retrying)", where->path, where->peer,
                     error_name(rc));
    server->failed = rc < 0;
    server->met = false;
}

/* Removes the keys, so that the next client does not find those of this one. */
static void server_meet(struct server *server)
{
    server->met = true;
    store_transaction(remove_keys, server);
    console_line("%s: a client connected", server->where.path);
}

static void server_part(struct server *server, const char *how)
{
    console_line("%s: the client %s after %lu bytes", server->where.path, how,
                 channel_bytes(server->channel));
    channel_close(server->channel);
    server->channel = NULL;
}

static bool server_run(struct server *server)
{
    enum echo echo;

    if (!server->channel)
        server_offer(server);
    if (!server->channel)
        return false;
    port_fired(channel_port(server->channel));
    if (!server->met && (channel_peer_here(server->channel) || channel_peer_left(server->channel)))
        server_meet(server);
    echo = channel_echo(server->channel);
    if (echo == ECHO_CORRUPT)
        server_part(server, "corrupted the ring and was cut off");
    else if (echo == ECHO_END || echo == ECHO_LEFT)
        server_part(server, "left");
    return echo != ECHO_WAIT;
}

bool servers_run(void)
{
    bool more = false;

    for (unsigned int i = 0; i < count; i++)
        more |= server_run(&servers[i]);
    return more;
}

bool servers_wait(void)
{
    bool waiting = false;

    for (unsigned int i = 0; i < count; i++)
        waiting |= servers[i].failed;
    return waiting;
}

void servers_close(void)
{
    for (unsigned int i = 0; i < count; i++) {
        if (!servers[i].channel)
            continue;
        store_transaction(remove_keys, &servers[i]);
        channel_close(servers[i].channel);
        servers[i].channel = NULL;
    }
    count = 0;
}
