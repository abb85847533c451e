/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>
#include <xen/sched.h>

#include "sim/evtchn.h"
#include "sim/protocol.h"

#define STORE_SOCKET "/run/xenstored/socket"
#define MESSAGE_SIZE (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

/* Bytes waiting to be sent. */
struct queue {
    char *bytes;
    size_t used, size;
};

/* A message being received. */
struct assembly {
    char bytes[MESSAGE_SIZE];
    size_t used;
};

struct client {
    int fd;
    bool gone;
    struct assembly in;
    struct queue out;
    struct client *next;
};

/* A request under way. client is NULL for the kernel's own, and if the client has gone. */
struct pending {
    uint32_t id, original, type, transaction;
    struct client *client;
    uint32_t watch; /* the watch that it sets or removes */
    struct pending *next;
};

struct watch {
    uint32_t id;
    struct client *client;
    char *path, *token;
    struct watch *next;
};

struct transaction {
    uint32_t id;
    struct client *client;
    struct transaction *next;
};

static struct {
    xenevtchn_handle *xce;
    uint32_t port;
    struct xenstore_domain_interface *ring;
    int listener;
    struct assembly in;
    struct queue out;
    struct client *clients;
    struct pending *pendings;
    struct watch *watches;
    struct transaction *transactions;
    uint32_t last_id;
    void (*power)(uint32_t reason);
} bridge;

static void queue_add(struct queue *queue, const void *bytes, size_t length)
{
    if (queue->used + length > queue->size) {
        size_t size = (queue->used + length) * 2;
        char *more = realloc(queue->bytes, size);

        if (!more)
            abort(); /* the domain's kernel is out of memory */
        queue->bytes = more;
        queue->size = size;
    }
    memcpy(queue->bytes + queue->used, bytes, length);
    queue->used += length;
}

static void queue_drop(struct queue *queue, size_t length)
{
    queue->used -= length;
    memmove(queue->bytes, queue->bytes + length, queue->used);
}

/* The ring */

static void ring_write(void)
{
    struct xenstore_domain_interface *ring = bridge.ring;
    uint32_t prod = ring->req_prod;
    size_t room = XENSTORE_RING_SIZE - (prod - __atomic_load_n(&ring->req_cons, __ATOMIC_ACQUIRE));
    size_t length = bridge.out.used < room ? bridge.out.used : room;

    if (length == 0 || room > XENSTORE_RING_SIZE)
        return;
    for (size_t i = 0; i < length; i++)
        ring->req[MASK_XENSTORE_IDX(prod + i)] = bridge.out.bytes[i];
    __atomic_store_n(&ring->req_prod, prod + (uint32_t)length, __ATOMIC_RELEASE);
    queue_drop(&bridge.out, length);
    xenevtchn_notify(bridge.xce, bridge.port);
}

/* Reads up to size bytes from the ring. */
static size_t ring_read(char *bytes, size_t size)
{
    struct xenstore_domain_interface *ring = bridge.ring;
    uint32_t cons = ring->rsp_cons;
    size_t length = __atomic_load_n(&ring->rsp_prod, __ATOMIC_ACQUIRE) - cons;

    if (length > XENSTORE_RING_SIZE)
        return 0;
    if (length > size)
        length = size;
    for (size_t i = 0; i < length; i++)
        bytes[i] = ring->rsp[MASK_XENSTORE_IDX(cons + i)];
    if (length > 0) {
        __atomic_store_n(&ring->rsp_cons, cons + (uint32_t)length, __ATOMIC_RELEASE);
        xenevtchn_notify(bridge.xce, bridge.port);
    }
    return length;
}

/* How many bytes the incomplete message still lacks, or -1 if it is too long. */
static ssize_t assembly_lacks(const struct assembly *in)
{
    struct xsd_sockmsg header;

    if (in->used < sizeof(header))
        return (ssize_t)(sizeof(header) - in->used);
    memcpy(&header, in->bytes, sizeof(header));
    if (header.len > XENSTORE_PAYLOAD_MAX)
        return -1;
    return (ssize_t)(sizeof(header) + header.len - in->used);
}

/* Requests */

static struct pending *request_send(struct client *client, const struct xsd_sockmsg *header,
                                    const void *payload, uint32_t watch)
{
    struct xsd_sockmsg message = *header;
    struct pending *pending = calloc(1, sizeof(*pending));
    struct pending **link = &bridge.pendings;

    if (!pending)
        abort();
    *pending = (struct pending){.id = ++bridge.last_id,
                                .original = header->req_id,
                                .type = header->type,
                                .transaction = header->tx_id,
                                .client = client,
                                .watch = watch};
    while (*link)
        link = &(*link)->next;
    *link = pending;
    message.req_id = pending->id;
    queue_add(&bridge.out, &message, sizeof(message));
    queue_add(&bridge.out, payload, message.len);
    return pending;
}

