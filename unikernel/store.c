/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unikernel/event.h"
#include "unikernel/platform.h"
#include "unikernel/text.h"
#include "vchan/barrier.h"

#define TRIES_MAX 1000 /* tries of a transaction that others conflict with */

struct message {
    struct xsd_sockmsg head;
    char body[XENSTORE_PAYLOAD_MAX + 1]; /* + 1: a NUL */
};

static struct message request, answer;
static store_changed *changed;
static uint32_t transaction; /* 0: none */

void store_init(store_changed *told)
{
    changed = told;
    port_listen(platform.store_port);
}

/* ---- bytes ---- */

/* The bytes between two indices of the ring, which are always valid. */
static uint32_t filled(uint32_t prod, uint32_t cons)
{
    if (prod - cons > XENSTORE_RING_SIZE)
        die("xenstore's ring is corrupt");
    return prod - cons;
}

/*
 * Both functions first forget that the port fired, then check the ring, then sleep: an earlier
 * event would not wake us again.
 */

static void send(const void *bytes, size_t size)
{
    struct xenstore_domain_interface *ring = platform.store;
    const char *from = bytes;

    /* Both barriers pair with xenstored's: bytes and index are passed as in a vchan. */

    while (size > 0) {
        uint32_t prod = ring->req_prod, room;

        port_fired(platform.store_port);
        room = XENSTORE_RING_SIZE - filled(prod, load_acquire(&ring->req_cons));

        for (; room > 0 && size > 0; room--, size--)
            ring->req[MASK_XENSTORE_IDX(prod++)] = *from++;
        store_release(&ring->req_prod, prod);
        port_signal(platform.store_port);
        if (size > 0)
            event_wait();
    }
}

static void receive(void *bytes, size_t size)
{
    struct xenstore_domain_interface *ring = platform.store;
    char *to = bytes;

    while (size > 0) {
        uint32_t cons = ring->rsp_cons, there;

        port_fired(platform.store_port);
        there = filled(load_acquire(&ring->rsp_prod), cons);
        if (there == 0) {
            event_wait();
            continue;
        }
        for (; there > 0 && size > 0; there--, size--)
            *to++ = ring->rsp[MASK_XENSTORE_IDX(cons++)];
        store_release(&ring->rsp_cons, cons);
        port_signal(platform.store_port);
    }
}

/* ---- messages ---- */

static void message_receive(void)
{
    receive(&answer.head, sizeof(answer.head));
    if (answer.head.len > XENSTORE_PAYLOAD_MAX)
        die("xenstore's answer is too long");
    receive(answer.body, answer.head.len);
    answer.body[answer.head.len] = '\0';
}

/* The body is two strings, each with its NUL; another NUL follows in any case. */
static void event_pass_on(void)
{
    size_t path = strlen(answer.body) + 1;

    if (path <= answer.head.len)
        changed(answer.body, answer.body + path);
}

void store_dispatch(void)
{
    struct xenstore_domain_interface *ring = platform.store;

    while (filled(load_acquire(&ring->rsp_prod), ring->rsp_cons) > 0) {
        message_receive();
        if (answer.head.type == XS_WATCH_EVENT)
            event_pass_on();
    }
}

/*
 * Sends the request with a body of length bytes. Returns 0 with the reply in answer, or a negative
 * errno.
 */
static int exchange(uint32_t type, size_t length)
{
    if (length > XENSTORE_PAYLOAD_MAX)
        return -ENAMETOOLONG;
    request.head.type = type;
    request.head.req_id++;
    request.head.tx_id = type == XS_WATCH ? 0 : transaction;
    request.head.len = (uint32_t)length;
    send(&request, sizeof(request.head) + length);
    for (;;) {
        message_receive();
        if (answer.head.type == XS_WATCH_EVENT)
            event_pass_on();
        else if (answer.head.req_id == request.head.req_id)
            break;
    }
    return answer.head.type == XS_ERROR ? error_by_name(answer.body) : 0;
}

