/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs at both ends of whatever lies between two Unix sockets: a server at one, and as many
 * clients as wanted at the other.
 *
 *   clients bulk COUNT SIZE SECONDS CLIENT-PATH SERVER-PATH   bytes a second, from all clients to
 * the server clients ping SIZE SECONDS BULK CLIENT-PATH SERVER-PATH    round trips of one client,
 * in us: median and p99, beside BULK clients that send 64 KiB at a time clients open SECONDS
 * CLIENT-PATH SERVER-PATH              connections a second, each with a byte there and back
 *
 * The server's side listens at SERVER-PATH. Prints one line of numbers.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536u

static char chunk[CHUNK];
static volatile uint64_t received;
static volatile bool over;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "clients: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int make_socket(const char *path, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0)
        die("make a socket");
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
    return fd;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address;
    int fd = make_socket(path, &address);

    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        if (errno != EAGAIN && errno != EINTR)
            die("connect");
    return fd;
}

/* ---- the server: echoes what begins with 'e', and counts the rest ---- */

struct guest {
    int fd;
    bool known, echoes;
};

static void serve_guest(struct guest *guest)
{
    static char bytes[CHUNK];
    ssize_t got = recv(guest->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        close(guest->fd);
        free(guest);
        return;
    }
    if (!guest->known)
        guest->echoes = bytes[0] == 'e';
    guest->known = true;
    if (guest->echoes && send(guest->fd, bytes, (size_t)got, MSG_NOSIGNAL) != got && errno != EPIPE)
        die("send back");
    if (!guest->echoes)
        received += (uint64_t)got;
}

static void *serve(void *arg)
{
    int listener = *(int *)arg, epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[64];

    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    while (!over) {
        int count = epoll_wait(epoll, events, 64, -1);

        for (int i = 0; i < count; i++) {
            struct guest *guest = events[i].data.ptr;

            if (guest) {
                serve_guest(guest);
                continue;
            }
            guest = calloc(1, sizeof(*guest));
            guest->fd = accept(listener, NULL, NULL);
            event.data.ptr = guest;
            epoll_ctl(epoll, EPOLL_CTL_ADD, guest->fd, &event);
        }
    }
    return NULL;
}

static void start_server(const char *path)
{
    static int listener;
    struct sockaddr_un address;
    pthread_t thread;

    listener = make_socket(path, &address);
    unlink(path);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 1024) < 0)
        die("listen");
    if (pthread_create(&thread, NULL, serve, &listener) != 0)
        die("start a thread");
}

/* ---- the clients ---- */

/* Writes to all of them in turn, whatever each takes. */
static void *flood(void *arg)
{
    struct pollfd *clients = arg;
    size_t count = 0;

    while (clients[count].fd >= 0)
        count++;
    while (!over && poll(clients, count, 1000) >= 0)
        for (size_t i = 0; i < count; i++)
            if (clients[i].revents & POLLOUT)
                (void)!send(clients[i].fd, chunk, CHUNK, MSG_DONTWAIT | MSG_NOSIGNAL);
    return NULL;
}

static struct pollfd *connect_all(size_t count, const char *path)
{
    struct pollfd *clients = calloc(count + 1, sizeof(*clients));

    for (size_t i = 0; i < count; i++)
        clients[i] = (struct pollfd){.fd = connect_to(path), .events = POLLOUT};
    clients[count].fd = -1;
    return clients;
}

/* As flood(), of one client, in pieces of that size. */
static void send_pieces(int fd, size_t size, double seconds)
{
    double end = now() + seconds;

    do
        for (int i = 0; i < 64; i++)
            if (send(fd, chunk, size, MSG_NOSIGNAL) < 0)
                die("send");
    while (now() < end);
}

static void bulk(size_t count, size_t size, double seconds, const char *path)
{
    struct pollfd *clients = connect_all(count, path);
    uint64_t before;
    double begin;
    pthread_t thread;

    send_pieces(clients[0].fd, size, 0.05); /* all is warm */
    before = received;
    begin = now();
    if (count == 1) {
        send_pieces(clients[0].fd, size, seconds);
    } else {
        pthread_create(&thread, NULL, flood, clients);
        usleep((useconds_t)(seconds * 1e6));
    }
    printf("%.0f\n", (double)(received - before) / (now() - begin));
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static void receive_all(int fd, size_t size)
{
    static char bytes[CHUNK];
    ssize_t got;

    for (size_t done = 0; done < size; done += (size_t)got) {
        got = recv(fd, bytes, size - done, 0);
        if (got <= 0)
            die("receive");
    }
}

static void ping(size_t size, double seconds, size_t others, const char *path)
{
    static double times[1000000];
    static char bytes[CHUNK] = "e";
    int fd = connect_to(path);
    struct pollfd *clients = connect_all(others, path);
    pthread_t thread;
    size_t count = 0;
    double end;

    if (others > 0)
        pthread_create(&thread, NULL, flood, clients);
    for (end = now() + seconds; now() < end && count < 1000000; count++) {
        double begin = now();

        if (send(fd, bytes, size, MSG_NOSIGNAL) < 0)
            die("send");
        receive_all(fd, size);
        times[count] = (now() - begin) * 1e6;
    }
    qsort(times, count, sizeof(*times), by_size);
    printf("%.1f %.1f\n", times[count / 2], times[count * 99 / 100]);
}

static void open_many(double seconds, const char *path)
{
    double begin = now();
    unsigned long count = 0;

    for (; now() < begin + seconds; count++) {
        int fd = connect_to(path);

        if (send(fd, "e", 1, MSG_NOSIGNAL) < 0)
            die("send");
        receive_all(fd, 1);
        close(fd);
    }
    printf("%.0f\n", (double)count / (now() - begin));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    memset(chunk, 'b', sizeof(chunk));
    if (argc < 3)
        return 2;
    start_server(argv[argc - 1]);
    if (strcmp(argv[1], "bulk") == 0 && argc == 7)
        bulk(strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 0), strtod(argv[4], NULL), argv[5]);
    else if (strcmp(argv[1], "ping") == 0 && argc == 7)
        ping(strtoul(argv[2], NULL, 0), strtod(argv[3], NULL), strtoul(argv[4], NULL, 0), argv[5]);
    else if (strcmp(argv[1], "open") == 0 && argc == 5)
        open_many(strtod(argv[2], NULL), argv[3]);
    else
        return 2;
    fflush(stdout);
    _exit(0);
}