/* Sends a request of the kernel's own. text may contain NUL bytes. */
static void request_own(uint32_t type, uint32_t transaction, const char *text, size_t length,
                        uint32_t watch)
{
    struct xsd_sockmsg header = {.type = type, .tx_id = transaction, .len = (uint32_t)length};

    request_send(NULL, &header, text, watch);
}

static void client_send(struct client *client, const struct xsd_sockmsg *header,
                        const void *payload)
{
    if (!client || client->gone)
        return;
    queue_add(&client->out, header, sizeof(*header));
    queue_add(&client->out, payload, header->len);
}

static void client_refuse(struct client *client, const struct xsd_sockmsg *request,
                          const char *error)
{
    struct xsd_sockmsg header = {.type = XS_ERROR,
                                 .req_id = request->req_id,
                                 .tx_id = request->tx_id,
                                 .len = (uint32_t)strlen(error) + 1};

    client_send(client, &header, error);
}

/* Watches. All programs share the domain's connection, so tokens are made unique. */

static struct watch **watch_find(uint32_t id)
{
    struct watch **link = &bridge.watches;

    while (*link && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static struct watch *watch_named(struct client *client, const char *path, const char *token)
{
    struct watch *watch = bridge.watches;

    while (watch && (watch->client != client || strcmp(watch->path, path) != 0 ||
                     strcmp(watch->token, token) != 0))
        watch = watch->next;
    return watch;
}

static void watch_free(uint32_t id)
{
    struct watch **link = watch_find(id);
    struct watch *watch = *link;

    if (!watch)
        return;
    *link = watch->next;
    free(watch->path);
    free(watch->token);
    free(watch);
}

static size_t watch_payload(char *payload, const struct watch *watch)
{
    size_t length = strlen(watch->path) + 1;

    memcpy(payload, watch->path, length);
    return length + (size_t)snprintf(payload + length, 16, "%x", watch->id) + 1;
}

static struct watch *watch_new(struct client *client, const char *path, const char *token)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch) {
        *watch = (struct watch){.id = ++bridge.last_id,
                                .client = client,
                                .path = strdup(path),
                                .token = strdup(token),
                                .next = bridge.watches};
        bridge.watches = watch;
    }
    if (!watch || !watch->path || !watch->token)
        abort();
    return watch;
}

/* XS_WATCH or XS_UNWATCH: "path\0token\0". */
static void watch_request(struct client *client, const struct xsd_sockmsg *request,
                          const char *payload)
{
    const char *path = payload;
    const char *token = memchr(payload, '\0', request->len);
    char changed[MESSAGE_SIZE];
    struct xsd_sockmsg header = *request;
    struct watch *watch;

    if (!token || payload[request->len - 1] != '\0' || ++token == payload + request->len) {
        client_refuse(client, request, "EINVAL");
        return;
    }
    watch = watch_named(client, path, token);
    if ((request->type == XS_WATCH) == (watch != NULL)) {
        client_refuse(client, request, watch ? "EEXIST" : "ENOENT");
        return;
    }
    if (!watch)
        watch = watch_new(client, path, token);
    header.len = (uint32_t)watch_payload(changed, watch);
    request_send(client, &header, changed, watch->id);
}

static void watch_event(const struct xsd_sockmsg *event, char *payload)
{
    char *token = memchr(payload, '\0', event->len);
    size_t path = token ? (size_t)(token - payload) + 1 : event->len;
    struct xsd_sockmsg header = *event;
    struct watch *watch;
    char changed[MESSAGE_SIZE];
    size_t length;

    if (path >= event->len || payload[event->len - 1] != '\0')
        return;
    watch = *watch_find((uint32_t)strtoul(token + 1, NULL, 16));
    if (!watch)
        return;
    if (!watch->client) {
        request_own(XS_READ, 0, "control/shutdown", sizeof("control/shutdown"), 0);
        return;
    }
    length = strlen(watch->token) + 1;
    if (path + length > XENSTORE_PAYLOAD_MAX)
        return;
    memcpy(changed, payload, path);
    memcpy(changed + path, watch->token, length);
    header.len = (uint32_t)(path + length);
    client_send(watch->client, &header, changed);
}

/* Transactions. Those of a program that dies are aborted. */

