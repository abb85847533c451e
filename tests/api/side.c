/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/api/side.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL_MAX (2u << 20)

static uint8_t buffer[CALL_MAX];

/* The period is 251 * 256, so that a missing or doubled byte shows, whatever the ring's size. */
static uint8_t pattern(uint32_t n)
{
    return (uint8_t)(n % 251 + n / 251);
}

static ssize_t give(struct side *side, size_t size,
                    ssize_t (*call)(struct pvchan *, const void *, size_t))
{
    ssize_t rc;

    for (size_t i = 0; i < size; i++)
        buffer[i] = pattern(side->sent + (uint32_t)i);
    rc = call(side->channel, buffer, size);
    if (rc > 0)
        side->sent += (uint32_t)rc;
    return rc;
}

static ssize_t take(struct side *side, size_t size,
                    ssize_t (*call)(struct pvchan *, void *, size_t))
{
    ssize_t rc = call(side->channel, buffer, size);

    for (ssize_t i = 0; i < rc; i++)
        if (buffer[i] != pattern(side->got++))
            return -EBADMSG;
    return rc;
}

ssize_t side_write(struct side *side, size_t size)
{
    return give(side, size, pvchan_write);
}

ssize_t side_send(struct side *side, size_t size)
{
    return give(side, size, pvchan_send);
}

ssize_t side_read(struct side *side, size_t size)
{
    return take(side, size, pvchan_read);
}

ssize_t side_recv(struct side *side, size_t size)
{
    return take(side, size, pvchan_recv);
}

static ssize_t give_pieces(struct pvchan *channel, const void *data, size_t size,
                           ssize_t (*call)(struct pvchan *, const struct iovec *, int))
{
    char *from = (char *)(uintptr_t)data;
    struct iovec pieces[] = {{from, size / 5}, {NULL, 0}, {from + size / 5, size - size / 5}};

    return call(channel, pieces, 3);
}

static ssize_t call_writev(struct pvchan *channel, const void *data, size_t size)
{
    return give_pieces(channel, data, size, pvchan_writev);
}

static ssize_t call_sendv(struct pvchan *channel, const void *data, size_t size)
{
    return give_pieces(channel, data, size, pvchan_sendv);
}

static ssize_t call_readv(struct pvchan *channel, void *data, size_t size)
{
    return give_pieces(channel, data, size, pvchan_readv);
}

static ssize_t call_recvv(struct pvchan *channel, void *data, size_t size)
{
    return give_pieces(channel, data, size, pvchan_recvv);
}

ssize_t side_writev(struct side *side, size_t size)
{
    return give(side, size, call_writev);
}

ssize_t side_sendv(struct side *side, size_t size)
{
    return give(side, size, call_sendv);
}

ssize_t side_readv(struct side *side, size_t size)
{
    return take(side, size, call_readv);
}

ssize_t side_recvv(struct side *side, size_t size)
{
    return take(side, size, call_recvv);
}

/*
 * Checks two spans. The first goes to the ring's end, whose beginning is at a multiple of its size
 * in the pattern, too; the second, if there is one, follows at the ring's start.
 */
static bool spans_are_right(const struct iovec spans[2], size_t size, size_t ring, uint32_t at)
{
    size_t to_end = ring - at % ring;

    if (spans[0].iov_len != (size < to_end ? size : to_end))
        return false;
    if (spans[1].iov_len != size - spans[0].iov_len)
        return false;
    return spans[1].iov_len == 0 ||
           (uint8_t *)spans[0].iov_base - (uint8_t *)spans[1].iov_base == (ptrdiff_t)(at % ring);
}

static uint8_t *span_at(const struct iovec spans[2], size_t i)
{
    return i < spans[0].iov_len ? (uint8_t *)spans[0].iov_base + i
                                : (uint8_t *)spans[1].iov_base + i - spans[0].iov_len;
}

ssize_t side_fill(struct side *side, size_t size)
{
    struct iovec spans[2];
    ssize_t rc = pvchan_reserve(side->channel, size, spans);

    if (rc < 0)
        return rc;
    if (!spans_are_right(spans, (size_t)rc, pvchan_write_ring_size(side->channel), side->sent))
        return -EBADMSG;
    for (size_t i = 0; i < size; i++)
        *span_at(spans, i) = pattern(side->sent++);
    rc = pvchan_commit(side->channel, size);
    return rc < 0 ? rc : (ssize_t)size;
}

