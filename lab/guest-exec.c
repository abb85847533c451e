/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest-exec [--wait SECONDS] DOMAIN COMMAND [ARGUMENT…]
 *
 * Runs a command in a guest of the lab, as ssh would: stdin, stdout and stderr are passed on, the
 * exit code is the command's, 255 if the guest cannot be reached or goes away. Waits for the
 * guest's agent, 20 seconds unless told. SIGINT and SIGTERM reach the command.
 */
#include "config.h"
#include "lab/exec-link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_MAX 3500

struct call {
    struct xs_handle *xs;
    unsigned int domid;
    char base[EXEC_PATH_MAX];
    struct stream in, out, err;
    int signal_fd;
    int exit_code; /* -1 until known */
};

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: guest-exec [--wait SECONDS] DOMAIN COMMAND [ARGUMENT…]\n");
    exit(255);
}

static _Noreturn void gone(const char *dom, const char *why)
{
    fprintf(stderr, "guest-exec: domain %s: %s\n", dom, why);
    exit(255);
}

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Parses digits only. Returns -1 if text is not a number. */
static int number_parse(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);

    return *text < '0' || *text > '9' || *end || number > 65535 ? -1 : (int)number;
}

static bool domain_is(struct xs_handle *xs, const char *domid, const char *name)
{
    char path[EXEC_PATH_MAX], *text;
    bool same;

    snprintf(path, sizeof(path), "/local/domain/%s/name", domid);
    text = xs_read(xs, XBT_NULL, path, NULL);
    same = text && strcmp(text, name) == 0;
    free(text);
    return same;
}

/* Returns the id of a domain given by id or name, or -1. */
static int domain_find(struct xs_handle *xs, const char *name)
{
    unsigned int count = 0;
    int found = number_parse(name);
    char **list = found < 0 ? xs_directory(xs, XBT_NULL, "/local/domain", &count) : NULL;

    for (unsigned int i = 0; i < count && found < 0; i++)
        if (domain_is(xs, list[i], name))
            found = number_parse(list[i]);
    free(list);
    return found;
}

static bool node_exists(struct xs_handle *xs, const char *path)
{
    char *text = xs_read(xs, XBT_NULL, path, NULL);

    free(text);
    return text != NULL;
}

static void watches_drop(struct xs_handle *xs)
{
    char **event;

    while ((event = xs_check_watch(xs)))
        free(event);
}

/* Waits until the guest's agent is ready. */
static void agent_wait(struct call *c, const char *dom, int seconds)
{
    char path[EXEC_PATH_MAX];
    long long end = now_ms() + seconds * 1000LL;

    snprintf(path, sizeof(path), "/local/domain/%u/" EXEC_DIR "/ready", c->domid);
    if (!xs_watch(c->xs, path, "ready"))
        die(255, path);
    while (!node_exists(c->xs, path)) {
        struct pollfd p = {.fd = xs_fileno(c->xs), .events = POLLIN};
        long long left = end - now_ms();

        if (left <= 0 || (poll(&p, 1, (int)left) == 0))
            gone(dom, "its agent did not answer in time (see its console log)");
        watches_drop(c->xs);
    }
    xs_unwatch(c->xs, path, "ready");
}

static void command_write(struct call *c, char **argv)
{
    char text[COMMAND_MAX], path[EXEC_PATH_MAX + 8];
    size_t len = 0;

    for (; *argv; argv++) {
        size_t size = strlen(*argv) + 1;

        if (len + size > sizeof(text)) {
            errno = E2BIG;
            die(255, "command");
        }
        memcpy(text + len, *argv, size);
        len += size;
    }
    snprintf(path, sizeof(path), "%s/cmd", c->base);
    if (!xs_write(c->xs, XBT_NULL, path, text, (unsigned int)len))
        die(255, path);
}

