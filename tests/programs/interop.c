/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One end of an interoperation test: libpvchan or the real libxenvchan, server or client.
 *
 *   interop real|pvchan server|client DOMID BASE BYTES
 *
 * Two of these, in two domains, go through every pair of ring orders that libxenvchan offers. For
 * each pair they meet at BASE/<n> and send each other BYTES pseudo-random bytes in messages of
 * random size, in both directions at once. Each end checks every byte and prints checksums; the end
 * that does not close first must see the other's close. Exit code 0: everything was right.
 */
#include <errno.h>
#include <inttypes.h>
#include <libxenvchan.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "state/device.h"
#include "state/store.h"
#include "libpvchan/pvchan.h"

#define MESSAGE_MAX 70000
#define PATIENCE_MS 60000

/* ---- the two libraries behind one interface; calls return bytes, 0: "not now", -1: "over" ---- */

struct end {
    struct pvchan *pvchan;
    struct libxenvchan *real;
};

struct library {
    const char *name;
    bool (*serve)(struct end *end, unsigned int peer, const char *path, size_t read, size_t write);
    bool (*join)(struct end *end, unsigned int peer, const char *path);
    int (*read)(struct end *end, void *data, size_t size);
    int (*write)(struct end *end, const void *data, size_t size);
    int (*fd)(struct end *end);
    void (*wait)(struct end *end); /* call it after fd was readable */
    void (*close)(struct end *end);
};

static bool pvchan_serve(struct end *end, unsigned int peer, const char *path, size_t read,
                         size_t write)
{
    return pvchan_open_server(peer, path, read, write, PVCHAN_NONBLOCK, &end->pvchan) == 0;
}

static bool pvchan_join(struct end *end, unsigned int peer, const char *path)
{
    return pvchan_open_client(peer, path, PATIENCE_MS, PVCHAN_NONBLOCK, &end->pvchan) == 0;
}

static int result(ssize_t rc)
{
    if (rc > 0)
        return (int)rc;
    return rc == -EAGAIN ? 0 : -1;
}

static int pvchan_take(struct end *end, void *data, size_t size)
{
    return result(pvchan_read(end->pvchan, data, size));
}

static int pvchan_give(struct end *end, const void *data, size_t size)
{
    return result(pvchan_write(end->pvchan, data, size));
}

static int pvchan_poll_fd(struct end *end)
{
    return pvchan_fd(end->pvchan);
}

static void pvchan_look(struct end *end)
{
    pvchan_dispatch(end->pvchan);
}

static void pvchan_end(struct end *end)
{
    pvchan_close(end->pvchan);
}

static bool real_serve(struct end *end, unsigned int peer, const char *path, size_t read,
                       size_t write)
{
    end->real = libxenvchan_server_init(NULL, (int)peer, path, read, write);
    return end->real;
}

/* libxenvchan does not wait for the server. */
static bool real_join(struct end *end, unsigned int peer, const char *path)
{
    struct xs_handle *xs = xs_open(0);
    char leaf[256];
    struct pollfd pollfd;
    bool there = false;

    snprintf(leaf, sizeof(leaf), "%s/event-channel", path);
    if (!xs || !xs_watch(xs, leaf, "leaf"))
        return false;
    pollfd = (struct pollfd){.fd = xs_fileno(xs), .events = POLLIN};
    while (!there && poll(&pollfd, 1, PATIENCE_MS) > 0) {
        char *value;

        free(xs_check_watch(xs));
        value = xs_read(xs, XBT_NULL, leaf, NULL);
        there = value;
        free(value);
    }
    xs_close(xs);
    end->real = there ? libxenvchan_client_init(NULL, (int)peer, path) : NULL;
    return end->real;
}

static int real_take(struct end *end, void *data, size_t size)
{
    return libxenvchan_read(end->real, data, size);
}

static int real_give(struct end *end, const void *data, size_t size)
{
    return libxenvchan_write(end->real, data, size);
}

static int real_poll_fd(struct end *end)
{
    return libxenvchan_fd_for_select(end->real);
}

