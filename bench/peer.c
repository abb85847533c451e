/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One end of a measurement. bench/bench starts two of these, in two domains, and reads their
 * output.
 *
 *   peer LIBRARY ROLE WORK SIZE TOTAL DOMID PLACE READ-RING WRITE-RING
 *
 * LIBRARY  pvchan, libxenvchan, unix, pipe (a pair of named pipes), tcp (PLACE is an IPv4 address
 *          of the server), memcpy (one process)
 * ROLE     server (offers the place, receives) or client (sends)
 * WORK     stream (read and write), message (all or nothing), echo (a message there and back)
 * SIZE     bytes a call; TOTAL bytes (stream, message) or rounds (echo); PLACE a path
 *
 * It prints one JSON object: seconds, CPU seconds, calls that are system calls on Xen, and how often
 * the kernel switched away from it.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libxenvchan.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

#include "state/store.h"
#include "libpvchan/pvchan.h"

#define PATIENCE_MS 30000

/*
 * ---- counting: these replace the libraries' functions; each call is one system call on Xen ----
 */

static uint64_t notifies, waits, others;

#define COUNTED(count, type, name, parameters, arguments)                                          \
    __attribute__((visibility("default"))) type name parameters                                    \
    {                                                                                              \
        static type(*next) parameters;                                                             \
                                                                                                   \
        if (!next)                                                                                 \
            *(void **)&next = dlsym(RTLD_NEXT, #name);                                             \
        (count)++;                                                                                 \
        return next arguments;                                                                     \
    }

COUNTED(notifies, int, xenevtchn_notify, (xenevtchn_handle * handle, evtchn_port_t port),
        (handle, port))
COUNTED(waits, xenevtchn_port_or_error_t, xenevtchn_pending, (xenevtchn_handle * handle), (handle))
COUNTED(others, int, xenevtchn_unmask, (xenevtchn_handle * handle, evtchn_port_t port),
        (handle, port))
COUNTED(others, int, sched_yield, (void), ())
COUNTED(others, int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))

/* ---- the libraries: every call moves all of size, or the program ends ---- */

struct request {
    const char *library, *role, *work, *place;
    bool stream; /* what work says */
    uint32_t size, total, domid, read_ring, write_ring;
};

static struct pvchan *pvchan;
static struct libxenvchan *real;
static int in = -1, out = -1;

static void die(const char *what, int error)
{
    fprintf(stderr, "bench peer: %s: %s\n", what, error ? strerror(error) : "failed");
    exit(1);
}

static void check(const char *what, long rc)
{
    if (rc <= 0)
        die(what, rc < 0 ? (int)-rc : 0);
}

static void open_pvchan(const struct request *request, bool server)
{
    int rc = server ? pvchan_open_server(request->domid, request->place, request->read_ring,
                                    request->write_ring, 0, &pvchan)
                    : pvchan_open_client(request->domid, request->place, PATIENCE_MS, 0, &pvchan);

    check("open", rc < 0 ? rc : 1);
}

static void await_leaf(const struct request *request)
{
    struct xs_handle *xs = xs_open(0);
    struct pollfd pollfd;
    char leaf[256];
    char *value = NULL;

    snprintf(leaf, sizeof(leaf), "%s/event-channel", request->place);
    if (!xs || !xs_watch(xs, leaf, "leaf"))
        die("watch", errno);
    pollfd = (struct pollfd){.fd = xs_fileno(xs), .events = POLLIN};
    while (!value && poll(&pollfd, 1, PATIENCE_MS) > 0) {
        free(xs_check_watch(xs));
        value = xs_read(xs, XBT_NULL, leaf, NULL);
    }
    free(value);
    xs_close(xs);
}

static void open_real(const struct request *request, bool server)
{
    if (!server)
        await_leaf(request);
    real = server ? libxenvchan_server_init(NULL, (int)request->domid, request->place,
                                            request->read_ring, request->write_ring)
                  : libxenvchan_client_init(NULL, (int)request->domid, request->place);
    if (!real)
        die("libxenvchan open", errno);
    real->blocking = 1;
}

/* Makes fd a connection: accepts the first one to address, or connects once the server listens. */
static void join(int fd, bool server, const struct sockaddr *address, socklen_t size)
{
    const int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (server) {
        if (bind(fd, address, size) < 0 || listen(fd, 1) < 0)
            die("listen", errno);
        fd = accept(fd, NULL, NULL);
    } else {
        while (connect(fd, address, size) < 0)
            poll(NULL, 0, 1);
    }
    if (fd < 0)
        die("socket", errno);
    in = out = fd;
}

static void open_unix(const struct request *request, bool server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", request->place);
    join(socket(AF_UNIX, SOCK_STREAM, 0), server, (struct sockaddr *)&address, sizeof(address));
}

static void open_tcp(const struct request *request, bool server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7777)};
    const int on = 1;

    if (inet_pton(AF_INET, request->place, &address.sin_addr) != 1)
        die("address", EINVAL);
    join(socket(AF_INET, SOCK_STREAM, 0), server, (struct sockaddr *)&address, sizeof(address));
    setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* bench/bench has made PLACE.there and PLACE.back. */
static void open_pipe(const struct request *request, bool server)
{
    char there[256], back[256];

    snprintf(there, sizeof(there), "%s.there", request->place);
    snprintf(back, sizeof(back), "%s.back", request->place);
    in = open(server ? there : back, O_RDWR);
    out = open(server ? back : there, O_RDWR);
    if (in < 0 || out < 0)
        die("pipe", errno);
}

