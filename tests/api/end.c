/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: how channels end, cleanly or not. */
#include "tests/api/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
        is(pvchan_state(me.channel), PVCHAN_STATE_ENDED);
        is(pvchan_dispatch(me.channel), 0);
    }
}
END_TEST

/* A close wakes a peer that waits. */
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

/* First the number, then the error. */
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
        is(pvchan_state(me.channel), PVCHAN_STATE_ENDED);
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
    is(pvchan_open_client(gone_id, path, 0, PVCHAN_NONBLOCK, &plain_one.channel), 0);
    run("exec xl destroy %u", gone_id);
    peer_kill(&gone_too);
    peer_kill(&gone);
    is(until(side_read, 1000), 100);
    is(until(side_read, 1), -ECONNRESET);
    is(side_write(&me, 1), -EPIPE);
    is(pvchan_state(me.channel), PVCHAN_STATE_ENDED);
    is(pvchan_dispatch(plain_one.channel), 0);
    is(side_read(&plain_one, 1), -EAGAIN); /* a plain vchan never learns of it */
    side_close(&plain_one);
    side_close(&me);
    is(store_remove_upward(store, dir, "/local/domain/0/backend"), 0);
}
END_TEST

/* An unplug is a clean end for both sides. */
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
    run("exec xl-vchan wait --timeout 30 %u gone gone", web_id);
    run("exec xl-vchan attach %u name=gone,devid=3 > /dev/null", web_id);
}
END_TEST

/* Removes the nodes by force, without asking either side. */
static void remove_device(const char *front, const char *back)
{
    is(store_remove(store, front), 0);
    is(store_remove(store, back), 0);
}

START_TEST(a_removal_by_force_is_an_end)
{
    char front[64], back[64], name[32];

    snprintf(name, sizeof(name), "%u/gone", web_id);
    snprintf(front, sizeof(front), "/local/domain/%u/device/vchan/3", web_id);
    snprintf(back, sizeof(back), "/local/domain/0/backend/vchan/%u/3", web_id);
    tell("open gone %d", PATIENCE_MS);
    is(xopen(name, PATIENCE_MS, 0), 0);
    is(answer(), 0);
    tell("read 1");
    remove_device(front, back);
    is(answer(), -ECONNRESET);
    is(side_read(&me, 1), -ECONNRESET);
    side_close(&me);
    is(ask("close"), 0);
    run("exec xl-vchan detach --force %u gone > /dev/null 2>&1; true", web_id);
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
    is(pvchan_state(me.channel), PVCHAN_STATE_CONNECTED);
    tell("drain 50000"); /* the other direction continues */
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
    is(until(side_read, 1), 0); /* only xenstore shows that */
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

/*
 * Writes Connected for the fake frontend once the backend has, in a process of its own, since this
 * one waits.
 */
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

/* The other side is a fake in the guest, with rings of 1024 (ours to write) and 2048. */
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
    is(pvchan_state(me.channel), PVCHAN_STATE_ENDED);
    is(pvchan_error(me.channel), -EPROTO);
    ck_assert_ptr_nonnull(strstr(pvchan_reason(me.channel), "corrupted"));
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
    is(pvchan_readable_bytes(me.channel), 0);
    is(ask("poke left.cons 4000000000"), 0);
    is(pvchan_writable_bytes(me.channel), 0);
    is(side_recv(&me, 2048), -EPROTO);
    expect_broken(_i);
}
END_TEST

START_TEST(a_corrupt_ring_is_seen_by_a_writer)
{
    meet_fake(_i);
    tell("full 1024");
    tell("poke left.cons 1025");
    is(side_write(&me, 5000), 1024); /* the error comes at the next call */
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

const struct api_row api_end[] = {
    {&what_was_written_outlives_a_close, 2},
    {&an_end_is_an_event, 2},
    {&write_tells_how_far_it_came, 2},
    {&a_death_is_told_from_an_end, 2},
    {&a_domain_dies, 1},
    {&a_detach_is_an_end, 1},
    {&a_removal_by_force_is_an_end, 1},
    {&half_close, 2},
    {&half_close_is_an_event, 2},
    {&plain_has_no_half_close, 1},
    {&a_corrupt_ring_is_seen_by_a_reader, 2},
    {&a_corrupt_ring_is_seen_by_recv, 2},
    {&a_corrupt_ring_is_seen_by_a_writer, 2},
    {&a_corrupt_ring_is_seen_by_send, 2},
    {0},
};