static void transaction_note(uint32_t id, struct client *client)
{
    struct transaction *transaction = calloc(1, sizeof(*transaction));

    if (!transaction)
        abort();
    *transaction = (struct transaction){id, client, bridge.transactions};
    bridge.transactions = transaction;
}

static void transaction_forget(uint32_t id)
{
    struct transaction **link = &bridge.transactions;

    while (*link && (*link)->id != id)
        link = &(*link)->next;
    if (*link) {
        struct transaction *transaction = *link;

        *link = transaction->next;
        free(transaction);
    }
}

static void transaction_abort(uint32_t id)
{
    request_own(XS_TRANSACTION_END, id, "F", sizeof("F"), 0);
}

/* Shuts down as Linux's xen/manage.c does: takes the command, then obeys. */

static void shutdown_command(const char *command, size_t length)
{
    static const struct {
        const char *name;
        uint32_t reason;
    } commands[] = {
        {"poweroff", SHUTDOWN_poweroff}, {"halt", SHUTDOWN_poweroff}, {"reboot", SHUTDOWN_reboot}};

    if (length == 0)
        return;
    request_own(XS_WRITE, 0, "control/shutdown", sizeof("control/shutdown"), 0);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (strlen(commands[i].name) == length && memcmp(command, commands[i].name, length) == 0)
            bridge.power(commands[i].reason);
}

/* Replies */

static void own_reply(const struct pending *pending, const struct xsd_sockmsg *reply,
                      const char *payload)
{
    if (pending->type == XS_TRANSACTION_START && reply->type == XS_TRANSACTION_START)
        transaction_abort((uint32_t)strtoul(payload, NULL, 10)); /* its client died meanwhile */
    if (pending->type == XS_READ && reply->type == XS_READ)
        shutdown_command(payload, reply->len);
}

static void reply_note(const struct pending *pending, const struct xsd_sockmsg *reply,
                       const char *payload)
{
    bool failed = reply->type == XS_ERROR;

    if (pending->watch && failed == (pending->type == XS_WATCH))
        watch_free(pending->watch);
    if (pending->type == XS_TRANSACTION_START && !failed && pending->client)
        transaction_note((uint32_t)strtoul(payload, NULL, 10), pending->client);
}

static void reply_handle(struct xsd_sockmsg *reply, const char *payload)
{
    struct pending **link = &bridge.pendings;
    struct pending *pending;

    while (*link && (*link)->id != reply->req_id)
        link = &(*link)->next;
    pending = *link;
    if (!pending)
        return;
    *link = pending->next;
    reply_note(pending, reply, payload);
    if (pending->client) {
        reply->req_id = pending->original;
        client_send(pending->client, reply, payload);
    } else {
        own_reply(pending, reply, payload);
    }
    free(pending);
}

static void ring_handle(void)
{
    struct assembly *in = &bridge.in;
    ssize_t lacks;

    while ((lacks = assembly_lacks(in)) >= 0) {
        struct xsd_sockmsg header;
        size_t got = ring_read(in->bytes + in->used, (size_t)lacks);

        in->used += got;
        if (lacks > 0 && got == 0)
            return;
        if (assembly_lacks(in) > 0)
            continue;
        memcpy(&header, in->bytes, sizeof(header));
        in->used = 0;
        if (header.type == XS_WATCH_EVENT)
            watch_event(&header, in->bytes + sizeof(header));
        else
            reply_handle(&header, in->bytes + sizeof(header));
    }
    abort(); /* xenstored never sends a message that is too long */
}

/* Programs */

static void client_close(struct client *client)
{
    struct watch *watch, *next;
    struct transaction *transaction;

    client->gone = true;
    for (struct pending *pending = bridge.pendings; pending; pending = pending->next)
        if (pending->client == client)
            pending->client = NULL;
    for (watch = bridge.watches; watch; watch = next) {
        char payload[MESSAGE_SIZE];

        next = watch->next;
        if (watch->client != client)
            continue;
        request_own(XS_UNWATCH, 0, payload, watch_payload(payload, watch), 0);
        watch_free(watch->id);
    }
    do {
        transaction = bridge.transactions;
        while (transaction && transaction->client != client)
            transaction = transaction->next;
        if (transaction) {
            transaction_abort(transaction->id);
            transaction_forget(transaction->id);
        }
    } while (transaction);
}

