/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plain libxenvchan peer, built against the real library and linked to nothing of ours:
 *   sim-peer server|client DOMID PATH LEFT RIGHT send|echo|sink|idle [BYTES]
 * `send` streams BYTES of a pattern and checks what comes back; `echo` returns everything until
 * the peer closes; `sink` counts; `idle` says "up" and sleeps.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libxenvchan.h>

static struct libxenvchan *peer_open(char **argv)
{
    int domid = (int)strtol(argv[2], NULL, 10);

    if (strcmp(argv[1], "server") == 0)
        return libxenvchan_server_init(NULL, domid, argv[3], strtoul(argv[4], NULL, 10),
                                       strtoul(argv[5], NULL, 10));
    for (int tries = 0; tries < 500; tries++) {
        struct libxenvchan *chan = libxenvchan_client_init(NULL, domid, argv[3]);

        if (chan)
            return chan;
        usleep(10000); /* the server's keys are not there yet */
    }
    return NULL;
}

static uint8_t pattern(size_t position)
{
    return (uint8_t)(position * 131 + (position >> 8));
}

static int echo(struct libxenvchan *chan)
{
    static char buffer[65536];
    int got;

    while ((got = libxenvchan_read(chan, buffer, sizeof(buffer))) > 0)
        for (int done = 0, sent; done < got; done += sent)
            if ((sent = libxenvchan_write(chan, buffer + done, (size_t)(got - done))) <= 0)
                return 1;
    return 0;
}

static int sink(struct libxenvchan *chan)
{
    static char buffer[65536];
    size_t total = 0;
    int got;

    while ((got = libxenvchan_read(chan, buffer, sizeof(buffer))) > 0)
        total += (size_t)got;
    printf("%zu\n", total);
    return 0;
}

/* Keeps at most what both rings hold in flight, so that neither side blocks for ever. */
static int send_checked(struct libxenvchan *chan, size_t bytes)
{
    static uint8_t buffer[4096];
    size_t sent = 0, received = 0;

    while (received < bytes) {
        size_t chunk = bytes - sent < 700 ? bytes - sent : 700;

        for (size_t i = 0; i < chunk; i++)
            buffer[i] = pattern(sent + i);
        if (chunk > 0 && libxenvchan_send(chan, buffer, chunk) != (int)chunk)
            return 1;
        sent += chunk;
        while (received < sent) {
            int got = libxenvchan_read(chan, buffer, sizeof(buffer));

            if (got <= 0)
                return 2;
            for (int i = 0; i < got; i++)
                if (buffer[i] != pattern(received + (size_t)i))
                    return 3;
            received += (size_t)got;
        }
    }
    printf("%zu\n", received);
    return 0;
}

int main(int argc, char **argv)
{
    struct libxenvchan *chan;
    int result = 0;

    if (argc < 7)
        return 64;
    chan = peer_open(argv);
    if (!chan) {
        perror("sim-peer: open");
        return 65;
    }
    chan->blocking = 1;
    if (strcmp(argv[6], "echo") == 0)
        result = echo(chan);
    else if (strcmp(argv[6], "sink") == 0)
        result = sink(chan);
    else if (strcmp(argv[6], "send") == 0)
        result = send_checked(chan, argc > 7 ? strtoul(argv[7], NULL, 10) : 100000);
    else if (puts("up") < 0 || fflush(stdout) || pause())
        result = 66;
    libxenvchan_close(chan);
    return result;
}