static long take_some(void *data, size_t size)
{
    if (pvchan)
        return pvchan_read(pvchan, data, size);
    return real ? libxenvchan_read(real, data, size) : read(in, data, size);
}

static void take(const struct request *request, void *data)
{
    if (pvchan)
        check("recv", pvchan_recv(pvchan, data, request->size));
    else if (real)
        check("recv", libxenvchan_recv(real, data, request->size));
    else
        for (uint32_t done = 0; done < request->size;) {
            long rc = read(in, (char *)data + done, request->size - done);

            check("read", rc);
            done += (uint32_t)rc;
        }
}

static void give(const struct request *request, const void *data)
{
    if (pvchan)
        check("write", request->stream ? pvchan_write(pvchan, data, request->size)
                              : pvchan_send(pvchan, data, request->size));
    else if (real)
        check("write", request->stream ? libxenvchan_write(real, data, request->size)
                              : libxenvchan_send(real, data, request->size));
    else
        check("write", write(out, data, request->size));
}

/* ---- work ---- */

static double seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* How often the kernel switched away from us, whether we slept or not. */
static uint64_t switches(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

static uint8_t *data;

/* Receives as much as one call takes, at most size. */
static uint32_t receive_once(const struct request *request)
{
    long rc = request->size;

    if (request->stream)
        rc = take_some(data, request->size);
    else
        take(request, data);
    check("read", rc);
    return (uint32_t)rc;
}

static void receive(const struct request *request, uint32_t done)
{
    for (uint64_t sum = done; sum < request->total;)
        sum += receive_once(request);
}

static void transmit(const struct request *request)
{
    for (uint64_t done = 0; done < request->total; done += request->size)
        give(request, data);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void echo_back(const struct request *request)
{
    for (uint32_t i = 0; i < request->total; i++) {
        take(request, data);
        give(request, data);
    }
}

/* Prints the median and the 99th percentile of the round trips. */
static void echo_there(const struct request *request)
{
    double *times = calloc(request->total, sizeof(times[0]));

    if (!times)
        die("memory", ENOMEM);
    for (uint32_t i = 0; i < request->total; i++) {
        double start = seconds();

        give(request, data);
        take(request, data);
        times[i] = seconds() - start;
    }
    qsort(times, request->total, sizeof(times[0]), compare);
    printf("{\"median\": %.9f, \"p99\": %.9f, ", times[request->total / 2],
           times[(uint64_t)request->total * 99 / 100]);
    free(times);
}

static void copy_memory(const struct request *request)
{
    uint8_t *to = malloc(request->size);

    if (!to)
        die("memory", ENOMEM);
    for (uint64_t done = 0; done < request->total; done += request->size) {
        memcpy(to, data, request->size);
        __asm__ __volatile__("" : : "r"(to) : "memory");
    }
    free(to);
}

static void work(const struct request *request, bool server, uint32_t done)
{
    if (strcmp(request->library, "memcpy") == 0)
        copy_memory(request);
    else if (strcmp(request->work, "echo") == 0)
        (server ? echo_back : echo_there)(request);
    else if (server)
        receive(request, done);
    else
        transmit(request);
}

/* The receiver's clock starts with the first bytes, because the sender may be slow to start. */
static void run(const struct request *request, bool server)
{
    bool echo = strcmp(request->work, "echo") == 0;
    uint32_t first = server && !echo ? receive_once(request) : 0;
    double start = seconds(), cpu = cpu_seconds();
    uint64_t before = switches();

    work(request, server, first);
    if (!echo || server)
        printf("{");
    printf("\"bytes\": %" PRIu32 ", \"seconds\": %.9f, \"cpu\": %.6f, \"notifies\": %" PRIu64
           ", \"calls\": %" PRIu64 ", \"switches\": %" PRIu64 "}\n",
           request->total - first, seconds() - start, cpu_seconds() - cpu, notifies,
           notifies + waits + others, switches() - before);
}

static bool open_library(const struct request *request, bool server)
{
    static const struct {
        const char *name;
        void (*open)(const struct request *request, bool server);
    } libraries[] = {
        {"pvchan", open_pvchan},
        {"libxenvchan", open_real},
        {"unix", open_unix},
        {"pipe", open_pipe},
        {"tcp", open_tcp},
    };

    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        if (strcmp(request->library, libraries[i].name) == 0) {
            libraries[i].open(request, server);
            return true;
        }
    }
    return strcmp(request->library, "memcpy") == 0;
}

int main(int argc, char **argv)
{
    struct request request;
    bool server;

    if (argc != 10 || parse_number(argv[4], 1u << 20, &request.size) < 0 ||
        parse_number(argv[5], UINT32_MAX, &request.total) < 0 ||
        parse_number(argv[6], 65535, &request.domid) < 0 ||
        parse_number(argv[8], 1u << 20, &request.read_ring) < 0 ||
        parse_number(argv[9], 1u << 20, &request.write_ring) < 0) {
        fprintf(stderr, "usage: peer LIBRARY ROLE WORK SIZE TOTAL DOMID PLACE READ-RING WRITE-RING\n");
        return 2;
    }
    request.library = argv[1];
    request.role = argv[2];
    request.work = argv[3];
    request.stream = strcmp(argv[3], "stream") == 0;
    request.place = argv[7];
    server = strcmp(request.role, "server") == 0;
    data = calloc(1, request.size + 1);
    if (!data || !open_library(&request, server))
        die(request.library, EINVAL);
    run(&request, server);
    pvchan_close(pvchan);
    libxenvchan_close(real);
    return 0;
}
