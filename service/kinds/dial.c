/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/dial.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "state/store.h"

#define RESOLVE_SECONDS 15
#define CONNECT_SECONDS 10

/* A server that vanished without closing the connection is noticed within two minutes. */
#define KEEPALIVE_IDLE     60
#define KEEPALIVE_INTERVAL 10
#define KEEPALIVE_PROBES   6

struct dial {
    struct event_base *base;
    void (*done)(void *arg, int fd, const char *why); /* NULL: cancelled */
    void *arg;
    char host[DIAL_HOST_MAX];
    char port[DIAL_PORT_MAX];
    struct event *step;     /* the next step, or the timeout of the current one */
    struct event *writable; /* the socket that connects */
    int fd;
    struct evdns_base *dns;
    struct evdns_getaddrinfo_request *request; /* pending */
    struct evutil_addrinfo *addresses;
    struct evutil_addrinfo *next;
    int error; /* of the last address */
};

/* ---- its end ---- */

static void dial_free(struct dial *dial)
{
    if (dial->writable)
        event_free(dial->writable);
    if (dial->step)
        event_free(dial->step);
    if (dial->addresses)
        evutil_freeaddrinfo(dial->addresses);
    if (dial->dns)
        evdns_base_free(dial->dns, 0);
    if (dial->fd >= 0)
        close(dial->fd);
    free(dial);
}

static void dial_finish(struct dial *dial, int fd, const char *why)
{
    void (*done)(void *, int, const char *) = dial->done;
    void *arg = dial->arg;

    dial->fd = -1;
    dial_free(dial);
    done(arg, fd, why);
}

static void arm_step(struct dial *dial, int seconds)
{
    const struct timeval time = {.tv_sec = seconds};

    event_add(dial->step, &time);
}

/* ---- connecting ---- */

void dial_set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static void drop_socket(struct dial *dial, int error)
{
    if (dial->writable)
        event_free(dial->writable);
    dial->writable = NULL;
    if (dial->fd >= 0)
        close(dial->fd);
    dial->fd = -1;
    dial->error = error;
}

static void connect_next(struct dial *dial);

static void address_connected(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;
    socklen_t length = sizeof(int);
    int error = 0;

    (void)what;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    if (error) {
        drop_socket(dial, -error);
        connect_next(dial);
        return;
    }
    dial_set_options(fd);
    dial_finish(dial, fd, "");
}

/* Starts connecting to one address. Returns false if that failed at once. */
static bool connect_address(struct dial *dial, const struct evutil_addrinfo *address)
{
    dial->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (dial->fd < 0 ||
        (connect(dial->fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)) {
        drop_socket(dial, -errno);
        return false;
    }
    dial->writable = event_new(dial->base, dial->fd, EV_WRITE, address_connected, dial);
    if (!dial->writable || event_add(dial->writable, NULL) < 0) {
        drop_socket(dial, -ENOMEM);
        return false;
    }
    arm_step(dial, CONNECT_SECONDS);
    return true;
}

static void connect_next(struct dial *dial)
{
    char why[128];

    while (dial->next) {
        const struct evutil_addrinfo *address = dial->next;

        dial->next = address->ai_next;
        if (connect_address(dial, address))
            return;
    }
    snprintf(why, sizeof(why), "cannot connect to its address: %s", strerror(-dial->error));
    dial_finish(dial, dial->error, why);
}

/* ---- resolving ---- */

/*
 * evdns still uses its data during this callback, so dial_step() continues later and may free it.
 */
static void on_resolved(int rc, struct evutil_addrinfo *addresses, void *arg)
{
    struct dial *dial = arg;

    dial->request = NULL;
    dial->addresses = dial->next = addresses;
    dial->error = rc;
    arm_step(dial, 0);
}

static void resolve_host(struct dial *dial)
{
    const struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};

    dial->dns = evdns_base_new(dial->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!dial->dns) {
        on_resolved(EVUTIL_EAI_MEMORY, NULL, dial);
        return;
    }
    evdns_base_resolv_conf_parse(dial->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    arm_step(dial, RESOLVE_SECONDS);
    dial->request = evdns_getaddrinfo(dial->dns, dial->host, dial->port, &hints, on_resolved, dial);
}

static void connect_first(struct dial *dial)
{
    char why[128];

    if (dial->addresses) {
        dial->error = -ECONNREFUSED;
        connect_next(dial);
        return;
    }
    snprintf(why, sizeof(why), "cannot resolve its address: %s",
             dial->error == EVUTIL_EAI_CANCEL ? "no name server answered"
                                              : evutil_gai_strerror(dial->error));
    dial_finish(dial, -EHOSTUNREACH, why);
}

/* The next step is due, or the current one has timed out. */
static void dial_step(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;

    (void)fd, (void)what;
    if (!dial->dns && dial->error == 0) {
        resolve_host(dial);
    } else if (dial->request) {
        evdns_getaddrinfo_cancel(dial->request); /* calls on_resolved() */
    } else if (!dial->done) {
        dial_free(dial);
    } else if (dial->fd >= 0) {
        drop_socket(dial, -ETIMEDOUT);
        connect_next(dial);
    } else {
        connect_first(dial);
    }
}

/* ---- for its owner ---- */

bool dial_split(const char *address, char host[DIAL_HOST_MAX], char port[DIAL_PORT_MAX])
{
    const char *colon = strrchr(address, ':');
    size_t length = colon ? (size_t)(colon - address) : 0;
    uint32_t number = 0;

    if (length >= 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        length -= 2;
    }
    if (length == 0 || length >= DIAL_HOST_MAX ||
        parse_number(colon + 1, UINT16_MAX, &number) < 0 || number == 0)
        return false;
    memcpy(host, address, length);
    host[length] = '\0';
    snprintf(port, DIAL_PORT_MAX, "%hu", (unsigned short)number);
    return true;
}

struct dial *dial_start(struct event_base *base, const char *address,
                        void (*done)(void *arg, int fd, const char *why), void *arg)
{
    struct dial *dial = calloc(1, sizeof(*dial));

    if (!dial)
        return NULL;
    *dial = (struct dial){.base = base, .done = done, .arg = arg, .fd = -1};
    dial->step = evtimer_new(base, dial_step, dial);
    if (!dial->step || !dial_split(address, dial->host, dial->port)) {
        dial_free(dial);
        return NULL;
    }
    arm_step(dial, 0);
    return dial;
}

void dial_cancel(struct dial *dial)
{
    if (!dial)
        return;
    dial->done = NULL;
    if (dial->request)
        evdns_getaddrinfo_cancel(dial->request);
    else
        dial_free(dial);
}

void dial_peer(int fd, char *text, size_t size)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    char host[DIAL_HOST_MAX], port[DIAL_PORT_MAX];

    text[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&address, &length) == 0 &&
        getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(text, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
