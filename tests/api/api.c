/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests libpvchan/pvchan.h, promise by promise: shared helpers and main(). Runs in domain 0 of a
 * simulated host prepared by tests/sim/api.sh (its ids are in the environment).
 */
#include "tests/api/api.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/lib/check-main.h"

struct peer web;
struct side me;
struct store *store;
unsigned int web_id, other_id, gone_id;
char web_app[32], frontend[64], backend[64], plain[64];

static unsigned int guest_id(const char *name)
{
    const char *id = getenv(name);

    ck_assert_msg(id != NULL, "%s is not set: run this by tests/sim/api.sh", name);
    return (unsigned int)strtoul(id, NULL, 10);
}

static void setup(void)
{
    web_id = guest_id("WEB");
    other_id = guest_id("OTHER");
    gone_id = guest_id("GONE");
    snprintf(web_app, sizeof(web_app), "%u/app", web_id);
    snprintf(frontend, sizeof(frontend), "/local/domain/%u/device/vchan/0", web_id);
    snprintf(backend, sizeof(backend), "/local/domain/0/backend/vchan/%u/0", web_id);
    snprintf(plain, sizeof(plain), "/local/domain/%u/data/api", web_id);
    is(store_open(&store), 0);
    peer_start(&web, "web");
}

static void teardown(void)
{
    side_close(&me);
    if (web.pid > 0)
        peer_end(&web);
    store_close(store);
}

/* ---- helpers ---- */

int xopen(const char *name, int timeout_ms, unsigned int flags)
{
    int rc = pvchan_open(name, timeout_ms, flags, &me.channel);

    ck_assert(rc == 0 ? me.channel != NULL : me.channel == NULL);
    return rc;
}

int xserver(unsigned int peer, const char *path, size_t read_size, size_t write_size)
{
    int rc = pvchan_open_server(peer, path, read_size, write_size, 0, &me.channel);

    ck_assert(rc == 0 ? me.channel != NULL : me.channel == NULL);
    return rc;
}

int xclient(unsigned int peer, const char *path, int timeout_ms)
{
    int rc = pvchan_open_client(peer, path, timeout_ms, 0, &me.channel);

    ck_assert(rc == 0 ? me.channel != NULL : me.channel == NULL);
    return rc;
}

/* Opens the channel app on both sides. */
void meet(unsigned int flags)
{
    tell("open app %d", PATIENCE_MS);
    is(xopen(web_app, PATIENCE_MS, flags), 0);
    is(answer(), 0);
}

/* Opens a plain vchan with its server in the guest; ring sizes as app's. */
void meet_plain(unsigned int flags)
{
    is(ask("server 0 data/api %u %u", TO_WEB, FROM_WEB), 0);
    is(pvchan_open_client(web_id, plain, PATIENCE_MS, flags, &me.channel), 0);
}

bool fd_readable(int timeout_ms)
{
    struct pollfd pollfd = {.fd = pvchan_fd(me.channel), .events = POLLIN};

    return poll(&pollfd, 1, timeout_ms) == 1;
}

/* Repeats a non-blocking call after each event until it returns something other than -EAGAIN. */
ssize_t until(ssize_t (*call)(struct side *, size_t), size_t size)
{
    ssize_t rc;

    while ((rc = call(&me, size)) == -EAGAIN) {
        ck_assert_msg(fd_readable(PATIENCE_MS), "pvchan_fd() never became readable");
        is(pvchan_dispatch(me.channel), 0);
    }
    return rc;
}

unsigned int number_at(const char *dir, const char *key)
{
    uint32_t value = 0;

    return store_read_number(store, dir, key, UINT32_MAX, &value) == 0 ? value : 0;
}

void await_state(const char *dir, unsigned int state)
{
    struct pollfd pollfd = {.fd = store_fd(store), .events = POLLIN};
    struct store_event event;

    is(store_watch(store, dir, "state"), 0);
    while (number_at(dir, "state") != state) {
        ck_assert_msg(poll(&pollfd, 1, PATIENCE_MS) == 1, "%s/state is %u, not %u", dir,
                      number_at(dir, "state"), state);
        while (store_next_event(store, &event) > 0)
            ;
    }
    is(store_unwatch(store, dir, "state"), 0);
}

void run(const char *format, ...)
{
    char command[128];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    is(system(command), 0);
}

static void on_alarm(int number)
{
    (void)number;
}

/* Sends the signal repeatedly, since the first may come before the call waits. */
void signals(int every_ms)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {.it_interval.tv_usec = every_ms * 1000,
                              .it_value.tv_usec = every_ms * 1000};

    sigaction(SIGALRM, &action, NULL);
    is(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* After a failure the device is Closed and can be opened. */
void expect_closed(void)
{
    await_state(backend, XenbusStateClosed);
    meet(0);
    is(ask("write 10"), 10);
    is(side_read(&me, 10), 10);
}

void remove_fake_keys(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/ring-ref", frontend);
    is(store_remove(store, path), 0);
    snprintf(path, sizeof(path), "%s/event-channel", frontend);
    is(store_remove(store, path), 0);
    is(store_write_state(store, frontend, XenbusStateClosed), 0);
}

void restart_peer(void)
{
    peer_kill(&web);
    peer_start(&web, "web");
}

/* Tests that run for both kinds: a named channel and a plain one. */
void meet_either(int kind, unsigned int flags)
{
    if (kind == 0)
        meet(flags);
    else
        meet_plain(flags);
}

static const struct api_row *const tables[] = {
    api_open, api_plain, api_bytes, api_spans, api_end, api_loop, api_waits, api_group,
};

static void add_rows(TCase *tcase, const struct api_row *row)
{
    for (; row->run; row++)
        tcase_add_loop_test(tcase, *row->run, 0, row->rounds);
}

int main(int argc, char **argv)
{
    TCase *tcase;

    if (argc > 1 && strcmp(argv[1], "peer") == 0)
        return peer_main();
    tcase = tcase_create("api");
    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        add_rows(tcase, tables[i]);
    return check_main("api", tcase);
}
