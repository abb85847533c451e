/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/handle.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- handles ---- */

static int poll_also(struct pvchan *handle, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(handle->poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST ? -errno
                                                                                        : 0;
}

int handle_make(unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle;
    int rc;

    *out = NULL;
    if (flags & ~(unsigned int)PVCHAN_NONBLOCK)
        return -EINVAL;
    handle = calloc(1, sizeof(*handle));
    if (!handle)
        return -ENOMEM;
    handle->nonblock = flags & PVCHAN_NONBLOCK;
    handle->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    rc = handle->poll_fd < 0 ? -errno : 0;
    if (rc == 0)
        rc = store_open(&handle->store);
    if (rc == 0)
        rc = xen_open(&handle->xen);
    if (rc == 0)
        rc = poll_also(handle, xen_fd(handle->xen));
    if (rc < 0) {
        pvchan_close(handle);
        return rc;
    }
    *out = handle;
    return 0;
}

int handle_watch(struct pvchan *handle, const char *path)
{
    int rc = store_watch(handle->store, path, "look");

    if (rc == 0)
        rc = poll_also(handle, store_fd(handle->store));
    handle->watches |= rc == 0;
    return rc;
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t handle_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : now() + timeout_ms;
}

static int time_left(int64_t deadline)
{
    int64_t left = deadline - now();

    if (deadline < 0)
        return -1;
    return left < 0 ? 0 : (int)left;
}

int handle_wait(struct pvchan *handle, int64_t deadline)
{
    /* Not poll_fd: an epoll in a poll costs twice. */
    struct pollfd pollfds[] = {
        {.fd = xen_fd(handle->xen), .events = POLLIN},
        {.fd = handle->watches ? store_fd(handle->store) : -1, .events = POLLIN},
    };
    int rc;

    if (deadline < 0 && !handle->watches)
        return xen_await(handle->xen);
    if (deadline >= 0 && now() > deadline)
        return -ETIMEDOUT; /* also if there is always something: a peer may see to that */
    rc = poll(pollfds, 2, time_left(deadline));
    if (rc < 0)
        return -errno;
    return rc == 0 ? -ETIMEDOUT : pvchan_dispatch(handle);
}

/* Takes all that is queued. Returns how many, or a negative errno. */
static int take_store_events(struct store *store)
{
    struct store_event event;
    int count = 0, rc;

    while ((rc = store_next_event(store, &event)) > 0)
        count++;
    return rc < 0 ? rc : count;
}

EXPORT int pvchan_dispatch(struct pvchan *handle)
{
    int rc = xen_dispatch(handle->xen);

    if (rc >= 0)
        rc = handle->watches ? take_store_events(handle->store) : 0;
    if (rc > 0 && handle->endpoint)
        endpoint_look(handle->endpoint);
    return rc < 0 ? rc : 0;
}

EXPORT int pvchan_fd(struct pvchan *handle)
{
    return handle->poll_fd;
}

static struct channel *channel_of(const struct pvchan *handle)
{
    return handle->endpoint ? endpoint_channel(handle->endpoint) : handle->plain;
}

EXPORT unsigned int pvchan_peer(struct pvchan *handle)
{
    return handle->peer;
}

EXPORT size_t pvchan_read_size(struct pvchan *handle)
{
    return handle->read_size;
}

EXPORT size_t pvchan_write_size(struct pvchan *handle)
{
    return handle->write_size;
}

EXPORT int pvchan_is_connected(struct pvchan *handle)
{
    struct channel *channel = channel_of(handle);

    return channel && channel_peer_here(channel);
}

/* ---- reading ---- */

/*
 * The channel came to its end: for good, so it is remembered. A named one knows from xenstore whether
 * that was meant, and may now let go of its rings.
 */
static ssize_t reach_end(struct pvchan *handle, ssize_t end)
{
    struct endpoint *endpoint = handle->endpoint;

    handle->over = true;
    handle->end = end;
    if (endpoint && end == -EPROTO) {
        endpoint_fail(endpoint, -EPROTO, "the peer corrupted the ring");
    } else if (endpoint) {
        endpoint_look(endpoint);
        handle->end = endpoint_ended_well(endpoint) ? 0 : -ECONNRESET;
        endpoint_set_drained(endpoint);
    }
    return handle->end;
}

static ssize_t try_read(struct pvchan *handle, void *data, size_t size)
{
    struct channel *channel = channel_of(handle);
    ssize_t rc;

    if (handle->over)
        return handle->end;
    rc = channel ? channel_read(channel, data, size, 1) : 0;
    if (rc > 0 && handle->nonblock)
        channel_tell(channel); /* its program may wait next, for anything, without us */
    return rc == 0 || rc == -EPROTO ? reach_end(handle, rc) : rc;
}

static ssize_t try_recv(struct pvchan *handle, void *data, size_t size)
{
    struct channel *channel = channel_of(handle);
    int bytes;

    if (!handle->over && channel) {
        bytes = channel_readable(channel, (uint32_t)size);
        if (bytes > 0 && (size_t)bytes < size)
            return -ENODATA;
        if (bytes == -EAGAIN)
            return bytes;
    }
    return try_read(handle, data, size);
}

/* Before a call that may wait asks for a signal: perhaps none is needed. */
static void look(struct pvchan *handle, enum channel_wait wait, size_t enough)
{
    struct channel *channel = channel_of(handle);

    if (!handle->nonblock && channel)
        channel_spin(channel, wait, (uint32_t)enough);
}

/* Goes on trying as long as the handle may wait. */
static ssize_t read_waiting(struct pvchan *handle, void *data, size_t size, size_t enough,
                            ssize_t (*try)(struct pvchan *, void *, size_t))
{
    for (;;) {
        ssize_t rc;

        look(handle, CHANNEL_READ, enough);
        rc = try(handle, data, size);
        if (rc != -EAGAIN || handle->nonblock)
            return rc;
        rc = handle_wait(handle, -1);
        if (rc < 0)
            return rc;
    }
}

EXPORT ssize_t pvchan_read(struct pvchan *handle, void *data, size_t size)
{
    return size == 0 ? 0 : read_waiting(handle, data, size, 1, try_read);
}

EXPORT ssize_t pvchan_recv(struct pvchan *handle, void *data, size_t size)
{
    if (size > handle->read_size)
        return -EMSGSIZE;
    return size == 0 ? 0 : read_waiting(handle, data, size, size, try_recv);
}

/* ---- writing ---- */

static ssize_t try_write(struct pvchan *handle, const void *data, size_t size, size_t enough)
{
    struct channel *channel = channel_of(handle);
    ssize_t rc;

    if (handle->end == -EPROTO)
        return -EPROTO; /* the channel may be gone */
    rc = channel && !handle->shut ? channel_write(channel, data, size, (uint32_t)enough) : -EPIPE;
    return rc == -EPROTO ? reach_end(handle, rc) : rc;
}

/* A stream waits for room that is worth it, not for the first byte: half the ring, or all that is left. */
static size_t worth_waiting(const struct pvchan *handle, size_t left)
{
    return left < handle->write_size / 2 ? left : handle->write_size / 2;
}

EXPORT ssize_t pvchan_write(struct pvchan *handle, const void *data, size_t size)
{
    const uint8_t *from = data;
    size_t done = 0;
    ssize_t rc = 0;

    while (done < size) {
        look(handle, CHANNEL_WRITE, worth_waiting(handle, size - done));
        rc = try_write(handle, from + done, size - done, 1);
        if (rc > 0)
            done += (size_t)rc;
        if (rc > 0 && !handle->nonblock)
            continue;
        if (rc != -EAGAIN || handle->nonblock)
            break;
        rc = handle_wait(handle, -1);
        if (rc < 0)
            break;
    }
    return done > 0 ? (ssize_t)done : rc;
}

EXPORT ssize_t pvchan_send(struct pvchan *handle, const void *data, size_t size)
{
    if (size > handle->write_size)
        return -EMSGSIZE;
    while (size > 0) {
        ssize_t rc;

        look(handle, CHANNEL_WRITE, size);
        rc = try_write(handle, data, size, size);
        if (rc != -EAGAIN || handle->nonblock)
            return rc;
        rc = handle_wait(handle, -1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- without a copy ---- */

static ssize_t try_peek(struct pvchan *handle, size_t enough)
{
    struct channel *channel = channel_of(handle);
    int bytes;

    if (handle->over)
        return handle->end;
    bytes = channel ? channel_readable(channel, (uint32_t)enough) : 0;
    return bytes == 0 || bytes == -EPROTO ? reach_end(handle, bytes) : bytes;
}

static ssize_t try_reserve(struct pvchan *handle, size_t enough)
{
    struct channel *channel = channel_of(handle);
    int room;

    if (handle->end == -EPROTO)
        return -EPROTO;
    room = channel && !handle->shut ? channel_writable(channel, (uint32_t)enough) : -EPIPE;
    return room == -EPROTO ? reach_end(handle, room) : room;
}

/* Until there is enough, or for as long as the handle may wait. */
static ssize_t await(struct pvchan *handle, enum channel_wait wait, size_t enough)
{
    for (;;) {
        ssize_t rc;

        look(handle, wait, enough);
        rc = wait == CHANNEL_READ ? try_peek(handle, enough) : try_reserve(handle, enough);
        if (rc != -EAGAIN || handle->nonblock)
            return rc;
        rc = handle_wait(handle, -1);
        if (rc < 0)
            return rc;
    }
}

static void give_spans(const struct ring_span found[2], unsigned int count, struct iovec spans[2])
{
    for (unsigned int i = 0; i < 2; i++)
        spans[i] = i < count ? (struct iovec){found[i].base, found[i].length} : (struct iovec){0};
}

EXPORT ssize_t pvchan_peek(struct pvchan *handle, size_t enough, struct iovec spans[2])
{
    struct ring_span found[2];
    ssize_t rc;

    give_spans(found, 0, spans);
    if (enough == 0 || enough > handle->read_size)
        return enough == 0 ? -EINVAL : -EMSGSIZE;
    rc = await(handle, CHANNEL_READ, enough);
    if (rc > 0)
        give_spans(found, channel_peek(channel_of(handle), (uint32_t)rc, found), spans);
    return rc;
}

EXPORT int pvchan_consume(struct pvchan *handle, size_t bytes)
{
    struct channel *channel = channel_of(handle);

    if (bytes == 0)
        return 0;
    if (!channel || bytes > handle->read_size || !channel_has(channel, (uint32_t)bytes))
        return -EINVAL;
    channel_consume(channel, (uint32_t)bytes);
    if (handle->nonblock)
        channel_tell(channel); /* its program may wait next, for anything, without us */
    return 0;
}

EXPORT ssize_t pvchan_reserve(struct pvchan *handle, size_t enough, struct iovec spans[2])
{
    struct ring_span found[2];
    ssize_t rc;

    give_spans(found, 0, spans);
    if (enough == 0 || enough > handle->write_size)
        return enough == 0 ? -EINVAL : -EMSGSIZE;
    rc = await(handle, CHANNEL_WRITE, enough);
    if (rc > 0)
        give_spans(found, channel_reserve(channel_of(handle), (uint32_t)rc, found), spans);
    return rc;
}

EXPORT int pvchan_commit(struct pvchan *handle, size_t bytes)
{
    ssize_t room;

    if (bytes == 0)
        return 0;
    if (bytes > handle->write_size)
        return -EINVAL;
    room = try_reserve(handle, bytes);
    if (room < 0)
        return room == -EAGAIN ? -EINVAL : (int)room;
    channel_commit(channel_of(handle), (uint32_t)bytes);
    return 0;
}

/* ---- in pieces ---- */

/* A place in a list of pieces of memory. */
struct cursor {
    const struct iovec *piece;
    const struct iovec *end;
    size_t offset; /* in the piece */
};

static struct cursor cursor_at(const struct iovec *pieces, int count)
{
    return (struct cursor){.piece = pieces, .end = pieces + count};
}

/* The next bytes that lie together: how many (0: it is at the end) and where. */
static size_t cursor_look(struct cursor *cursor, uint8_t **at)
{
    while (cursor->piece < cursor->end && cursor->offset == cursor->piece->iov_len) {
        cursor->piece++;
        cursor->offset = 0;
    }
    if (cursor->piece == cursor->end)
        return 0;
    *at = (uint8_t *)cursor->piece->iov_base + cursor->offset;
    return cursor->piece->iov_len - cursor->offset;
}

/* Copies until one of the two is at its end. Returns how much. */
static size_t cursor_copy(struct cursor *to, struct cursor *from)
{
    size_t done = 0;

    for (;;) {
        uint8_t *there = NULL, *here = NULL;
        size_t room = cursor_look(to, &there), left = cursor_look(from, &here);
        size_t bytes = room < left ? room : left;

        if (bytes == 0)
            return done;
        memcpy(there, here, bytes);
        to->offset += bytes;
        from->offset += bytes;
        done += bytes;
    }
}

/* -EINVAL, or the sum of the lengths. */
static ssize_t pieces_length(const struct iovec *pieces, int count)
{
    size_t sum = 0;

    if (count < 0)
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len > SSIZE_MAX - sum)
            return -EINVAL;
        sum += pieces[i].iov_len;
    }
    return (ssize_t)sum;
}

/* Takes what is there, at least enough of it unless it is the end. */
static ssize_t scatter(struct pvchan *handle, const struct iovec *pieces, int count, size_t enough)
{
    struct cursor to = cursor_at(pieces, count);
    struct iovec spans[2];
    ssize_t rc = pvchan_peek(handle, enough, spans);

    if (rc > 0 && (size_t)rc < enough)
        return -ENODATA;
    if (rc > 0) {
        struct cursor from = cursor_at(spans, 2);

        rc = (ssize_t)cursor_copy(&to, &from);
        pvchan_consume(handle, (size_t)rc);
    }
    return rc;
}

EXPORT ssize_t pvchan_readv(struct pvchan *handle, const struct iovec *pieces, int count)
{
    ssize_t length = pieces_length(pieces, count);

    return length <= 0 ? length : scatter(handle, pieces, count, 1);
}

EXPORT ssize_t pvchan_recvv(struct pvchan *handle, const struct iovec *pieces, int count)
{
    ssize_t length = pieces_length(pieces, count);

    return length <= 0 ? length : scatter(handle, pieces, count, (size_t)length);
}

/* Sends what there is room for, at least enough. */
static ssize_t gather(struct pvchan *handle, struct cursor *from, size_t enough)
{
    struct iovec spans[2];
    struct cursor to = cursor_at(spans, 2);
    ssize_t rc = pvchan_reserve(handle, enough, spans);
    size_t bytes;
    int sent;

    if (rc < 0)
        return rc;
    bytes = cursor_copy(&to, from);
    sent = pvchan_commit(handle, bytes);
    return sent < 0 ? sent : (ssize_t)bytes;
}

EXPORT ssize_t pvchan_writev(struct pvchan *handle, const struct iovec *pieces, int count)
{
    ssize_t length = pieces_length(pieces, count), done = 0, rc = 0;
    struct cursor from = cursor_at(pieces, count);

    while (done < length) {
        look(handle, CHANNEL_WRITE, worth_waiting(handle, (size_t)(length - done)));
        rc = gather(handle, &from, 1);
        if (rc > 0)
            done += rc;
        if (rc < 0 || handle->nonblock)
            break;
    }
    return length < 0 ? length : done > 0 ? done : rc;
}

EXPORT ssize_t pvchan_sendv(struct pvchan *handle, const struct iovec *pieces, int count)
{
    ssize_t length = pieces_length(pieces, count);
    struct cursor from = cursor_at(pieces, count);

    return length <= 0 ? length : gather(handle, &from, (size_t)length);
}

EXPORT int pvchan_shutdown(struct pvchan *handle)
{
    if (!handle->endpoint)
        return -ENOTSUP;
    handle->shut = true;
    endpoint_set_finished(handle->endpoint);
    return 0;
}

/* ---- plain vchan ---- */

void handle_take_sizes(struct pvchan *handle)
{
    struct channel *channel = channel_of(handle);

    handle->read_size = channel_read_size(channel);
    handle->write_size = channel_write_size(channel);
}

/* The caller tries to read and write after every dispatch: the signal itself says no more. */
static void plain_fired(struct channel *channel, void *arg)
{
    (void)channel, (void)arg;
}

/* Mapping one's own grants has crashed kernels. */
static int refuse_self(struct pvchan *handle)
{
    domid_t own;
    int rc = store_own_domid(handle->store, &own);

    return rc == 0 && own == handle->peer ? -ELOOP : rc;
}

/* A handle for a plain vchan with that domain. */
static int make_plain(unsigned int peer, unsigned int flags, struct pvchan **out)
{
    int rc;

    *out = NULL;
    if (peer >= DOMID_FIRST_RESERVED)
        return -EINVAL;
    rc = handle_make(flags, out);
    if (rc == 0)
        (*out)->peer = peer;
    return rc;
}

/* One key, readable by the peer and by no one else, as libxenvchan makes it. */
static int write_key(struct pvchan *handle, domid_t own, const char *key, uint32_t value)
{
    char path[STORE_PATH_MAX];
    int rc = 0;

    if (snprintf(path, sizeof(path), "%s/%s", handle->keys_dir, key) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    rc = store_make_directory(handle->store, path, own, (domid_t)handle->peer);
    return rc < 0 ? rc : store_write_number(handle->store, NULL, path, value);
}

/* How much of a path, in characters, is a directory that is there. */
static size_t length_there(struct store *store, const char *path)
{
    char dir[STORE_PATH_MAX];

    snprintf(dir, sizeof(dir), "%s", path);
    while (dir[0] && !store_exists(store, NULL, dir)) {
        char *slash = strrchr(dir, '/');

        *(slash ? slash : dir) = '\0';
    }
    return strlen(dir);
}

static int fill_plain_keys(struct store *store, void *arg)
{
    struct pvchan *handle = arg;
    domid_t own;
    int rc = store_own_domid(store, &own);

    handle->keys_above = length_there(store, handle->keys_dir);
    if (rc == 0)
        rc = write_key(handle, own, "ring-ref", channel_ring_ref(handle->plain));
    if (rc == 0)
        rc = write_key(handle, own, "event-channel", channel_port(handle->plain));
    return rc;
}

static bool key_is(struct store *store, const char *dir, const char *key, uint32_t value)
{
    uint32_t found;

    return store_read_number(store, dir, key, UINT32_MAX, &found) == 0 && found == value;
}

/*
 * Only what is still ours goes: a successor may have taken the path over. With the keys go the directories
 * that came with them, if they are empty.
 */
static int remove_plain_keys(struct store *store, void *arg)
{
    struct pvchan *handle = arg;
    char path[STORE_PATH_MAX], above[STORE_PATH_MAX];

    if (!key_is(store, handle->keys_dir, "ring-ref", channel_ring_ref(handle->plain)) ||
        !key_is(store, handle->keys_dir, "event-channel", channel_port(handle->plain)))
        return 0;
    snprintf(path, sizeof(path), "%s/ring-ref", handle->keys_dir);
    store_remove(store, path);
    snprintf(path, sizeof(path), "%s/event-channel", handle->keys_dir);
    snprintf(above, sizeof(above), "%.*s", (int)handle->keys_above, handle->keys_dir);
    return store_remove_upward(store, path, above);
}

static int serve(struct pvchan *handle, const char *path, size_t read_size, size_t write_size)
{
    struct channel_owner owner = {.fired = plain_fired};
    struct ring_orders orders;
    int rc = ring_orders_for(read_size, write_size, &orders);

    if (rc == 0)
        rc = refuse_self(handle);
    if (rc == 0)
        rc = channel_serve(handle->xen, (domid_t)handle->peer, &orders, owner, &handle->plain);
    if (rc < 0)
        return rc;
    handle_take_sizes(handle);
    handle->keys_dir = strdup(path);
    return handle->keys_dir ? store_transaction(handle->store, fill_plain_keys, handle) : -ENOMEM;
}

/* Hands out what was opened, or disposes of what could not be. */
static int finish_open(struct pvchan *handle, int rc, struct pvchan **out)
{
    if (rc < 0)
        pvchan_close(handle);
    else
        *out = handle;
    return rc;
}

EXPORT int pvchan_server(unsigned int peer, const char *path, size_t read_size, size_t write_size,
                         unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle;
    int rc = make_plain(peer, flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    return finish_open(handle, serve(handle, path, read_size, write_size), out);
}

/* The only watch goes: xenstore has nothing more to say. */
static void unwatch(struct pvchan *handle, const char *path)
{
    store_unwatch(handle->store, path, "look");
    epoll_ctl(handle->poll_fd, EPOLL_CTL_DEL, store_fd(handle->store), NULL);
    handle->watches = false;
}

/* The event-channel key is written last, and may be all that we are allowed to see. */
static int await_keys(struct pvchan *handle, const char *path, int64_t deadline)
{
    char leaf[STORE_PATH_MAX];
    int rc;

    if (snprintf(leaf, sizeof(leaf), "%s/event-channel", path) >= (int)sizeof(leaf))
        return -ENAMETOOLONG;
    rc = handle_watch(handle, leaf);
    while (rc == 0 && !store_exists(handle->store, NULL, leaf))
        rc = handle_wait(handle, deadline);
    unwatch(handle, leaf);
    return rc;
}

static int join(struct pvchan *handle, const char *path)
{
    struct channel_owner owner = {.fired = plain_fired};
    uint32_t ring_ref, port;
    int rc = store_read_number(handle->store, path, "ring-ref", INT32_MAX, &ring_ref);

    if (rc == 0)
        rc = store_read_number(handle->store, path, "event-channel", INT32_MAX, &port);
    if (rc == 0)
        rc = channel_join(handle->xen, (domid_t)handle->peer, ring_ref, port, owner,
                          &handle->plain);
    if (rc == 0)
        handle_take_sizes(handle);
    return rc == -ERANGE ? -EINVAL : rc;
}

EXPORT int pvchan_client(unsigned int peer, const char *path, int timeout_ms, unsigned int flags,
                         struct pvchan **out)
{
    struct pvchan *handle;
    int rc = make_plain(peer, flags, &handle);

    *out = NULL;
    if (rc < 0)
        return rc;
    rc = refuse_self(handle);
    if (rc == 0)
        rc = await_keys(handle, path, handle_deadline(timeout_ms));
    return finish_open(handle, rc < 0 ? rc : join(handle, path), out);
}

EXPORT void pvchan_close(struct pvchan *handle)
{
    if (!handle)
        return;
    endpoint_close(handle->endpoint);
    if (handle->plain && handle->keys_dir)
        store_transaction(handle->store, remove_plain_keys, handle);
    free(handle->keys_dir);
    channel_close(handle->plain);
    xen_close(handle->xen);
    store_close(handle->store);
    if (handle->poll_fd >= 0)
        close(handle->poll_fd);
    free(handle);
}