/* Puts a path and its NUL at the beginning of the request. Returns its length with the NUL. */
static size_t put_path(const char *dir, const char *key)
{
    return (size_t)snprintf(request.body, sizeof(request.body), "%s%s%s", dir, key ? "/" : "",
                            key ? key : "") +
           1;
}

/* Appends a text after length bytes, without its NUL. Returns the new length. */
static size_t put_text(size_t length, const char *text)
{
    if (length > sizeof(request.body))
        return length;
    return length +
           (size_t)snprintf(request.body + length, sizeof(request.body) - length, "%s", text);
}

/* ---- requests ---- */

static int read_node(const char *dir, const char *key)
{
    int rc = exchange(XS_READ, put_path(dir, key));

    if (rc == 0 && strlen(answer.body) != answer.head.len)
        rc = -EINVAL; /* it contains a NUL */
    return rc;
}

int store_read_text(const char *dir, const char *key, char *text, size_t size)
{
    int rc = read_node(dir, key);

    if (rc < 0)
        return rc;
    if (answer.head.len >= size)
        return -EOVERFLOW;
    memcpy(text, answer.body, answer.head.len + 1);
    return 0;
}

int store_read_number(const char *dir, const char *key, uint32_t max, uint32_t *value)
{
    int rc = read_node(dir, key);

    return rc < 0 ? rc : number_parse(answer.body, max, value);
}

int store_read_state(const char *dir, enum xenbus_state *state)
{
    uint32_t number = XenbusStateUnknown;
    int rc = store_read_number(dir, "state", XenbusStateReconfigured, &number);

    if (rc == 0 || rc == -ENOENT)
        *state = (enum xenbus_state)number;
    return rc == -ENOENT ? 0 : rc == -ERANGE ? -EINVAL : rc;
}

int store_write_text(const char *dir, const char *key, const char *text)
{
    return exchange(XS_WRITE, put_text(put_path(dir, key), text));
}

int store_write_number(const char *dir, const char *key, uint32_t value)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", value);
    return store_write_text(dir, key, text);
}

int store_share(const char *dir, const char *key, domid_t self, domid_t reader)
{
    char text[16];
    size_t length = put_path(dir, key);

    snprintf(text, sizeof(text), "n%u", self);
    length = put_text(length, text) + 1;
    snprintf(text, sizeof(text), "r%u", reader);
    return exchange(XS_SET_PERMS, put_text(length, text) + 1);
}

int store_remove(const char *dir, const char *key)
{
    int rc = exchange(XS_RM, put_path(dir, key));

    return rc == -ENOENT ? 0 : rc;
}

int store_list(const char *dir, void (*each)(const char *name))
{
    int rc = exchange(XS_DIRECTORY, put_path(dir, NULL));

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    for (size_t at = 0; at < answer.head.len; at += strlen(answer.body + at) + 1)
        each(answer.body + at);
    return 0;
}

int store_watch(const char *path, const char *token)
{
    int rc = exchange(XS_WATCH, put_text(put_path(path, NULL), token) + 1);

    return rc == -EEXIST ? 0 : rc;
}

/* ---- transactions ---- */

static int transaction_end(bool commit)
{
    int rc = exchange(XS_TRANSACTION_END, put_path(commit ? "T" : "F", NULL));

    transaction = 0;
    return rc;
}

static int transaction_try(int (*fill)(void *arg), void *arg)
{
    int rc = exchange(XS_TRANSACTION_START, put_path("", NULL));

    if (rc == 0)
        rc = number_parse(answer.body, UINT32_MAX, &transaction);
    if (rc < 0)
        return rc;
    rc = fill(arg);
    if (rc == 0)
        return transaction_end(true);
    transaction_end(false);
    return rc;
}

int store_transaction(int (*fill)(void *arg), void *arg)
{
    int rc = -EAGAIN;

    for (int tries = 0; rc == -EAGAIN && tries < TRIES_MAX; tries++)
        rc = transaction_try(fill, arg);
    return rc;
}
