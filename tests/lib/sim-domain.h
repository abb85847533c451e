/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests that play several domains of a simulated host in one process of domain 0. */
#ifndef TESTS_LIB_SIM_DOMAIN_H
#define TESTS_LIB_SIM_DOMAIN_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#define WAIT_MS 5000

/* The id of a guest that the script made, from the environment. */
static inline uint32_t guest_id(const char *name)
{
    const char *id = getenv(name);

    ck_assert_msg(id != NULL, "%s is not set: run this by its script", name);
    return (uint32_t)strtoul(id, NULL, 10);
}

/* What is opened from now on is opened by that domain. */
static inline void domain_be(uint32_t domid)
{
    char dir[64] = "/run/xensim";

    if (domid != 0)
        snprintf(dir, sizeof(dir), "/run/xensim/%u", domid);
    ck_assert_int_eq(setenv("XENSIM_DIR", dir, 1), 0);
}

static inline xenevtchn_handle *evtchn_of(uint32_t domid)
{
    xenevtchn_handle *xce;

    domain_be(domid);
    xce = xenevtchn_open(NULL, 0);
    ck_assert_ptr_nonnull(xce);
    ck_assert_int_ge(fcntl(xenevtchn_fd(xce), F_SETFL, O_NONBLOCK), 0);
    return xce;
}

static inline bool evtchn_readable(xenevtchn_handle *xce, int timeout_ms)
{
    struct pollfd poller = {.fd = xenevtchn_fd(xce), .events = POLLIN};

    return poll(&poller, 1, timeout_ms) == 1;
}

/* Expects the next event at this port; takes and unmasks it. */
static inline void evtchn_expect(xenevtchn_handle *xce, uint32_t port)
{
    ck_assert_msg(evtchn_readable(xce, WAIT_MS), "no event within %d ms", WAIT_MS);
    ck_assert_int_eq(xenevtchn_pending(xce), (int)port);
    ck_assert_int_eq(xenevtchn_unmask(xce, port), 0);
}

static inline void evtchn_expect_none(xenevtchn_handle *xce)
{
    ck_assert(!evtchn_readable(xce, 0));
    errno = 0;
    ck_assert_int_eq(xenevtchn_pending(xce), -1);
    ck_assert_int_eq(errno, EAGAIN);
}

/* A connected pair of ports. */
struct pair {
    xenevtchn_handle *server, *client;
    uint32_t server_port, client_port;
};

static inline struct pair pair_open(uint32_t server, uint32_t client)
{
    struct pair pair = {.server = evtchn_of(server), .client = evtchn_of(client)};
    int port = xenevtchn_bind_unbound_port(pair.server, client);

    ck_assert_int_gt(port, 0);
    pair.server_port = (uint32_t)port;
    port = xenevtchn_bind_interdomain(pair.client, server, pair.server_port);
    ck_assert_int_gt(port, 0);
    pair.client_port = (uint32_t)port;
    evtchn_expect(pair.client, pair.client_port); /* a new binding is pending at its maker's end */
    return pair;
}

static inline void pair_close(struct pair *pair)
{
    ck_assert_int_eq(xenevtchn_close(pair->server), 0);
    ck_assert_int_eq(xenevtchn_close(pair->client), 0);
}

/* A child that reports when it is ready, and then waits to be killed. */
struct victim {
    pid_t pid;
    int pipe[2];
};

static inline bool victim_fork(struct victim *victim)
{
    ck_assert_int_eq(pipe(victim->pipe), 0);
    victim->pid = fork();
    ck_assert_int_ge(victim->pid, 0);
    return victim->pid == 0;
}

/* In the child: passes a number to the parent, and waits to be killed. */
static inline void victim_wait(struct victim *victim, uint32_t number)
{
    if (write(victim->pipe[1], &number, sizeof(number)) == sizeof(number))
        for (;;)
            pause();
    _exit(1);
}

static inline uint32_t victim_ready(struct victim *victim)
{
    uint32_t number;

    ck_assert_int_eq(read(victim->pipe[0], &number, sizeof(number)), sizeof(number));
    return number;
}

static inline void victim_kill(struct victim *victim)
{
    ck_assert_int_eq(kill(victim->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(victim->pid, NULL, 0), victim->pid);
    close(victim->pipe[0]);
    close(victim->pipe[1]);
}

#endif
