/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lvcat: stdin and stdout through Debian's own libxenvchan, to have the original at one end.
 *
 *   lvcat server DOMAIN PATH [READ-SIZE WRITE-SIZE]   grants the rings (defaults 4096)
 *   lvcat client DOMAIN PATH                          waits for the server's keys, then maps
 *
 * When stdin ends, waits until the peer has taken everything and, with -1 as the last argument,
 * closes; otherwise continues until the peer closes. Exit code 0, or 1 with a line on stderr.
 */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <libxenvchan.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#define CONNECT_SECONDS 60

struct cat {
    struct libxenvchan *vchan;
    bool one_way;     /* close when stdin has ended and everything was taken */
    bool stdin_ended;
    int write_size;
    size_t have, done; /* bytes read from stdin and not yet written */
    char data[65536];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "lvcat: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value > 1 << 20) {
        errno = EINVAL;
        die(text);
    }
    return (int)value;
}

/*
 * libxenvchan's client fails at once if there is no server, so wait for the key that is written
 * last.
 */
static void server_wait(const char *path)
{
    struct xs_handle *xs = xs_open(0);
    char key[128], *value;

    snprintf(key, sizeof(key), "%s/event-channel", path);
    if (!xs || !xs_watch(xs, key, "server"))
        die(key);
    while (!(value = xs_read(xs, XBT_NULL, key, NULL))) {
        unsigned int count;
        char **event = xs_read_watch(xs, &count);

        free(event);
    }
    free(value);
    xs_close(xs);
}

static struct libxenvchan *vchan_open(int argc, char **argv)
{
    int domain = number(argv[2]);

    if (strcmp(argv[1], "client") == 0) {
        server_wait(argv[3]);
        return libxenvchan_client_init(NULL, domain, argv[3]);
    }
    return libxenvchan_server_init(NULL, domain, argv[3], argc > 5 ? number(argv[4]) : 4096,
                                   argc > 5 ? number(argv[5]) : 4096);
}

/* stdout blocks: its reader is part of the test. */
static void to_stdout(struct cat *c)
{
    char data[65536];
    int ready;

    while ((ready = libxenvchan_data_ready(c->vchan)) > 0) {
        int got = libxenvchan_read(c->vchan, data, sizeof(data));

        for (int put = 0, n; put < got; put += n)
            if ((n = (int)write(1, data + put, got - put)) < 0)
                die("stdout");
        if (got < 0)
            die("libxenvchan_read");
    }
    if (ready < 0)
        die("libxenvchan_data_ready");
}

static void to_vchan(struct cat *c)
{
    int put;

    if (c->have == 0)
        return;
    put = libxenvchan_write(c->vchan, c->data + c->done, c->have);
    if (put < 0)
        die("libxenvchan_write");
    c->done += put;
    c->have -= put;
}

static void from_stdin(struct cat *c)
{
    ssize_t got = read(0, c->data, sizeof(c->data));

    if (got < 0)
        die("stdin");
    c->stdin_ended = got == 0;
    c->have = got;
    c->done = 0;
}

static bool all_sent(struct cat *c)
{
    return c->one_way && c->stdin_ended && c->have == 0 &&
           libxenvchan_buffer_space(c->vchan) == c->write_size;
}

/* A server counts as "open" (2) before its client comes, so only 0 means the end. */
static void relay(struct cat *c)
{
    while (!all_sent(c)) {
        struct pollfd polls[] = {{.fd = libxenvchan_fd_for_select(c->vchan), .events = POLLIN},
                                 {.fd = c->have || c->stdin_ended ? -1 : 0, .events = POLLIN}};
        bool was_open = libxenvchan_is_open(c->vchan) != 0;

        to_stdout(c);
        if (!was_open)
            break;
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            die("poll");
        if (polls[0].revents)
            libxenvchan_wait(c->vchan);
        if (polls[1].revents)
            from_stdin(c);
        to_vchan(c);
    }
}

int main(int argc, char **argv)
{
    struct cat c = {.one_way = argc > 1 && strcmp(argv[argc - 1], "-1") == 0};

    if (c.one_way)
        argc--;
    if (argc != 4 && argc != 6) {
        fprintf(stderr, "usage: lvcat server|client DOMAIN PATH [READ-SIZE WRITE-SIZE] [-1]\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    alarm(CONNECT_SECONDS);
    c.vchan = vchan_open(argc, argv);
    if (!c.vchan)
        die(argv[3]);
    if (strcmp(argv[1], "server") == 0)
        while (libxenvchan_is_open(c.vchan) == 2)
            libxenvchan_wait(c.vchan);
    alarm(0);
    c.vchan->blocking = 0;
    c.write_size = libxenvchan_buffer_space(c.vchan);
    relay(&c);
    libxenvchan_close(c.vchan);
    return 0;
}