static void real_look(struct end *end)
{
    libxenvchan_wait(end->real);
}

static void real_end(struct end *end)
{
    libxenvchan_close(end->real);
}

static const struct library libraries[] = {
    {"pvchan", pvchan_serve, pvchan_join, pvchan_take, pvchan_give, pvchan_poll_fd, pvchan_look,
     pvchan_end},
    {"real", real_serve, real_join, real_take, real_give, real_poll_fd, real_look, real_end},
};

/* ---- streams: a seed determines what is sent, so the other end can check it ---- */

struct stream {
    uint64_t seed;
    uint64_t left;
    uint64_t sum; /* FNV-1a over all bytes */
    uint8_t ahead[MESSAGE_MAX];
    size_t length; /* of ahead: what is still to be sent, from offset on */
    size_t offset;
};

static uint8_t next_byte(struct stream *stream)
{
    stream->seed = stream->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(stream->seed >> 56);
}

static void stream_start(struct stream *stream, uint64_t seed, uint64_t bytes)
{
    stream->seed = seed;
    stream->left = bytes;
    stream->sum = 14695981039346656037u;
    stream->length = stream->offset = 0;
}

static void add_to_sum(struct stream *stream, uint8_t byte)
{
    stream->sum = (stream->sum ^ byte) * 1099511628211u;
}

/* Makes a new message of random size, mostly small. */
static void make_message(struct stream *stream)
{
    size_t length = (size_t)next_byte(stream) << next_byte(stream) % 9;

    if (length == 0)
        length = 1;
    if (length > stream->left)
        length = (size_t)stream->left;
    for (size_t i = 0; i < length; i++)
        add_to_sum(stream, stream->ahead[i] = next_byte(stream));
    stream->left -= length;
    stream->length = length;
    stream->offset = 0;
}

/* Makes the same messages as the sender, and compares. */
static bool check_bytes(struct stream *stream, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (stream->offset == stream->length && stream->left == 0)
            return false; /* more than was sent */
        if (stream->offset == stream->length)
            make_message(stream);
        if (data[i] != stream->ahead[stream->offset++])
            return false;
    }
    return true;
}

static uint64_t stream_left(const struct stream *stream)
{
    return stream->left + stream->length - stream->offset;
}

static bool stream_done(const struct stream *stream)
{
    return stream_left(stream) == 0;
}

/* ---- one meeting ---- */

static bool fail(const char *what)
{
    fprintf(stderr, "interop: %s\n", what);
    return false;
}

static bool await(const struct library *library, struct end *end)
{
    struct pollfd pollfd = {.fd = library->fd(end), .events = POLLIN};

    if (poll(&pollfd, 1, PATIENCE_MS) != 1)
        return fail("no signal within 60 s: a wake-up was lost, or the peer hangs");
    library->wait(end);
    return true;
}

static bool exchange(const struct library *library, struct end *end, struct stream *out,
                     struct stream *in)
{
    static uint8_t data[MESSAGE_MAX];

    while (!stream_done(out) || !stream_done(in)) {
        int sent = 0, got = 0;

        if (!stream_done(out)) {
            if (out->offset == out->length)
                make_message(out);
            sent = library->write(end, out->ahead + out->offset, out->length - out->offset);
            if (sent < 0)
                return fail("write failed before all was sent");
            out->offset += (size_t)sent;
        }
        if (!stream_done(in)) {
            size_t most = stream_left(in) < sizeof(data) ? (size_t)stream_left(in) : sizeof(data);

            got = library->read(end, data, most);
            if (got < 0)
                return fail("the end came before all was received");
            if (!check_bytes(in, data, (size_t)got))
                return fail("wrong bytes received");
        }
        if (sent == 0 && got == 0 && !await(library, end))
            return false;
    }
    return true;
}

/* Waits for the peer's close, which shows as the end after its last byte. */
static bool await_end(const struct library *library, struct end *end)
{
    uint8_t byte;
    int rc;

    while ((rc = library->read(end, &byte, 1)) == 0) {
        if (!await(library, end))
            return false;
    }
    return rc < 0 ? true : fail("bytes after the last byte");
}