static void call_changed(struct call *c, const char *path)
{
    const char *name = strrchr(path, '/');

    if (stream_at(&c->in, path))
        stream_send(&c->in);
    else if (stream_at(&c->out, path))
        stream_receive(&c->out);
    else if (stream_at(&c->err, path))
        stream_receive(&c->err);
    else if (name && strcmp(name, "/exit") == 0) {
        char *text = xs_read(c->xs, XBT_NULL, path, NULL);

        c->exit_code = text ? number_parse(text) : -1;
        free(text);
    }
}

static void call_drain_watches(struct call *c, const char *dom)
{
    char **event;

    while ((event = xs_check_watch(c->xs))) {
        if (event[XS_WATCH_PATH][0] != '@')
            call_changed(c, event[XS_WATCH_PATH]);
        else if (!xs_is_domain_introduced(c->xs, c->domid))
            gone(dom, "is gone");
        free(event);
    }
}

static void call_forward_signal(struct call *c)
{
    struct signalfd_siginfo info;
    char path[EXEC_PATH_MAX + 8], text[16];

    if (read(c->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    snprintf(path, sizeof(path), "%s/kill", c->base);
    snprintf(text, sizeof(text), "%u", info.ssi_signo);
    xs_write(c->xs, XBT_NULL, path, text, strlen(text));
}

static void call_run(struct call *c, const char *dom)
{
    while (c->exit_code < 0 || c->out.have || c->err.have) {
        struct pollfd polls[] = {{.fd = xs_fileno(c->xs), .events = POLLIN},
                                 {.fd = c->signal_fd, .events = POLLIN},
                                 stream_sender_poll(&c->in),
                                 stream_receiver_poll(&c->out),
                                 stream_receiver_poll(&c->err)};

        if (poll(polls, 5, -1) < 0 && errno != EINTR)
            die(255, "poll");
        if (polls[0].revents)
            call_drain_watches(c, dom);
        if (polls[1].revents)
            call_forward_signal(c);
        if (polls[2].revents)
            stream_send(&c->in);
        if (polls[3].revents)
            stream_receive(&c->out);
        if (polls[4].revents)
            stream_receive(&c->err);
    }
}

/* Opens a pipe or terminal again: others share it, and may not expect O_NONBLOCK. */
static int fd_own(int fd, int mode)
{
    char path[32];
    int own;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, mode | O_NONBLOCK | O_CLOEXEC);
    return own >= 0 ? own : dup(fd);
}

static int signals_open(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void call_start(struct call *c, char **argv)
{
    c->signal_fd = signals_open();
    snprintf(c->base, sizeof(c->base), "/local/domain/%u/" EXEC_DIR "/%d", c->domid, getpid());
    stream_init(&c->in, c->xs, c->base, "in", fd_own(0, O_RDONLY), CHUNK_FROM_DOM0);
    stream_init(&c->out, c->xs, c->base, "out", fd_own(1, O_WRONLY | O_APPEND), 0);
    stream_init(&c->err, c->xs, c->base, "err", fd_own(2, O_WRONLY | O_APPEND), 0);
    if (!xs_watch(c->xs, c->base, "call") || !xs_watch(c->xs, "@releaseDomain", "gone"))
        die(255, c->base);
    command_write(c, argv);
}

int main(int argc, char **argv)
{
    struct call c = {.xs = xs_open(0), .exit_code = -1};
    int seconds = 20, domid;

    if (argc > 3 && strcmp(argv[1], "--wait") == 0) {
        seconds = number_parse(argv[2]);
        argv += 2;
        argc -= 2;
    }
    if (argc < 3 || seconds < 0)
        usage();
    if (!c.xs)
        die(255, "xenstore");
    domid = domain_find(c.xs, argv[1]);
    if (domid < 0)
        gone(argv[1], "there is none of that name");
    c.domid = (unsigned int)domid;
    agent_wait(&c, argv[1], seconds);
    call_start(&c, argv + 2);
    call_run(&c, argv[1]);
    xs_rm(c.xs, XBT_NULL, c.base);
    xs_close(c.xs);
    return c.exit_code;
}