static void client_request(struct client *client)
{
    struct xsd_sockmsg header;
    const char *payload = client->in.bytes + sizeof(header);

    memcpy(&header, client->in.bytes, sizeof(header));
    client->in.used = 0;
    if (header.type == XS_WATCH || header.type == XS_UNWATCH) {
        watch_request(client, &header, payload);
        return;
    }
    if (header.type == XS_RESET_WATCHES || header.type == XS_WATCH_EVENT) {
        client_refuse(client, &header, "EINVAL");
        return;
    }
    if (header.type == XS_TRANSACTION_END)
        transaction_forget(header.tx_id);
    request_send(client, &header, payload, 0);
}

static void client_read(struct client *client)
{
    while (!client->gone) {
        ssize_t lacks = assembly_lacks(&client->in);
        ssize_t got = 0;

        if (lacks > 0)
            got = recv(client->fd, client->in.bytes + client->in.used, (size_t)lacks, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (lacks < 0 || (lacks > 0 && got <= 0)) {
            client_close(client);
            return;
        }
        client->in.used += (size_t)got;
        if (client->in.used >= sizeof(struct xsd_sockmsg) && assembly_lacks(&client->in) == 0)
            client_request(client);
    }
}

static void client_write(struct client *client)
{
    while (client->out.used > 0 && !client->gone) {
        ssize_t sent = send(client->fd, client->out.bytes, client->out.used, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (sent < 0)
            client_close(client);
        else
            queue_drop(&client->out, (size_t)sent);
    }
}

static void clients_bury(void)
{
    struct client **link = &bridge.clients;

    while (*link) {
        struct client *client = *link;

        if (!client->gone) {
            link = &client->next;
            continue;
        }
        *link = client->next;
        close(client->fd);
        free(client->out.bytes);
        free(client);
    }
}

static void client_accept(void)
{
    /* cppcheck-suppress nullPointer ; nobody wants to know the address */
    int fd = accept4(bridge.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *client = fd < 0 ? NULL : calloc(1, sizeof(*client));

    if (!client) {
        if (fd >= 0)
            close(fd);
        return;
    }
    client->fd = fd;
    client->next = bridge.clients;
    bridge.clients = client;
}

static int listener_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = STORE_SOCKET};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0)
        return -errno;
    return fd;
}

/* Writes what Linux offers to the toolstack. */
static void features_write(void)
{
    static const char *const nodes[] = {"control/feature-poweroff", "control/feature-reboot"};
    char payload[64];

    for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
        int length = snprintf(payload, sizeof(payload), "%s%c1", nodes[i], '\0');

        request_own(XS_WRITE, 0, payload, (size_t)length, 0);
    }
}

static void shutdown_watch(void)
{
    char payload[MESSAGE_SIZE];
    struct watch *watch = watch_new(NULL, "control/shutdown", "");

    request_own(XS_WATCH, 0, payload, watch_payload(payload, watch), watch->id);
}

int bridge_open(void (*power)(uint32_t reason))
{
    int fd, rc;

    bridge.power = power;
    bridge.xce = xenevtchn_open(NULL, 0);
    if (!bridge.xce)
        return -errno;
    fcntl(xenevtchn_fd(bridge.xce), F_SETFL, O_NONBLOCK);
    fd = evtchn_store(bridge.xce, &bridge.port);
    if (fd < 0)
        return fd;
    bridge.ring = mmap(NULL, SIM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rc = bridge.ring == MAP_FAILED ? -errno : 0;
    close(fd);
    if (rc < 0)
        return rc;
    bridge.listener = listener_open();
    if (bridge.listener < 0)
        return bridge.listener;
    request_own(XS_RESET_WATCHES, 0, "", 1, 0);
    features_write();
    shutdown_watch();
    ring_write();
    return 0;
}

int bridge_poll(struct pollfd *fds)
{
    int count = 0;

    if (!bridge.ring)
        return 0;
    fds[count++] = (struct pollfd){.fd = xenevtchn_fd(bridge.xce), .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = bridge.listener, .events = POLLIN};
    for (struct client *client = bridge.clients; client && count < BRIDGE_FDS;
         client = client->next)
        fds[count++] =
            (struct pollfd){.fd = client->fd, .events = POLLIN | (client->out.used ? POLLOUT : 0)};
    return count;
}

void bridge_handle(const struct pollfd *fds, int count)
{
    struct client *client = bridge.clients;

    for (int i = 2; i < count && client; i++, client = client->next)
        if (fds[i].revents)
            client_read(client);
    if (fds[0].revents) {
        int port = xenevtchn_pending(bridge.xce);

        if (port >= 0)
            xenevtchn_unmask(bridge.xce, (uint32_t)port);
    }
    ring_handle();
    if (fds[1].revents)
        client_accept();
    for (client = bridge.clients; client; client = client->next)
        client_write(client);
    clients_bury();
    ring_write();
}