ssize_t side_check(struct side *side, size_t size)
{
    struct iovec spans[2];
    ssize_t rc = pvchan_peek(side->channel, size, spans);

    if (rc <= 0)
        return spans[0].iov_len + spans[1].iov_len == 0 ? rc : -EBADMSG;
    if (!spans_are_right(spans, (size_t)rc, pvchan_read_ring_size(side->channel), side->got))
        return -EBADMSG;
    for (ssize_t i = 0; i < rc; i++)
        if (*span_at(spans, (size_t)i) != pattern(side->got + (uint32_t)i))
            return -EBADMSG;
    return rc;
}

int side_skip(struct side *side, size_t size)
{
    int rc = pvchan_consume(side->channel, size);

    if (rc == 0)
        side->got += (uint32_t)size;
    return rc;
}

ssize_t side_drain(struct side *side, size_t size)
{
    size_t done = 0;
    ssize_t rc = 0;

    while (done < size && (rc = side_read(side, size - done)) > 0)
        done += (size_t)rc;
    return done > 0 && rc != -EBADMSG ? (ssize_t)done : rc;
}

void side_close(struct side *side)
{
    pvchan_close(side->channel);
    *side = (struct side){0};
}

static int entries_count(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;

    while (dir && readdir(dir))
        count++;
    closedir(dir);
    return count - 2; /* . and .. */
}

int descriptors_count(void)
{
    return entries_count("/proc/self/fd");
}

int threads_count(void)
{
    return entries_count("/proc/self/task");
}

/* ---- another process ---- */

static void become_peer(const char *guest, int in, int out)
{
    char self[] = "/proc/self/exe", program[4096];
    ssize_t length = readlink(self, program, sizeof(program) - 1);

    if (length < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(1);
    program[length] = '\0';
    closefrom(3);
    if (guest)
        execlp("xensim", "xensim", "exec", guest, program, "peer", (char *)NULL);
    else
        execl(program, program, "peer", (char *)NULL);
    _exit(1);
}

void peer_start(struct peer *peer, const char *guest)
{
    int commands[2], answers[2];

    ck_assert_int_eq(pipe2(commands, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(answers, O_CLOEXEC), 0);
    peer->pid = fork();
    ck_assert_int_ge(peer->pid, 0);
    if (peer->pid == 0)
        become_peer(guest, commands[0], answers[1]);
    close(commands[0]);
    close(answers[1]);
    peer->to = commands[1];
    peer->from = answers[0];
}

__attribute__((format(printf, 2, 0))) static void tell(const struct peer *peer, const char *format,
                                                       va_list args)
{
    char line[256];
    int length = vsnprintf(line, sizeof(line), format, args);

    ck_assert_int_lt(length, (int)sizeof(line) - 1);
    line[length++] = '\n';
    ck_assert_int_eq(write(peer->to, line, (size_t)length), length);
}

void peer_tell(const struct peer *peer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(peer, format, args);
    va_end(args);
}

bool peer_answered(const struct peer *peer)
{
    struct pollfd pollfd = {.fd = peer->from, .events = POLLIN};

    return poll(&pollfd, 1, 0) == 1;
}

long peer_answer(const struct peer *peer)
{
    struct pollfd pollfd = {.fd = peer->from, .events = POLLIN};
    char line[32] = "";
    size_t length = 0;

    while (length < sizeof(line) - 1) {
        ck_assert_msg(poll(&pollfd, 1, PATIENCE_MS) == 1, "no answer: the peer hangs in its call");
        ck_assert_msg(read(peer->from, line + length, 1) == 1, "the peer has ended");
        if (line[length] == '\n')
            break;
        length++;
    }
    return strtol(line, NULL, 10);
}

long peer_ask(const struct peer *peer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(peer, format, args);
    va_end(args);
    return peer_answer(peer);
}

/*
 * A program may outlive its xensim for a moment; its input stays open that long, or it would end
 * cleanly.
 */
static int peer_wait(struct peer *peer)
{
    struct pollfd pollfd = {.fd = peer->from, .events = POLLIN};
    int status = -1;
    char rest;

    do
        ck_assert_msg(poll(&pollfd, 1, PATIENCE_MS) == 1, "the peer does not end");
    while (read(peer->from, &rest, 1) > 0);
    ck_assert_int_eq(waitpid(peer->pid, &status, 0), peer->pid);
    close(peer->to);
    close(peer->from);
    peer->pid = 0;
    return status;
}

void peer_end(struct peer *peer)
{
    peer_tell(peer, "end");
    ck_assert_int_eq(peer_wait(peer), 0);
}

void peer_kill(struct peer *peer)
{
    ck_assert_int_eq(kill(peer->pid, SIGKILL), 0);
    peer_wait(peer);
}
