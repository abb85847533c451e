/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * echo-client: clients of a plain vchan that echoes, one after the other in one process. A process
 * for each would cost the emulated machine far more than the vchan does.
 *
 *   echo-client CLIENTS BYTES DOMID PATH
 *
 * Each connects, sends so many bytes, compares every byte that comes back, and leaves. Then one
 * line says how long all of it took. Exit code 0, or 1 with a line on stderr.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libpvchan/pvchan.h"

#define PATIENCE_MS 60000

/*
 * The data that is sent, repeatedly. The size is prime, so that bytes lost or doubled by the ring
 * show.
 */
#define PATTERN_SIZE 1000003

static unsigned char pattern[PATTERN_SIZE];

static _Noreturn void die(const char *what, int error)
{
    fprintf(stderr, "echo-client: %s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        die(text, EINVAL);
    return value;
}

static void pattern_fill(void)
{
    uint64_t state = 88172645463325252u;

    for (size_t i = 0; i < PATTERN_SIZE; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pattern[i] = (unsigned char)state;
    }
}

/* How many of the remaining bytes are contiguous in the pattern at this place of the stream. */
static size_t piece(uint64_t place, uint64_t left)
{
    uint64_t size = PATTERN_SIZE - place % PATTERN_SIZE;

    return (size_t)(left < size ? left : size);
}

/* Returns whether it sent anything. */
static bool send_some(struct pvchan *channel, uint64_t *sent, uint64_t bytes)
{
    ssize_t rc;

    if (*sent == bytes)
        return false;
    rc = pvchan_write(channel, pattern + *sent % PATTERN_SIZE, piece(*sent, bytes - *sent));
    if (rc < 0 && rc != -EAGAIN)
        die("cannot send", (int)-rc);
    *sent += rc > 0 ? (uint64_t)rc : 0;
    return rc > 0;
}

/* Returns whether anything came. */
static bool receive_some(struct pvchan *channel, uint64_t *came, uint64_t sent)
{
    static unsigned char data[65536];
    size_t most = piece(*came, sent - *came);
    ssize_t rc;

    if (*came == sent)
        return false;
    rc = pvchan_read(channel, data, most < sizeof(data) ? most : sizeof(data));
    if (rc == 0)
        die("the echo ended too early", ECONNRESET);
    if (rc < 0 && rc != -EAGAIN)
        die("cannot receive", (int)-rc);
    if (rc < 0)
        return false;
    if (memcmp(data, pattern + *came % PATTERN_SIZE, (size_t)rc) != 0)
        die("not what was sent", EBADMSG);
    *came += (uint64_t)rc;
    return true;
}

static void wait_for_peer(struct pvchan *channel)
{
    struct pollfd pollfd = {.fd = pvchan_fd(channel), .events = POLLIN};

    if (poll(&pollfd, 1, PATIENCE_MS) == 0)
        die("nothing came back", ETIMEDOUT);
    if (pvchan_dispatch(channel) < 0)
        die("event channel", EIO);
}

static void client(unsigned int domid, const char *path, uint64_t bytes)
{
    struct pvchan *channel;
    uint64_t sent = 0, came = 0;
    int rc = pvchan_open_client(domid, path, PATIENCE_MS, PVCHAN_NONBLOCK, &channel);

    if (rc < 0)
        die(path, -rc);
    while (came < bytes) {
        bool moved = send_some(channel, &sent, bytes);

        moved |= receive_some(channel, &came, sent);
        if (!moved)
            wait_for_peer(channel);
    }
    pvchan_close(channel);
}

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    int64_t begin = clock_ms();
    uint64_t clients, bytes;

    if (argc != 5) {
        fprintf(stderr, "usage: echo-client CLIENTS BYTES DOMID PATH\n");
        return 1;
    }
    clients = number(argv[1]);
    bytes = number(argv[2]);
    pattern_fill();
    for (uint64_t i = 0; i < clients; i++)
        client((unsigned int)number(argv[3]), argv[4], bytes);
    printf("   %s clients, each %s bytes there and back: %lld ms\n", argv[1], argv[2],
           (long long)(clock_ms() - begin));
    return 0;
}
