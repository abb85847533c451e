/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many clients of a Unix socket whose server sends everything back. Each sends bytes of its own and
 * checks each byte that comes; when its connection ends it makes another one.
 *
 *   streamers COUNT BYTES PATH
 *
 * A client finishes (half-close) after BYTES, and expects all of them back; a connection that ends
 * earlier counts as reset. Runs until SIGTERM; then the clients that are connected may finish, and
 * it prints "finished=N reset=N bytes=N". Exits with 1 at once, and says why, after a wrong byte, a
 * byte too many, or a minute in which no byte moved.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STILL_MS 60000
#define RETRY_MS 20 /* until another try to connect */

struct streamer {
    int fd; /* -1: not connected */
    uint32_t key;
    uint64_t sent, got;
    bool finished; /* it has sent its last byte */
};

static struct sockaddr_un server = {.sun_family = AF_UNIX};
static uint64_t wanted, finished, resets, total;
static volatile sig_atomic_t stopping;

static void on_stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static uint8_t byte_of(const struct streamer *streamer, uint64_t at)
{
    uint64_t mixed = (at / 8 + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)streamer->key << 32;

    mixed ^= mixed >> 29;
    return (uint8_t)(mixed * 0xbf58476d1ce4e5b9u >> (8 * (at % 8)) % 56);
}

static _Noreturn void complain(const struct streamer *streamer, const char *what)
{
    fprintf(stderr, "streamers: %s: client %u, after %llu of %llu bytes\n", what, streamer->key,
            (unsigned long long)streamer->got, (unsigned long long)streamer->sent);
    exit(1);
}

static void begin(struct streamer *streamer)
{
    static uint32_t keys;

    *streamer =
        (struct streamer){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), .key = ++keys};
    /* a full queue, or no server now: later */
    if (connect(streamer->fd, (struct sockaddr *)&server, sizeof(server)) < 0) {
        close(streamer->fd);
        streamer->fd = -1;
    }
}

static void end(struct streamer *streamer)
{
    if (streamer->got == wanted)
        finished++;
    else
        resets++;
    close(streamer->fd);
    streamer->fd = -1;
}

static void send_some(struct streamer *streamer)
{
    uint8_t bytes[4096];
    uint64_t left = wanted - streamer->sent;
    size_t size = left < sizeof(bytes) ? left : sizeof(bytes);
    ssize_t sent;

    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_of(streamer, streamer->sent + i);
    sent = send(streamer->fd, bytes, size, MSG_NOSIGNAL);
    if (sent > 0)
        streamer->sent += (uint64_t)sent;
    if (streamer->sent == wanted && !streamer->finished) {
        streamer->finished = true;
        shutdown(streamer->fd, SHUT_WR);
    }
}

/* Returns false at the end. */
static bool receive_some(struct streamer *streamer)
{
    uint8_t bytes[4096];
    ssize_t got = recv(streamer->fd, bytes, sizeof(bytes), 0);

    if (got < 0 && errno == EAGAIN)
        return true;
    for (ssize_t i = 0; i < got; i++, streamer->got++) {
        if (streamer->got == streamer->sent)
            complain(streamer, "more came back than was sent");
        if (bytes[i] != byte_of(streamer, streamer->got))
            complain(streamer, "a wrong byte came back");
    }
    total += got > 0 ? (uint64_t)got : 0;
    return got > 0;
}

static void serve(struct streamer *streamer, short what)
{
    if (what & POLLOUT && !streamer->finished)
        send_some(streamer);
    if (what & (POLLIN | POLLHUP | POLLERR) && !receive_some(streamer))
        end(streamer);
}

/* Returns how many clients are connected. */
static size_t fill(struct streamer *streamers, struct pollfd *polls, size_t count)
{
    size_t connected = 0;

    for (size_t i = 0; i < count; i++) {
        if (streamers[i].fd < 0 && !stopping)
            begin(&streamers[i]);
        polls[i] = (struct pollfd){.fd = streamers[i].fd,
                                   .events = streamers[i].finished ? POLLIN : POLLIN | POLLOUT};
        connected += streamers[i].fd >= 0;
    }
    return connected;
}

int main(int argc, char **argv)
{
    size_t count = argc == 4 ? strtoul(argv[1], NULL, 0) : 0;
    struct streamer *streamers = calloc(count + 1, sizeof(*streamers));
    struct pollfd *polls = calloc(count + 1, sizeof(*polls));
    const struct sigaction stop = {.sa_handler = on_stop};
    size_t connected;
    int still = 0;

    if (count == 0 || !streamers || !polls)
        return 2;
    wanted = strtoull(argv[2], NULL, 0);
    snprintf(server.sun_path, sizeof(server.sun_path), "%s", argv[3]);
    sigaction(SIGTERM, &stop, NULL);
    for (size_t i = 0; i < count; i++)
        streamers[i].fd = -1;
    while ((connected = fill(streamers, polls, count)) > 0 || !stopping) {
        int pause = connected < count ? RETRY_MS : STILL_MS;
        int ready = poll(polls, count, pause);

        still = ready == 0 ? still + pause : 0;
        if (still >= STILL_MS)
            complain(&streamers[0], "nothing moved for a minute");
        for (size_t i = 0; i < count && ready > 0; i++)
            if (polls[i].fd >= 0 && polls[i].revents)
                serve(&streamers[i], polls[i].revents);
    }
    printf("finished=%llu reset=%llu bytes=%llu\n", (unsigned long long)finished,
           (unsigned long long)resets, (unsigned long long)total);
    free(streamers);
    free(polls);
    return 0;
}