static bool say_done(const struct library *library, struct end *end)
{
    uint8_t byte = 'k';
    int rc;

    while ((rc = library->write(end, &byte, 1)) == 0) {
        if (!await(library, end))
            return false;
    }
    return rc == 1 ? true : fail("cannot tell the peer that all has come");
}

static bool hear_done(const struct library *library, struct end *end)
{
    uint8_t byte;
    int rc;

    while ((rc = library->read(end, &byte, 1)) == 0) {
        if (!await(library, end))
            return false;
    }
    return rc == 1 ? true : fail("no word from the peer that it has got all");
}

/*
 * A plain vchan has no half-close: the side that closes first does so after the other has reported
 * that it has everything.
 */
static bool part(const struct library *library, struct end *end, bool close_first)
{
    if (close_first)
        return hear_done(library, end);
    return say_done(library, end) && await_end(library, end);
}

struct meeting {
    const struct library *library;
    bool server;
    unsigned int peer;
    const char *base;
    uint64_t bytes;
};

static bool meet(const struct meeting *meeting, unsigned int n, size_t read, size_t write)
{
    static struct stream out, in;
    struct end end = {0};
    char path[256];
    bool well;

    snprintf(path, sizeof(path), "%s/%u", meeting->base, n);
    if (meeting->server ? !meeting->library->serve(&end, meeting->peer, path, read, write)
                        : !meeting->library->join(&end, meeting->peer, path))
        return fail("cannot open");
    stream_start(&out, n * 2 + meeting->server, meeting->bytes);
    stream_start(&in, n * 2 + !meeting->server, meeting->bytes);
    well = exchange(meeting->library, &end, &out, &in) &&
           part(meeting->library, &end, meeting->server == (n % 2 == 0));
    if (well)
        printf("%s %016" PRIx64 " %016" PRIx64 "\n", path, meeting->server ? out.sum : in.sum,
               meeting->server ? in.sum : out.sum);
    meeting->library->close(&end);
    return well;
}

/* Every pair of sizes that gives a new pair of orders: all that libxenvchan offers. */
static bool meet_with_all_orders(const struct meeting *meeting)
{
    bool seen[RING_ORDER_MAX + 1][RING_ORDER_MAX + 1] = {{false}};
    unsigned int n = 0;

    for (size_t read = 1024; read <= RING_SIZE_MAX; read *= 2) {
        for (size_t write = 1024; write <= RING_SIZE_MAX; write *= 2) {
            struct ring_orders orders;

            if (ring_orders_for(read, write, &orders) < 0 || seen[orders.read][orders.write])
                continue;
            seen[orders.read][orders.write] = true;
            if (!meet(meeting, n, read, write)) {
                fprintf(stderr, "interop: meeting %u, orders %u and %u, %s %s\n", n, orders.read,
                        orders.write, meeting->library->name,
                        meeting->server ? "server" : "client");
                return false;
            }
            n++;
        }
    }
    return true;
}

static bool parse(char **argv, struct meeting *meeting)
{
    uint32_t peer, bytes;

    for (size_t i = 0; i < 2; i++) {
        if (strcmp(argv[1], libraries[i].name) == 0)
            meeting->library = &libraries[i];
    }
    meeting->server = strcmp(argv[2], "server") == 0;
    meeting->base = argv[4];
    if (!meeting->library || parse_number(argv[3], 65535, &peer) < 0 ||
        parse_number(argv[5], UINT32_MAX, &bytes) < 0)
        return false;
    meeting->peer = peer;
    meeting->bytes = bytes;
    return true;
}

int main(int argc, char **argv)
{
    struct meeting meeting = {0};

    if (argc != 6 || !parse(argv, &meeting)) {
        fprintf(stderr, "usage: interop real|pvchan server|client DOMID BASE BYTES\n");
        return 2;
    }
    return meet_with_all_orders(&meeting) ? 0 : 1;
}
