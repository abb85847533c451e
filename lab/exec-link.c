/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"
#include "lab/exec-link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void die(int code, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(code);
}

void stream_init(struct stream *s, struct xs_handle *xs, const char *base, const char *name, int fd,
                 size_t chunk_max)
{
    memset(s, 0, sizeof(*s));
    s->xs = xs;
    s->fd = fd;
    s->chunk_max = chunk_max;
    snprintf(s->path, sizeof(s->path), "%s/%s", base, name);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void stream_close(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
}

/* Reads the stream's node into data. Returns its length, or -1 if there is none. */
static ssize_t chunk_read(struct stream *s)
{
    unsigned int len;
    char *value = xs_read(s->xs, XBT_NULL, s->path, &len);

    if (!value)
        return -1;
    if (len > sizeof(s->data))
        len = sizeof(s->data);
    memcpy(s->data, value, len);
    free(value);
    return len;
}

static bool chunk_taken(struct stream *s)
{
    if (chunk_read(s) >= 0)
        return false;
    s->busy = false;
    s->ended = s->fd < 0;
    return true;
}

void stream_send(struct stream *s)
{
    ssize_t got;

    if (s->ended || (s->busy && !chunk_taken(s)) || s->ended)
        return;
    got = read(s->fd, s->data + 1, s->chunk_max);
    if (got < 0 && errno == EAGAIN && !s->last)
        return;
    s->data[0] = got > 0 ? '+' : '.';
    if (got <= 0)
        stream_close(s);
    if (!xs_write(s->xs, XBT_NULL, s->path, s->data, got > 0 ? got + 1 : 1))
        die(255, s->path);
    s->busy = true;
}

/* Takes the next chunk. Returns false if there is none yet, or if the stream has ended. */
static bool chunk_take(struct stream *s)
{
    ssize_t len = chunk_read(s);

    if (len < 1)
        return false;
    s->ended = s->data[0] == '.';
    if (s->ended && s->fd >= 0)
        stream_close(s);
    s->have = len - 1;
    s->done = 1;
    return true;
}

/* Writes to fd; drops bytes that nobody reads any more. Returns false if there is no room now. */
static bool chunk_put(struct stream *s)
{
    while (s->have > 0 && s->fd >= 0) {
        ssize_t put = write(s->fd, s->data + s->done, s->have);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            return false;
        if (put < 0) {
            stream_close(s);
            break;
        }
        s->done += put;
        s->have -= put;
    }
    s->have = 0;
    return true;
}

void stream_receive(struct stream *s)
{
    if (s->ended || (s->have == 0 && !chunk_take(s)))
        return;
    if (chunk_put(s))
        xs_rm(s->xs, XBT_NULL, s->path);
}

struct pollfd stream_sender_poll(const struct stream *s)
{
    return (struct pollfd){.fd = s->busy ? -1 : s->fd, .events = POLLIN};
}

struct pollfd stream_receiver_poll(const struct stream *s)
{
    return (struct pollfd){.fd = s->have > 0 ? s->fd : -1, .events = POLLOUT};
}

bool stream_at(const struct stream *s, const char *path)
{
    size_t tail = strlen(path), whole = strlen(s->path);

    return tail <= whole && strcmp(s->path + whole - tail, path) == 0;
}
