/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libpvchan/pvchan.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "libpvchan/handle.h"

#define TEXT_OF(number) #number
#define VERSION_OF(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

EXPORT const char *pvchan_version(void)
{
    return VERSION_OF(PVCHAN_VERSION_MAJOR, PVCHAN_VERSION_MINOR, PVCHAN_VERSION_PATCH);
}

/* Whether a ring can never hold so many bytes, as far as its size is known. */
static bool is_too_large(const struct pvchan *handle, size_t size, size_t ring)
{
    return handle->opened == 0 && size > ring;
}

/* ---- waiting ---- */

/*
 * The deadline of one call, computed when it first has to wait: most calls never wait, and need no
 * clock.
 */
struct time_limit {
    bool begun;
    int64_t deadline;
};

/* Waits for an event, if the handle may wait. Returns 0, or the call's result. */
static int wait_on(struct pvchan *handle, struct time_limit *limit)
{
    if (handle->nonblock)
        return -EAGAIN;
    if (!limit->begun)
        *limit = (struct time_limit){true, handle_deadline(handle->timeout_ms)};
    return handle_wait(handle, limit->deadline);
}

/* Polls before a call that may wait asks for a signal, which may prove unnecessary. */
static void look(struct pvchan *handle, enum channel_wait wait, size_t enough)
{
    if (!handle->nonblock)
        handle_spin(handle, wait, enough);
}

/* ---- reading ---- */

/*
 * Publishes room when all bytes known to be there are read, because the program may wait elsewhere
 * next. A handle that never waits here publishes at every read.
 */
static void give_room(struct pvchan *handle, struct channel *channel)
{
    if (handle->nonblock || !channel_has(channel, 1))
        channel_publish(channel);
}

static ssize_t try_read(struct pvchan *handle, void *data, size_t size)
{
    struct channel *channel = handle_channel(handle);
    ssize_t rc;

    if (handle->over)
        return handle->end;
    rc = channel ? channel_read(channel, data, size, 1) : handle_lacks_channel(handle, 0);
    if (rc > 0)
        give_room(handle, channel);
    return rc == 0 || rc == -EPROTO ? handle_reach_end(handle, rc) : rc;
}

