/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan/pvchan.h, promise by promise. Runs in domain 0 of a simulated host that tests/sim-api.sh
 * has prepared (its ids are in the environment); the other end is the same program, in a guest.
 * Check runs each test in a process of its own, with a time limit: that is the bound of every wait
 * here.
 *
 * Seen from the frontend, the guest web, its channel "app" reads 4096 bytes and writes 8192.
 */
#include "tests/check-main.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "state/store.h"
#include "tests/api-side.h"

#define TO_WEB   4096u
#define FROM_WEB 8192u

#define is(value, expected) ck_assert_int_eq((long)(value), (long)(expected))
#define tell(...)           peer_tell(&web, __VA_ARGS__)
#define ask(...)            peer_ask(&web, __VA_ARGS__)
#define answer()            peer_answer(&web)

static struct peer web;
static struct side me;
static struct store *store;
static unsigned int web_id, other_id, gone_id;
static char web_app[32], frontend[64], backend[64], plain[64];

static unsigned int guest_id(const char *name)
{
    const char *id = getenv(name);

    ck_assert_msg(id != NULL, "%s is not set: run this by tests/sim-api.sh", name);
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

static int xopen(const char *name, int timeout_ms, unsigned int flags)
{
    int rc = pvchan_open(name, timeout_ms, flags, &me.channel);

    ck_assert(rc == 0 ? me.channel != NULL : me.channel == NULL);
    return rc;
}

static int xserver(unsigned int peer, const char *path, size_t read_size, size_t write_size)
{
    int rc = pvchan_server(peer, path, read_size, write_size, 0, &me.channel);

    ck_assert(rc == 0 ? me.channel != NULL : me.channel == NULL);
    return rc;
}

static int xclient(unsigned int peer, const char *path, int timeout_ms)
{
    int rc = pvchan_client(peer, path, timeout_ms, 0, &me.channel);

    ck_assert(rc == 0 ? me.channel != NULL : me.channel == NULL);
    return rc;
}

/* The channel app, open on both sides. */
static void meet(unsigned int flags)
{
    tell("open app %d", PATIENCE_MS);
    is(xopen(web_app, PATIENCE_MS, flags), 0);
    is(answer(), 0);
}

/* A plain vchan, its server in the guest; the sizes are as those of app. */
static void meet_plain(unsigned int flags)
{
    is(ask("server 0 data/api %u %u", TO_WEB, FROM_WEB), 0);
    is(pvchan_client(web_id, plain, PATIENCE_MS, flags, &me.channel), 0);
}

static bool fd_readable(int timeout_ms)
{
    struct pollfd pollfd = {.fd = pvchan_fd(me.channel), .events = POLLIN};

    return poll(&pollfd, 1, timeout_ms) == 1;
}

/* A non-blocking call, again after each event until it gives something else than -EAGAIN. */
static ssize_t until(ssize_t (*call)(struct side *, size_t), size_t size)
{
    ssize_t rc;

    while ((rc = call(&me, size)) == -EAGAIN) {
        ck_assert_msg(fd_readable(PATIENCE_MS), "pvchan_fd() never became readable");
        is(pvchan_dispatch(me.channel), 0);
    }
    return rc;
}

static unsigned int number_at(const char *dir, const char *key)
{
    uint32_t value = 0;

    return store_read_number(store, dir, key, UINT32_MAX, &value) == 0 ? value : 0;
}

static void await_state(const char *dir, unsigned int state)
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

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
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

/* A signal in 30 ms: by then the call that follows waits. */
static void signal_soon(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {.it_value.tv_usec = 30000};

    sigaction(SIGALRM, &action, NULL);
    is(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* ---- opening by name ---- */

START_TEST(open_waits_until_both_are_connected)
{
    meet(0);
    is(number_at(frontend, "state"), XenbusStateConnected);
    is(number_at(backend, "state"), XenbusStateConnected);
    is(pvchan_is_connected(me.channel), 1);
    is(ask("connected"), 1);
    is(pvchan_peer(me.channel), web_id);
    is(ask("peer"), 0);
    is(pvchan_read_size(me.channel), FROM_WEB);
    is(pvchan_write_size(me.channel), TO_WEB);
    is(ask("sizes"), TO_WEB * 10000 + FROM_WEB);
}
END_TEST

START_TEST(open_refuses_what_is_no_name)
{
    static const char *const names[] = {"",
                                        "a b",
                                        "a/",
                                        "/app",
                                        "x/app",
                                        "-1/app",
                                        "32752/app",
                                        "1/2/app",
                                        "00000000001/app",
                                        "12345678901234567890123456789012345678901234567890"
                                        "123456789012345"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_msg(xopen(names[i], 0, 0) == -EINVAL, "\"%s\"", names[i]);
    is(xopen(web_app, 0, 1u << 31), -EINVAL);
}
END_TEST

START_TEST(open_finds_the_one_that_is_meant)
{
    char name[32];

    is(xopen("nothing", 0, 0), -ENOENT);
    snprintf(name, sizeof(name), "%u/app", web_id + 1000);
    is(xopen(name, 0, 0), -ENOENT);
    is(ask("open nothing 0"), -ENOENT);
    is(xopen("app", 0, 0), -ENOTUNIQ);
    is(ask("open 0/app 0"), -ETIMEDOUT);
    is(ask("open %u/app 0", web_id), -ENOENT);
    snprintf(name, sizeof(name), "%u/app", other_id);
    is(xopen(name, 0, 0), -ETIMEDOUT);
}
END_TEST

START_TEST(open_is_for_one_process)
{
    struct pvchan *second;
    struct peer rival;

    meet(0);
    is(pvchan_open(web_app, 0, 0, &second), -EBUSY);
    ck_assert_ptr_null(second);
    peer_start(&rival, NULL);
    is(peer_ask(&rival, "open %s 0", web_app), -EBUSY);
    peer_end(&rival);
    peer_start(&rival, "web");
    is(peer_ask(&rival, "open app 0"), -EBUSY);
    peer_end(&rival);
    is(ask("write 10"), 10);
    is(side_read(&me, 10), 10);      /* undisturbed */
    is(pvchan_open("echo", 0, 0, &second), -EBUSY); /* vchan-backend serves it */
}
END_TEST

/* After a failure the device is Closed, and can be opened. */
static void expect_closed(void)
{
    await_state(backend, XenbusStateClosed);
    meet(0);
    is(ask("write 10"), 10);
    is(side_read(&me, 10), 10);
}

START_TEST(open_times_out)
{
    is(xopen(web_app, 0, 0), -ETIMEDOUT);
    is(number_at(backend, "state"), XenbusStateClosed);
    is(xopen(web_app, 20, PVCHAN_NONBLOCK), -ETIMEDOUT);
    is(ask("open app 0"), -ETIMEDOUT);
    is(ask("open app 20"), -ETIMEDOUT);
    is(number_at(frontend, "state"), XenbusStateClosed);
    expect_closed();
}
END_TEST

START_TEST(open_is_interrupted)
{
    signal_soon();
    is(xopen(web_app, -1, 0), -EINTR);
    expect_closed();
}
END_TEST

START_TEST(open_nonblocking_waits_too)
{
    tell("open app %d", PATIENCE_MS);
    is(xopen(web_app, -1, PVCHAN_NONBLOCK), 0);
    is(answer(), 0);
    is(side_read(&me, 1), -EAGAIN);
}
END_TEST

START_TEST(open_is_refused)
{
    is(ask("open refuse %d", PATIENCE_MS), -ECONNREFUSED);
}
END_TEST

START_TEST(open_sees_the_device_go)
{
    struct peer here;
    char dir[64];

    peer_start(&here, NULL);
    peer_tell(&here, "open gone %d", PATIENCE_MS);
    snprintf(dir, sizeof(dir), "/local/domain/0/backend/vchan/%u/3", web_id);
    await_state(dir, XenbusStateInitWait);
    run("exec xl-vchan detach %u gone > /dev/null", web_id);
    is(peer_answer(&here), -ENOENT);
    peer_end(&here);
    run("exec xl-vchan attach %u name=gone,devid=3 > /dev/null", web_id);
}
END_TEST

/* Writes a number over one, and later back. */
static void change(const char *dir, const char *key, const char *value, int expected)
{
    char before[64];

    is(store_read_text(store, dir, key, before, sizeof(before)), 0);
    is(store_write_text(store, dir, key, value), 0);
    is(ask("open app 0"), expected);
    is(store_write_text(store, dir, key, before), 0);
}

START_TEST(open_refuses_nodes_without_sense)
{
    change(frontend, "read-ring", "abc", -EINVAL);
    change(frontend, "write-ring", "1048577", -EINVAL);
    change(frontend, "backend-id", "x", -EINVAL);
    change(frontend, "backend", "relative", -EINVAL);
    change(frontend, "backend-id", getenv("WEB"), -ELOOP);
    expect_closed();
}
END_TEST

/* The guest's side of app, by hand: from here to Initialised, opened by a process in domain 0. */
static void fake_frontend(struct peer *here, const char *trick)
{
    peer_start(here, NULL);
    is(store_write_state(store, frontend, XenbusStateInitialising), 0);
    peer_tell(here, "open %s %d", web_app, PATIENCE_MS);
    await_state(backend, XenbusStateInitWait);
    is(ask("fake 0 device/vchan/0"), 0);
    if (trick)
        is(ask("%s", trick), 0);
    is(store_write_state(store, frontend, XenbusStateInitialised), 0);
}

static void remove_fake_keys(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/ring-ref", frontend);
    is(store_remove(store, path), 0);
    snprintf(path, sizeof(path), "%s/event-channel", frontend);
    is(store_remove(store, path), 0);
    is(store_write_state(store, frontend, XenbusStateClosed), 0);
}

static void restart_peer(void)
{
    peer_kill(&web);
    peer_start(&web, "web");
}

START_TEST(open_refuses_a_page_without_sense)
{
    static const char *const tricks[] = {"poke left_order 5", "poke left_order 11",
                                         "poke left.cons 1", "poke right.prod 2049"};
    struct peer here;

    fake_frontend(&here, tricks[_i]);
    is(peer_answer(&here), -EPROTO);
    peer_end(&here);
    restart_peer();
    remove_fake_keys();
    expect_closed();
}
END_TEST

START_TEST(open_sees_the_other_side_die)
{
    struct peer here;

    fake_frontend(&here, NULL);
    await_state(backend, XenbusStateConnected);
    peer_kill(&web); /* it has not said that it is Connected */
    is(peer_answer(&here), -ECONNRESET);
    peer_end(&here);
    peer_start(&web, "web");
    remove_fake_keys();
    expect_closed();
}
END_TEST

/* A process that was killed leaves its state; the next one of its side waits for the other as ever.
 */
START_TEST(open_after_a_crash)
{
    struct peer here;

    peer_start(&here, NULL);
    tell("open app %d", PATIENCE_MS);
    is(peer_ask(&here, "open %s %d", web_app, PATIENCE_MS), 0);
    is(answer(), 0);
    peer_kill(&here);
    is(number_at(backend, "state"), XenbusStateConnected);
    peer_start(&here, NULL);
    peer_tell(&here, "open %s %d", web_app, PATIENCE_MS);
    await_state(backend, XenbusStateClosed);
    is(ask("read 1"), -ECONNRESET);
    is(ask("close"), 0);
    is(ask("open app %d", PATIENCE_MS), 0);
    is(peer_answer(&here), 0);
    peer_end(&here);
}
END_TEST

START_TEST(open_refuses_a_channel_that_is_taken)
{
    is(store_write_state(store, frontend, XenbusStateInitialising), 0);
    is(store_write_number(store, frontend, "ring-ref", 8), 0);
    is(store_write_number(store, frontend, "event-channel", 4000), 0);
    is(store_write_state(store, backend, XenbusStateInitWait), 0);
    is(store_write_state(store, frontend, XenbusStateInitialised), 0);
    is(xopen(web_app, PATIENCE_MS, 0), -EBUSY);
    is(store_write_number(store, backend, "frontend-id", 500), 0);
    is(store_write_state(store, backend, XenbusStateInitWait), 0);
    is(xopen("500/app", PATIENCE_MS, 0), -ESRCH);
    is(store_write_number(store, backend, "frontend-id", web_id), 0);
    remove_fake_keys();
    expect_closed();
}
END_TEST

START_TEST(open_reaches_the_limits)
{
    run("exec xensim limit %u 1", web_id);
    tell("open app %d", PATIENCE_MS);
    is(xopen(web_app, 100, 0), -ETIMEDOUT);
    is(answer(), -ENOSPC);
    run("exec xensim limit %u 1024", web_id);
    is(ask("watches"), -ENOSPC);
    is(ask("open app %d", PATIENCE_MS), -ENOSPC);
    restart_peer();
    expect_closed();
}
END_TEST

/* ---- plain vchans ---- */

START_TEST(server_offers_and_takes_back)
{
    char dir[] = "/local/domain/0/data/api";

    is(xserver(web_id, dir, 1, 1), 0);
    ck_assert_uint_gt(number_at(dir, "event-channel"), 0);
    ck_assert(store_exists(store, dir, "ring-ref"));
    is(pvchan_is_connected(me.channel), 0);
    is(side_write(&me, 1000), 1000); /* before it comes */
    is(ask("client 0 %s 0", dir), 0);
    is(pvchan_is_connected(me.channel), 1);
    is(ask("drain 1000"), 1000);
    is(ask("client 0 %s 0", dir), -EBUSY);
    restart_peer();
    is(side_read(&me, 1), 0);
    is(pvchan_is_connected(me.channel), 0);
    side_close(&me);
    ck_assert(!store_exists(store, dir, "event-channel"));
    ck_assert(!store_exists(store, dir, "ring-ref"));
    is(store_remove(store, dir), 0);
}
END_TEST

/* A successor's keys stay. */
START_TEST(server_leaves_what_is_not_its_own)
{
    char dir[] = "/local/domain/0/data/api";

    is(xserver(web_id, dir, 1, 1), 0);
    is(store_write_number(store, dir, "ring-ref", 4711), 0);
    side_close(&me);
    is(number_at(dir, "ring-ref"), 4711);
    ck_assert(store_exists(store, dir, "event-channel"));
    is(store_remove(store, dir), 0);
}
END_TEST

START_TEST(server_rounds_sizes)
{
    static const struct {
        size_t read, write, wire_read, wire_write;
    } rows[] = {
        {0, 0, 1024, 2048},
        {1024, 2048, 1024, 2048},
        {2048, 1024, 2048, 1024},
        {1025, 1025, 2048, 4096},
        {4097, 1, 8192, 2048},
        {100000, 65536, 131072, 65536},
        {PVCHAN_RING_MAX, 1, PVCHAN_RING_MAX, 2048},
        {PVCHAN_RING_MAX, 5000, PVCHAN_RING_MAX, 8192},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is(xserver(web_id, "data/api", rows[i].read, rows[i].write), 0);
        is(pvchan_read_size(me.channel), rows[i].wire_read);
        is(pvchan_write_size(me.channel), rows[i].wire_write);
        is(pvchan_peer(me.channel), web_id);
        side_close(&me);
    }
}
END_TEST

static const char *too_long(char *path, size_t size)
{
    memset(path, 'x', size - 1);
    path[size - 1] = '\0';
    return path;
}

START_TEST(server_fails)
{
    char longest[4000];

    is(xserver(web_id, "data/api", PVCHAN_RING_MAX + 1, 1), -ERANGE);
    is(xserver(web_id, "data/api", 1, SIZE_MAX), -ERANGE);
    is(xserver(32752, "data/api", 1, 1), -EINVAL);
    is(xserver(UINT32_MAX, "data/api", 1, 1), -EINVAL);
    is(xserver(0, "data/api", 1, 1), -ELOOP);
    is(xserver(web_id, "a b", 1, 1), -EINVAL);
    is(xserver(web_id, too_long(longest, sizeof(longest)), 1, 1), -ENAMETOOLONG);
    is(ask("server 0 /local/domain/0/data/api 1 1"), -EACCES);
    is(ask("server 0 data/api 1048576 1048576"), 0);
    is(ask("close"), 0);
    run("exec xensim limit %u 2", web_id);
    is(ask("server 0 data/api 1048576 1"), -ENOSPC);
    is(ask("server 0 data/api 1 1"), 0);
    run("exec xensim limit %u 1024", web_id);
}
END_TEST

START_TEST(client_fails)
{
    char dir[] = "/local/domain/0/data/api", leaf[64], longest[4000];

    is(xclient(web_id, plain, 0), -ETIMEDOUT);
    is(xclient(web_id, plain, 20), -ETIMEDOUT);
    is(xclient(32752, plain, 0), -EINVAL);
    is(xclient(0, plain, 0), -ELOOP);
    is(xclient(web_id, "a b", 0), -EINVAL);
    is(xclient(web_id, too_long(longest, sizeof(longest)), 0), -ENAMETOOLONG);
    is(store_write_text(store, dir, "ring-ref", "x"), 0);
    is(store_write_number(store, dir, "event-channel", 4000), 0);
    is(xclient(web_id, dir, 0), -EINVAL);
    is(store_write_number(store, dir, "ring-ref", 4000), 0);
    is(xclient(web_id, dir, 0), -EBUSY);
    is(xclient(500, dir, 0), -ESRCH);
    is(ask("client 0 %s 20", dir), -ETIMEDOUT); /* there, but not for its eyes */
    snprintf(leaf, sizeof(leaf), "%s/event-channel", dir);
    is(store_make_directory(store, leaf, 0, (domid_t)web_id), 0);
    is(ask("client 0 %s 0", dir), -EACCES); /* ring-ref is not */
    is(store_remove(store, dir), 0);
    is(store_write_number(store, dir, "event-channel", 4000), 0);
    is(xclient(web_id, dir, 0), -ENOENT);
    signal_soon();
    is(xclient(web_id, plain, -1), -EINTR);
    is(store_remove(store, dir), 0);
}
END_TEST

START_TEST(client_checks_the_page)
{
    static const char *const tricks[] = {"poke left_order 5", "poke left_order 11",
                                         "poke left.cons 1", "poke right.prod 2049"};

    is(ask("fake 0 data/api"), 0);
    is(ask("%s", tricks[_i]), 0);
    is(xclient(web_id, plain, 0), -EPROTO);
    is(store_write_number(store, plain, "ring-ref", 65000), 0);
    is(xclient(web_id, plain, 0), -EINVAL);
    restart_peer();
    is(store_remove(store, plain), 0);
}
END_TEST

START_TEST(client_waits_for_its_server)
{
    struct peer here;

    peer_start(&here, NULL);
    peer_tell(&here, "client %u %s -1", web_id, plain);
    is(ask("server 0 data/api 1 1"), 0);
    is(peer_answer(&here), 0);
    is(xclient(web_id, plain, 0), -EBUSY);
    peer_end(&here);
}
END_TEST

/* The next client goes on where the last one closed; after one that was killed, at most half a ring
 * before. */
START_TEST(client_after_client)
{
    struct peer here;

    is(ask("server 0 data/api %u %u", TO_WEB, FROM_WEB), 0);
    is(ask("write 3000"), 3000);
    is(xclient(web_id, plain, 0), 0);
    is(side_read(&me, 1000), 1000);
    pvchan_close(me.channel);
    is(xclient(web_id, plain, 0), 0);
    is(side_drain(&me, 2000), 2000); /* in the pattern, too */
    side_close(&me);
    is(ask("close"), 0);

    is(ask("server 0 data/api %u %u", TO_WEB, FROM_WEB), 0);
    is(ask("write 3000"), 3000);
    peer_start(&here, NULL);
    is(peer_ask(&here, "client %u %s 0", web_id, plain), 0);
    is(peer_ask(&here, "read 1000"), 1000);
    peer_kill(&here);
    is(xclient(web_id, plain, 0), 0);
    me.got = 0;
    is(side_drain(&me, 3000), 3000);
}
END_TEST

/* ---- bytes ---- */

/* Each of these is for both kinds: a named channel, and a plain one. */
static void meet_either(int kind, unsigned int flags)
{
    if (kind == 0)
        meet(flags);
    else
        meet_plain(flags);
}

START_TEST(read_takes_what_is_there)
{
    meet_either(_i, 0);
    is(ask("write 100"), 100);
    is(side_read(&me, 60), 60);
    is(side_read(&me, 1000), 40);
    is(pvchan_read(me.channel, NULL, 0), 0);
    tell("read 1000"); /* it waits */
    is(side_write(&me, 7), 7);
    is(answer(), 7);
    is(pvchan_write(me.channel, NULL, 0), 0);
    is(pvchan_send(me.channel, NULL, 0), 0);
    is(pvchan_recv(me.channel, NULL, 0), 0);
}
END_TEST

START_TEST(nonblocking_calls_never_wait)
{
    uint8_t byte;

    meet_either(_i, PVCHAN_NONBLOCK);
    is(side_read(&me, 10), -EAGAIN);
    is(side_recv(&me, 10), -EAGAIN);
    is(side_write(&me, 10000), TO_WEB); /* what fits */
    is(side_write(&me, 1), -EAGAIN);
    is(side_send(&me, 1), -EAGAIN);
    is(ask("read 4096"), TO_WEB);
    is(until(side_send, TO_WEB), TO_WEB);
    is(ask("write 10"), 10);
    is(until(side_recv, 10), 10);
    is(ask("write 10"), 10);
    is(side_recv(&me, 11), -EAGAIN);
    is(until(side_read, 11), 10);
    is(pvchan_read(me.channel, &byte, 1), -EAGAIN);
    is(ask("drain 4096"), TO_WEB);
}
END_TEST

/* More than the ring, to a reader that starts late. */
START_TEST(write_waits_until_all_is_in_the_ring)
{
    meet_either(_i, 0);
    tell("drain 1000000");
    is(side_write(&me, 1000000), 1000000);
    is(answer(), 1000000);
    tell("write 1000000");
    is(side_drain(&me, 1000000), 1000000);
    is(answer(), 1000000);
}
END_TEST

START_TEST(recv_and_send_do_all_or_nothing)
{
    meet_either(_i, 0);
    is(side_recv(&me, FROM_WEB + 1), -EMSGSIZE);
    is(side_send(&me, TO_WEB + 1), -EMSGSIZE);
    is(ask("send %u", FROM_WEB + 1), -EMSGSIZE);
    is(ask("write 100"), 100);
    signal_soon();
    is(side_recv(&me, 300), -EINTR);
    is(ask("write 200"), 200);
    is(side_recv(&me, 300), 300); /* the 100 are still there */
    is(side_send(&me, TO_WEB - 50), TO_WEB - 50);
    signal_soon();
    is(side_send(&me, 100), -EINTR);
    is(ask("drain %u", TO_WEB - 50), TO_WEB - 50);
    is(side_send(&me, 100), 100);
    is(ask("drain 100"), 100); /* nothing of the one that was interrupted */
}
END_TEST

START_TEST(recv_and_send_go_over_the_rings_end)
{
    meet_either(_i, 0);
    for (int i = 0; i < 20; i++) {
        is(ask("send 3333"), 3333);
        is(side_recv(&me, 3333), 3333);
        is(side_send(&me, 1777), 1777);
        is(ask("drain 1777"), 1777);
    }
    is(ask("send %u", FROM_WEB), FROM_WEB);
    is(side_recv(&me, FROM_WEB), FROM_WEB);
}
END_TEST

/* A message is seen whole or not: whoever reads gets all of it at once. */
START_TEST(send_shows_all_at_once)
{
    meet_either(_i, 0);
    for (int i = 0; i < 50; i++) {
        tell("send 5000");
        is(side_read(&me, 10000), 5000);
        is(answer(), 5000);
    }
}
END_TEST

START_TEST(a_signal_ends_a_call)
{
    meet_either(_i, 0);
    signal_soon();
    is(side_read(&me, 1), -EINTR);
    signal_soon();
    is(side_write(&me, 10000), TO_WEB); /* something was moved */
    signal_soon();
    is(side_write(&me, 1), -EINTR);
    is(ask("drain %u", TO_WEB), TO_WEB);
    is(ask("write 1"), 1);
    is(side_read(&me, 1), 1);
}
END_TEST

/* ---- the end ---- */

START_TEST(what_was_written_outlives_a_close)
{
    char byte;

    meet_either(_i, 0);
    is(ask("write 5000"), 5000);
    is(ask("close"), 0);
    is(side_recv(&me, 2000), 2000);
    is(side_recv(&me, 4000), -ENODATA);
    is(side_read(&me, 4000), 3000);
    for (int i = 0; i < 3; i++) {
        is(side_read(&me, 1), 0);
        is(pvchan_recv(me.channel, &byte, 1), 0);
        is(side_write(&me, 1), -EPIPE);
        is(side_send(&me, 1), -EPIPE);
        is(pvchan_is_connected(me.channel), 0);
        is(pvchan_dispatch(me.channel), 0);
    }
}
END_TEST

/* A close wakes who waits. */
START_TEST(an_end_is_an_event)
{
    meet_either(_i, PVCHAN_NONBLOCK);
    is(side_read(&me, 1), -EAGAIN);
    tell("close");
    is(until(side_read, 1), 0);
    is(answer(), 0);
    side_close(&me);

    meet_either(_i, PVCHAN_NONBLOCK);
    is(side_write(&me, TO_WEB), TO_WEB);
    is(side_write(&me, 1), -EAGAIN);
    tell("close");
    is(until(side_write, 1), -EPIPE);
    is(answer(), 0);
    side_close(&me);

    meet_either(_i, 0);
    tell("close");
    is(side_read(&me, 1), 0);
    is(answer(), 0);
}
END_TEST

/* The number first, the error next time. */
START_TEST(write_tells_how_far_it_came)
{
    ssize_t rc;

    meet_either(_i, 0);
    tell("drain 10000");
    tell("close");
    rc = side_write(&me, 100000);
    ck_assert_msg(rc >= 10000 && rc <= 10000 + (ssize_t)TO_WEB, "%zd", rc);
    is(side_write(&me, 1), -EPIPE);
    is(answer(), 10000);
    is(answer(), 0);
}
END_TEST

START_TEST(a_death_is_told_from_an_end)
{
    meet_either(_i, 0);
    is(ask("write 100"), 100);
    restart_peer();
    is(side_read(&me, 1000), 100);
    for (int i = 0; i < 3; i++) {
        is(side_read(&me, 1), _i == 0 ? -ECONNRESET : 0);
        is(side_write(&me, 1), -EPIPE);
        is(pvchan_is_connected(me.channel), 0);
    }
    side_close(&me);
    if (_i == 0)
        meet(0);
    else
        is(store_remove(store, plain), 0);
}
END_TEST

START_TEST(a_domain_dies)
{
    struct peer gone, gone_too;
    struct side plain_one = {0};
    char name[32], dir[64], path[64];

    snprintf(name, sizeof(name), "%u/app", gone_id);
    snprintf(dir, sizeof(dir), "/local/domain/0/backend/vchan/%u/0", gone_id);
    peer_start(&gone, "gone");
    peer_tell(&gone, "open app %d", PATIENCE_MS);
    is(xopen(name, PATIENCE_MS, PVCHAN_NONBLOCK), 0);
    is(peer_answer(&gone), 0);
    is(peer_ask(&gone, "write 100"), 100);
    snprintf(path, sizeof(path), "/local/domain/%u/data/api", gone_id);
    peer_start(&gone_too, "gone");
    is(peer_ask(&gone_too, "server 0 data/api 1 1"), 0);
    is(pvchan_client(gone_id, path, 0, PVCHAN_NONBLOCK, &plain_one.channel), 0);
    run("exec xl destroy %u", gone_id);
    peer_kill(&gone_too);
    peer_kill(&gone);
    is(until(side_read, 1000), 100);
    is(until(side_read, 1), -ECONNRESET);
    is(side_write(&me, 1), -EPIPE);
    is(pvchan_is_connected(me.channel), 0);
    is(pvchan_dispatch(plain_one.channel), 0);
    is(side_read(&plain_one, 1), -EAGAIN); /* it never learns of it */
    side_close(&plain_one);
    side_close(&me);
    is(store_remove_upward(store, dir, "/local/domain/0/backend"), 0);
}
END_TEST

/* Unplugged: an end in order, for both. */
START_TEST(a_detach_is_an_end)
{
    char name[32];

    snprintf(name, sizeof(name), "%u/gone", web_id);
    tell("open gone %d", PATIENCE_MS);
    is(xopen(name, PATIENCE_MS, 0), 0);
    is(answer(), 0);
    is(ask("write 100"), 100);
    tell("read 1");
    run("xl-vchan detach --wait 5 %u gone > /dev/null &", web_id);
    is(side_read(&me, 1000), 100);
    is(side_read(&me, 1), 0);
    is(answer(), 0);
    side_close(&me);
    is(ask("close"), 0);
    run("while xl-vchan list %u | grep -q gone; do read -t 0.05 < /dev/zero; done", web_id);
    run("exec xl-vchan attach %u name=gone,devid=3 > /dev/null", web_id);
}
END_TEST

START_TEST(half_close)
{
    meet(_i ? PVCHAN_NONBLOCK : 0);
    is(ask("write 100"), 100);
    is(ask("shutdown"), 0);
    is(ask("write 1"), -EPIPE);
    is(until(side_recv, 60), 60);
    is(until(side_recv, 60), -ENODATA);
    is(until(side_read, 60), 40);
    is(until(side_read, 60), 0);
    is(pvchan_is_connected(me.channel), 1);
    tell("drain 50000"); /* the other way goes on */
    for (size_t left = 50000; left > 0;)
        left -= (size_t)until(side_write, left);
    is(answer(), 50000);
    is(side_write(&me, 10), 10);
    is(pvchan_shutdown(me.channel), 0);
    is(pvchan_shutdown(me.channel), 0);
    is(side_write(&me, 1), -EPIPE);
    is(side_send(&me, 1), -EPIPE);
    is(ask("drain 11"), 10);
    is(ask("read 1"), 0);
    await_state(frontend, XenbusStateClosed);
    is(side_read(&me, 1), 0);
    is(pvchan_shutdown(me.channel), 0);
}
END_TEST

START_TEST(half_close_is_an_event)
{
    meet(_i ? PVCHAN_NONBLOCK : 0);
    tell("shutdown");
    is(until(side_read, 1), 0); /* only xenstore says so */
    is(answer(), 0);
    tell("read 1");
    is(pvchan_shutdown(me.channel), 0);
    is(answer(), 0);
}
END_TEST

START_TEST(plain_has_no_half_close)
{
    meet_plain(0);
    is(pvchan_shutdown(me.channel), -ENOTSUP);
    is(side_write(&me, 1), 1);
    is(ask("shutdown"), -ENOTSUP);
}
END_TEST

/* ---- a corrupt ring ---- */

/* Writes Connected for the fake frontend once the backend has: another process, since this one
 * waits. */
static void follow_backend(void)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return;
    if (store_open(&store) == 0) {
        await_state(backend, XenbusStateConnected);
        store_write_state(store, frontend, XenbusStateConnected);
    }
    _exit(0);
}

/* The other side is the guest's fake, with rings of 1024 (ours to write) and 2048. */
static void meet_fake(int kind)
{
    if (kind == 1) {
        is(ask("fake 0 data/api"), 0);
        is(xclient(web_id, plain, 0), 0);
        return;
    }
    is(store_write_state(store, frontend, XenbusStateInitialising), 0);
    is(store_write_state(store, backend, XenbusStateInitWait), 0);
    is(ask("fake 0 device/vchan/0"), 0);
    is(store_write_state(store, frontend, XenbusStateInitialised), 0);
    follow_backend();
    is(xopen(web_app, PATIENCE_MS, 0), 0);
}

static void expect_broken(int kind)
{
    for (int i = 0; i < 3; i++) {
        is(side_read(&me, 1), -EPROTO);
        is(side_recv(&me, 1), -EPROTO);
        is(side_write(&me, 1), -EPROTO);
        is(side_send(&me, 1), -EPROTO);
        is(pvchan_dispatch(me.channel), 0);
    }
    side_close(&me);
    restart_peer();
    if (kind == 1) {
        is(store_remove(store, plain), 0);
        return;
    }
    ck_assert(store_exists(store, backend, "error"));
    remove_fake_keys();
    expect_closed();
}

START_TEST(a_corrupt_ring_is_seen_by_a_reader)
{
    meet_fake(_i);
    tell("poke right.prod 2049");
    is(side_read(&me, 1), -EPROTO); /* it has waited for that */
    is(answer(), 0);
    is(ask("poke right.prod 10"), 0); /* too late */
    expect_broken(_i);
}
END_TEST

START_TEST(a_corrupt_ring_is_seen_by_recv)
{
    meet_fake(_i);
    is(ask("poke right.prod 4000000000"), 0);
    is(side_recv(&me, 2048), -EPROTO);
    expect_broken(_i);
}
END_TEST

START_TEST(a_corrupt_ring_is_seen_by_a_writer)
{
    meet_fake(_i);
    tell("full 1024");
    tell("poke left.cons 1025");
    is(side_write(&me, 5000), 1024); /* the error comes next time */
    is(answer(), 0);
    is(answer(), 0);
    is(side_write(&me, 1), -EPROTO);
    expect_broken(_i);
}
END_TEST

START_TEST(a_corrupt_ring_is_seen_by_send)
{
    meet_fake(_i);
    tell("full 1000");
    tell("poke left.cons 1025");
    is(side_send(&me, 1000), 1000);
    is(side_send(&me, 100), -EPROTO);
    is(answer(), 0);
    is(answer(), 0);
    expect_broken(_i);
}
END_TEST

/* ---- event loops ---- */

struct stream {
    struct side side;
    size_t to_send, to_come;
};

/* As much as goes now. */
static void stream_move(struct stream *stream)
{
    ssize_t rc = 1;

    while (stream->to_send > 0 && (rc = side_write(&stream->side, stream->to_send)) > 0)
        stream->to_send -= (size_t)rc;
    ck_assert(rc > 0 || rc == -EAGAIN);
    rc = 1;
    while (stream->to_come > 0 && (rc = side_read(&stream->side, stream->to_come)) > 0)
        stream->to_come -= (size_t)rc;
    ck_assert(rc > 0 || rc == -EAGAIN);
}

static bool stream_over(const struct stream *stream)
{
    return stream->to_send == 0 && stream->to_come == 0;
}

START_TEST(one_loop_serves_two_channels)
{
    struct stream streams[2] = {0};
    struct pollfd pollfds[2];
    struct peer second;

    meet(PVCHAN_NONBLOCK);
    streams[0].side = me;
    peer_start(&second, "web");
    is(peer_ask(&second, "server 0 data/api 1 1"), 0);
    is(pvchan_client(web_id, plain, 0, PVCHAN_NONBLOCK, &streams[1].side.channel), 0);
    tell("echo 500000");
    peer_tell(&second, "echo 500000");
    for (int i = 0; i < 2; i++) {
        streams[i].to_send = streams[i].to_come = 500000;
        stream_move(&streams[i]);
        pollfds[i] = (struct pollfd){.fd = pvchan_fd(streams[i].side.channel), .events = POLLIN};
    }
    ck_assert_int_ne(pollfds[0].fd, pollfds[1].fd);
    while (!stream_over(&streams[0]) || !stream_over(&streams[1])) {
        ck_assert_msg(poll(pollfds, 2, PATIENCE_MS) > 0, "a wake-up was lost");
        for (int i = 0; i < 2; i++) {
            if (!pollfds[i].revents)
                continue;
            is(pvchan_dispatch(streams[i].side.channel), 0);
            stream_move(&streams[i]);
            is(pvchan_fd(streams[i].side.channel), pollfds[i].fd);
        }
    }
    is(answer(), 0);
    is(peer_answer(&second), 0);
    pvchan_close(streams[1].side.channel);
    peer_end(&second);
}
END_TEST

/* What was taken note of makes the fd readable no more: a loop does not turn for nothing. */
START_TEST(dispatch_empties_the_fd)
{
    meet_either(_i, PVCHAN_NONBLOCK);
    while (fd_readable(50))
        is(pvchan_dispatch(me.channel), 0);
    is(pvchan_dispatch(me.channel), 0); /* does not wait */
    is(side_read(&me, 1), -EAGAIN);
    is(ask("write 1"), 1);
    ck_assert(fd_readable(PATIENCE_MS));
    ck_assert(fd_readable(0));
    is(pvchan_dispatch(me.channel), 0);
    ck_assert(!fd_readable(20));
    is(side_read(&me, 1), 1);
    is(pvchan_fd(me.channel), pvchan_fd(me.channel));
}
END_TEST

/* ---- good manners ---- */

START_TEST(close_takes_anything)
{
    pvchan_close(NULL);
    meet(0);
    side_close(&me); /* at once; the other one sees it */
    is(ask("read 1"), 0);
    is(ask("close"), 0);
    meet(0);
    is(side_write(&me, TO_WEB), TO_WEB);
    is(pvchan_shutdown(me.channel), 0);
    side_close(&me);
    is(ask("drain 10000"), TO_WEB);
    is(ask("close"), 0);
    meet(0);
    is(ask("shutdown"), 0);
    is(side_read(&me, 1), 0);
    side_close(&me);
    is(ask("close"), 0);
    meet_plain(0);
    side_close(&me);
    is(ask("read 1"), 0);
}
END_TEST

START_TEST(nothing_is_left)
{
    int before = descriptors_count(), before_there = (int)ask("descriptors");

    for (int i = 0; i < 200; i++) {
        is(xserver(web_id, "data/api", 1, 1), 0);
        side_close(&me);
        is(xclient(web_id, plain, 0), -ETIMEDOUT);
        is(xopen("nothing", 0, 0), -ENOENT);
    }
    is(descriptors_count(), before);
    for (int i = 0; i < 200; i++) {
        is(ask("server 0 data/api 4096 4096"), 0);
        is(xclient(web_id, plain, 0), 0);
        side_close(&me);
        is(ask("close"), 0);
    }
    is(descriptors_count(), before);
    is(ask("descriptors"), before_there);
    is(threads_count(), 1);
}
END_TEST

START_TEST(nothing_is_left_of_named_ones)
{
    int before = descriptors_count();

    tell("again app 200");
    for (int i = 0; i < 200; i++) {
        is(xopen(web_app, PATIENCE_MS, 0), 0);
        is(side_write(&me, 1), 1);
        side_close(&me);
    }
    is(answer(), 0);
    is(descriptors_count(), before);
}
END_TEST

#define SIGNALS 32 /* the two after that are those of libc's threads */

static void signals_get(struct sigaction actions[SIGNALS])
{
    for (int i = 1; i < SIGNALS; i++)
        sigaction(i, NULL, &actions[i]);
}

/* Its threads, handlers and standard error are the program's. */
START_TEST(the_process_is_the_programs)
{
    struct sigaction before[SIGNALS], now[SIGNALS];
    int kept = dup(STDERR_FILENO);
    FILE *said = tmpfile();

    signals_get(before);
    store_close(store); /* its thread */
    store = NULL;
    is(dup2(fileno(said), STDERR_FILENO), STDERR_FILENO);
    is(xserver(web_id, "data/api", 1, 1), 0);
    is(threads_count(), 1);
    side_close(&me);
    meet(0);
    is(threads_count(), 2); /* libxenstore's, for watches */
    side_close(&me);
    is(threads_count(), 1);
    is(ask("close"), 0);
    is(xserver(web_id, "a b", 1, 1), -EINVAL);
    is(store_open(&store), 0);
    is(ask("fake 0 data/api"), 0);
    is(ask("poke left_order 3"), 0);
    is(xclient(web_id, plain, 0), -EPROTO);
    is(store_write_number(store, plain, "ring-ref", 65000), 0);
    is(xclient(web_id, plain, 0), -EINVAL);
    is(store_remove(store, plain), 0);
    is(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    is(fseek(said, 0, SEEK_END), 0);
    is(ftell(said), 0);
    signals_get(now);
    for (int i = 1; i < SIGNALS; i++)
        ck_assert_msg(before[i].sa_handler == now[i].sa_handler, "signal %d", i);
}
END_TEST

/* The rows with more than one round are told which one by _i. */
static const struct row {
    const TTest **run;
    int rounds;
} rows[] = {
    {&open_waits_until_both_are_connected, 1},
    {&open_refuses_what_is_no_name, 1},
    {&open_finds_the_one_that_is_meant, 1},
    {&open_is_for_one_process, 1},
    {&open_times_out, 1},
    {&open_is_interrupted, 1},
    {&open_nonblocking_waits_too, 1},
    {&open_is_refused, 1},
    {&open_sees_the_device_go, 1},
    {&open_refuses_nodes_without_sense, 1},
    {&open_refuses_a_page_without_sense, 4},
    {&open_sees_the_other_side_die, 1},
    {&open_after_a_crash, 1},
    {&open_refuses_a_channel_that_is_taken, 1},
    {&open_reaches_the_limits, 1},
    {&server_offers_and_takes_back, 1},
    {&server_leaves_what_is_not_its_own, 1},
    {&server_rounds_sizes, 1},
    {&server_fails, 1},
    {&client_fails, 1},
    {&client_checks_the_page, 4},
    {&client_waits_for_its_server, 1},
    {&client_after_client, 1},
    {&read_takes_what_is_there, 2},
    {&nonblocking_calls_never_wait, 2},
    {&write_waits_until_all_is_in_the_ring, 2},
    {&recv_and_send_do_all_or_nothing, 2},
    {&recv_and_send_go_over_the_rings_end, 2},
    {&send_shows_all_at_once, 2},
    {&a_signal_ends_a_call, 2},
    {&what_was_written_outlives_a_close, 2},
    {&an_end_is_an_event, 2},
    {&write_tells_how_far_it_came, 2},
    {&a_death_is_told_from_an_end, 2},
    {&a_domain_dies, 1},
    {&a_detach_is_an_end, 1},
    {&half_close, 2},
    {&half_close_is_an_event, 2},
    {&plain_has_no_half_close, 1},
    {&a_corrupt_ring_is_seen_by_a_reader, 2},
    {&a_corrupt_ring_is_seen_by_recv, 2},
    {&a_corrupt_ring_is_seen_by_a_writer, 2},
    {&a_corrupt_ring_is_seen_by_send, 2},
    {&one_loop_serves_two_channels, 1},
    {&dispatch_empties_the_fd, 2},
    {&close_takes_anything, 1},
    {&nothing_is_left, 1},
    {&nothing_is_left_of_named_ones, 1},
    {&the_process_is_the_programs, 1},
};

int main(int argc, char **argv)
{
    TCase *tcase;

    if (argc > 1 && strcmp(argv[1], "peer") == 0)
        return peer_main();
    tcase = tcase_create("api");
    tcase_set_timeout(tcase, 15);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        tcase_add_loop_test(tcase, *rows[i].run, 0, rows[i].rounds);
    return check_main("api", tcase);
}