static ssize_t try_recv(struct pvchan *handle, void *data, size_t size)
{
    struct channel *channel = handle_channel(handle);
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

/* Fast path: most calls find enough by the last snapshot. */
static ssize_t read_known(struct pvchan *handle, void *data, size_t size, size_t enough)
{
    struct channel *channel = handle->over || handle->nonblock ? NULL : handle_channel(handle);
    ssize_t rc = channel ? channel_read_known(channel, data, size, (uint32_t)enough) : 0;

    if (rc > 0)
        give_room(handle, channel);
    return rc;
}

/* Retries for as long as the handle may wait. */
static ssize_t read_waiting(struct pvchan *handle, void *data, size_t size, size_t enough,
                            ssize_t (*try)(struct pvchan *, void *, size_t))
{
    ssize_t rc = read_known(handle, data, size, enough);
    struct time_limit limit = {0};

    if (rc > 0)
        return rc;
    for (;;) {
        look(handle, CHANNEL_READ, enough);
        rc = try(handle, data, size);
        if (rc != -EAGAIN)
            return rc;
        rc = wait_on(handle, &limit);
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
    if (is_too_large(handle, size, handle->read_size))
        return -EMSGSIZE;
    return size == 0 ? 0 : read_waiting(handle, data, size, size, try_recv);
}

/* ---- writing ---- */

static ssize_t try_write(struct pvchan *handle, const void *data, size_t size, size_t enough)
{
    struct channel *channel = handle_channel(handle);
    ssize_t rc;

    if (handle->end == -EPROTO)
        return -EPROTO; /* the channel may have gone */
    if (!channel || handle->shut)
        return handle_lacks_channel(handle, -EPIPE);
    rc = channel_write(channel, data, size, (uint32_t)enough);
    handle->lacks_room |= rc == -EAGAIN;
    return rc == -EPROTO ? handle_reach_end(handle, rc) : rc;
}

/*
 * A stream does not wait for one free byte, but for half the ring, or for all that is left to
 * write.
 */
static size_t worth_waiting(const struct pvchan *handle, size_t left)
{
    return left < handle->write_size / 2 ? left : handle->write_size / 2;
}

/* Fast path, like read_known(). */
static ssize_t write_known(struct pvchan *handle, const void *data, size_t size)
{
    struct channel *channel = handle->shut || size == 0 ? NULL : handle_channel(handle);

    return channel ? channel_write_known(channel, data, size) : 0;
}

EXPORT ssize_t pvchan_write(struct pvchan *handle, const void *data, size_t size)
{
    const uint8_t *from = data;
    ssize_t rc = write_known(handle, data, size);
    size_t done = rc > 0 ? (size_t)rc : 0;
    struct time_limit limit = {0};

    while (done < size) {
        look(handle, CHANNEL_WRITE, worth_waiting(handle, size - done));
        rc = try_write(handle, from + done, size - done, 1);
        if (rc > 0)
            done += (size_t)rc;
        if (rc > 0 && !handle->nonblock)
            continue;
        if (rc != -EAGAIN)
            break;
        rc = wait_on(handle, &limit);
        if (rc < 0)
            break;
    }
    return done > 0 ? (ssize_t)done : rc;
}

EXPORT ssize_t pvchan_send(struct pvchan *handle, const void *data, size_t size)
{
    ssize_t rc = write_known(handle, data, size);
    struct time_limit limit = {0};

    if (rc > 0)
        return rc;
    if (is_too_large(handle, size, handle->write_size))
        return -EMSGSIZE;
    while (size > 0) {
        look(handle, CHANNEL_WRITE, size);
        rc = try_write(handle, data, size, size);
        if (rc != -EAGAIN)
            return rc;
        rc = wait_on(handle, &limit);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- without a copy ---- */

static ssize_t try_reserve(struct pvchan *handle, size_t enough)
{
    ssize_t room = handle_writable(handle, enough);

    handle->lacks_room |= room == -EAGAIN;
    return room;
}

/* Waits until there is enough, if the handle may wait. */
static ssize_t await(struct pvchan *handle, enum channel_wait wait, size_t enough,
                     struct time_limit *limit)
{
    for (;;) {
        ssize_t rc;

        look(handle, wait, enough);
        rc = wait == CHANNEL_READ ? handle_readable(handle, enough) : try_reserve(handle, enough);
        if (rc != -EAGAIN)
            return rc;
        rc = wait_on(handle, limit);
        if (rc < 0)
            return rc;
    }
}

static void give_spans(const struct ring_span found[2], unsigned int count, struct iovec spans[2])
{
    for (unsigned int i = 0; i < count; i++)
        spans[i] = (struct iovec){.iov_base = found[i].base, .iov_len = found[i].length};
}

EXPORT ssize_t pvchan_peek(struct pvchan *handle, size_t enough, struct iovec spans[2])
{
    struct time_limit limit = {0};
    struct ring_span found[2];
    ssize_t rc;

    memset(spans, 0, 2 * sizeof(spans[0]));
    if (enough == 0)
        return -EINVAL;
    if (is_too_large(handle, enough, handle->read_size))
        return -EMSGSIZE;
    rc = await(handle, CHANNEL_READ, enough, &limit);
    if (rc > 0)
        give_spans(found, channel_peek(handle_channel(handle), (uint32_t)rc, found), spans);
    return rc;
}

EXPORT int pvchan_consume(struct pvchan *handle, size_t bytes)
{
    struct channel *channel = handle_channel(handle);

    if (bytes == 0)
        return 0;
    if (!channel || bytes > handle->read_size || !channel_has(channel, (uint32_t)bytes))
        return -EINVAL;
    channel_consume(channel, (uint32_t)bytes);
    give_room(handle, channel);
    return 0;
}

static ssize_t reserve(struct pvchan *handle, size_t enough, struct iovec spans[2],
                       struct time_limit *limit)
{
    struct ring_span found[2];
    ssize_t rc;

    memset(spans, 0, 2 * sizeof(spans[0]));
    if (enough == 0)
        return -EINVAL;
    if (is_too_large(handle, enough, handle->write_size))
        return -EMSGSIZE;
    rc = await(handle, CHANNEL_WRITE, enough, limit);
    if (rc > 0)
        give_spans(found, channel_reserve(handle_channel(handle), (uint32_t)rc, found), spans);
    return rc;
}

EXPORT ssize_t pvchan_reserve(struct pvchan *handle, size_t enough, struct iovec spans[2])
{
    struct time_limit limit = {0};

    return reserve(handle, enough, spans, &limit);
}

EXPORT int pvchan_commit(struct pvchan *handle, size_t bytes)
{
    ssize_t room;

    if (bytes == 0)
        return 0;
    if (is_too_large(handle, bytes, handle->write_size))
        return -EINVAL;
    room = handle_writable(handle, bytes);
    if (room < 0)
        return room == -EAGAIN ? -EINVAL : (int)room;
    channel_commit(handle_channel(handle), (uint32_t)bytes);
    return 0;
}

/* ---- in pieces ---- */

/* A position in a list of pieces of memory. */
struct cursor {
    const struct iovec *piece;
    const struct iovec *end;
    size_t offset; /* in the current piece */
};

static struct cursor cursor_at(const struct iovec *pieces, int count)
{
    return (struct cursor){.piece = pieces, .end = pieces + count};
}

/* The next contiguous bytes: their number (0 at the end) and address. */
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

/* Copies until one cursor is at its end. Returns the number of bytes. */
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

/* The sum of the lengths, or -EINVAL. */
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

/* Reads what is there, at least enough unless the end comes first. */
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

/* Writes what fits, at least enough. */
static ssize_t gather(struct pvchan *handle, struct cursor *from, size_t enough,
                      struct time_limit *limit)
{
    struct iovec spans[2];
    struct cursor to = cursor_at(spans, 2);
    ssize_t rc = reserve(handle, enough, spans, limit);
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
    struct time_limit limit = {0};

    while (done < length) {
        look(handle, CHANNEL_WRITE, worth_waiting(handle, (size_t)(length - done)));
        rc = gather(handle, &from, 1, &limit);
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
    struct time_limit limit = {0};

    return length <= 0 ? length : gather(handle, &from, (size_t)length, &limit);
}

EXPORT int pvchan_shutdown(struct pvchan *handle)
{
    if (handle->opened < 0)
        return handle->opened;
    if (!handle->endpoint)
        return -ENOTSUP;
    handle->shut = true;
    endpoint_set_finished(handle->endpoint);
    return 0;
}
