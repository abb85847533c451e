/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: how long calls wait, and what a handle reports about itself. */
#include "tests/api/api.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "state/clock.h"

/* ---- how long ---- */

START_TEST(a_call_waits_no_longer_than_its_timeout)
{
    int64_t begin = clock_ms();

    meet_either(_i, 0);
    is(pvchan_set_timeout(me.channel, -2), -EINVAL);
    is(pvchan_set_timeout(me.channel, 30), 0);
    is(side_read(&me, 1), -ETIMEDOUT);
    ck_assert_int_ge(clock_ms() - begin, 30);
    is(side_recv(&me, 10), -ETIMEDOUT);
    is(side_check(&me, 1), -ETIMEDOUT);
    is(side_readv(&me, 10), -ETIMEDOUT);
    is(side_write(&me, TO_WEB + 10), TO_WEB); /* as much as was moved */
    is(side_write(&me, 1), -ETIMEDOUT);
    is(side_send(&me, 1), -ETIMEDOUT);
    is(side_fill(&me, 1), -ETIMEDOUT);
    is(side_writev(&me, 10), -ETIMEDOUT);
    is(ask("drain %u", TO_WEB), TO_WEB);
    is(side_writev(&me, TO_WEB + 10), TO_WEB);
    is(pvchan_set_timeout(me.channel, 0), 0);
    is(side_write(&me, 1), -ETIMEDOUT);
    is(side_read(&me, 1), -ETIMEDOUT);
    is(ask("drain %u", TO_WEB), TO_WEB);
    is(pvchan_set_timeout(me.channel, -1), 0);
    tell("write 10");
    is(side_recv(&me, 10), 10);
    is(answer(), 10);
}
END_TEST

START_TEST(flags_can_be_changed)
{
    meet_either(_i, PVCHAN_NOSPIN);
    is(pvchan_flags(me.channel), PVCHAN_NOSPIN);
    is(pvchan_set_flags(me.channel, 1u << 31), -EINVAL);
    is(pvchan_set_flags(me.channel, PVCHAN_NONBLOCK), 0);
    is(pvchan_flags(me.channel), PVCHAN_NONBLOCK);
    is(side_read(&me, 1), -EAGAIN);
    is(side_write(&me, TO_WEB + 1), TO_WEB);
    is(side_write(&me, 1), -EAGAIN);
    is(pvchan_set_flags(me.channel, 0), 0);
    tell("drain %u", TO_WEB + 1);
    is(side_write(&me, 1), 1); /* it waits */
    is(answer(), TO_WEB + 1);
    tell("write 1");
    is(side_read(&me, 1), 1);
    is(answer(), 1);
}
END_TEST

/* ---- events of one channel ---- */

START_TEST(wait_says_what_is_the_case)
{
    unsigned int flags = _i & 2 ? PVCHAN_NONBLOCK : 0;

    meet_either(_i & 1, flags);
    is(pvchan_wait(me.channel, 0, 0), -EINVAL);
    is(pvchan_wait(me.channel, PVCHAN_OPENED, 0), -EINVAL);
    is(pvchan_wait(me.channel, 1u << 31, 0), -EINVAL);
    is(pvchan_wait(me.channel, PVCHAN_READABLE, 0), 0);
    is(pvchan_wait(me.channel, PVCHAN_READABLE, 20), 0);
    is(pvchan_wait(me.channel, PVCHAN_READABLE | PVCHAN_WRITABLE, -1), PVCHAN_WRITABLE);
    is(interrupted(pvchan_wait(me.channel, PVCHAN_READABLE, -1)), -EINTR);
    tell("write 10");
    is(pvchan_wait(me.channel, PVCHAN_READABLE, PATIENCE_MS), PVCHAN_READABLE);
    is(answer(), 10);
    is(side_write(&me, TO_WEB), TO_WEB);
    is(pvchan_wait(me.channel, PVCHAN_WRITABLE, 20), 0);
    tell("drain %u", TO_WEB);
    is(pvchan_wait(me.channel, PVCHAN_WRITABLE, PATIENCE_MS), PVCHAN_WRITABLE);
    is(answer(), TO_WEB);
    is(pvchan_wait(me.channel, PVCHAN_STATE_CHANGED, 0), 0);
    tell("close");
    is(pvchan_wait(me.channel, PVCHAN_STATE_CHANGED, PATIENCE_MS), PVCHAN_STATE_CHANGED);
    is(answer(), 0);
    is(pvchan_state(me.channel), PVCHAN_STATE_ENDED);
    is(pvchan_wait(me.channel, PVCHAN_ENDED, 0), 0); /* there are bytes */
    is(side_read(&me, 100), 10);
    is(pvchan_wait(me.channel, PVCHAN_ENDED | PVCHAN_READABLE, -1), PVCHAN_ENDED | PVCHAN_READABLE);
    is(side_read(&me, 1), 0);
}
END_TEST

START_TEST(a_server_waits_for_its_client)
{
    is(xserver(web_id, "/local/domain/0/data/api", 1, 1), 0);
    is(pvchan_wait(me.channel, PVCHAN_STATE_CHANGED, 0), 0);
    tell("client 0 /local/domain/0/data/api 0");
    is(pvchan_wait(me.channel, PVCHAN_STATE_CHANGED, PATIENCE_MS), PVCHAN_STATE_CHANGED);
    is(pvchan_state(me.channel), PVCHAN_STATE_CONNECTED);
    is(answer(), 0);
    side_close(&me);
    is(store_remove(store, "/local/domain/0/data/api"), 0);
}
END_TEST

/* ---- what is known ---- */

/* The counts; asking for them does not make the peer signal. */
START_TEST(counts_have_no_side_effects)
{
    meet_either(_i, PVCHAN_NONBLOCK);
    while (fd_readable(50))
        is(pvchan_dispatch(me.channel), 0);
    is(pvchan_readable_bytes(me.channel), 0);
    is(pvchan_writable_bytes(me.channel), TO_WEB);
    is(side_read(&me, 1), -EAGAIN); /* this asks for a signal */
    is(ask("write 100"), 100);
    ck_assert(fd_readable(PATIENCE_MS));
    is(pvchan_dispatch(me.channel), 0);
    is(pvchan_readable_bytes(me.channel), 100);
    is(side_read(&me, 100), 100); /* this does not */
    is(pvchan_readable_bytes(me.channel), 0);
    is(ask("write 50"), 50);
    is(pvchan_readable_bytes(me.channel), 50);
    ck_assert(!fd_readable(20));
    is(side_write(&me, 96), 96);
    is(pvchan_writable_bytes(me.channel), TO_WEB - 96);
    is(ask("drain 96"), 96);
    is(pvchan_writable_bytes(me.channel), TO_WEB);
    is(ask("close"), 0);
    is(pvchan_writable_bytes(me.channel), 0);
    is(pvchan_readable_bytes(me.channel), 50);
}
END_TEST

/* ---- reasons ---- */

#define says(text, words)                                                                          \
    ck_assert_msg(strstr(text, words) != NULL, "\"%s\" does not say \"%s\"", text, words)

START_TEST(a_failed_open_says_why)
{
    struct pvchan_group *group;
    struct pvchan *second;

    ck_assert_str_eq(pvchan_open_reason(), "");
    is(xopen("a b", 0, 0), -EINVAL);
    says(pvchan_open_reason(), "not a channel's name");
    is(xopen(web_app, 0, 1u << 31), -EINVAL);
    says(pvchan_open_reason(), "0x80000000");
    is(xopen("echo", 0, 0), -EBUSY);
    says(pvchan_open_reason(), "vchan-backend serves");
    is(xopen("app", 0, 0), -ENOTUNIQ);
    says(pvchan_open_reason(), "DOMID/NAME");
    is(xopen(web_app, 0, 0), -ETIMEDOUT);
    says(pvchan_open_reason(), "frontend");
    is(xserver(32752, "data/api", 1, 1), -EINVAL);
    says(pvchan_open_reason(), "32752");
    is(xserver(0, "data/api", 1, 1), -ELOOP);
    says(pvchan_open_reason(), "this domain");
    is(xserver(web_id, "data/api", PVCHAN_RING_MAX + 1, 1), -ERANGE);
    says(pvchan_open_reason(), "1048577");
    is(xclient(web_id, plain, 0), -ETIMEDOUT);
    says(pvchan_open_reason(), plain);
    is(pvchan_group_open(1, &group), -EINVAL);
    says(pvchan_open_reason(), "flags");
    meet(0);
    is(pvchan_open(web_app, 0, 0, &second), -EBUSY);
    says(pvchan_open_reason(), "another process");
    ck_assert_str_eq(pvchan_reason(me.channel), "");
}
END_TEST

/* The text comes from the backend's error node. */
START_TEST(a_refused_open_says_what_the_other_side_said)
{
    is(ask("open refuse %d", PATIENCE_MS), -ECONNREFUSED);
    is(ask("reasoned refused:"), 1);
}
END_TEST

START_TEST(an_end_says_why)
{
    meet(0);
    is(pvchan_error(me.channel), 0);
    ck_assert_str_eq(pvchan_reason(me.channel), "");
    restart_peer();
    is(pvchan_wait(me.channel, PVCHAN_ENDED, PATIENCE_MS), PVCHAN_ENDED);
    is(pvchan_error(me.channel), -ECONNRESET);
    says(pvchan_reason(me.channel), "frontend");
    is(side_read(&me, 1), -ECONNRESET);
    side_close(&me);
    expect_closed();
    is(ask("close"), 0);
    is(side_read(&me, 1), 0);
    is(pvchan_error(me.channel), 0); /* a clean end */
    ck_assert_str_eq(pvchan_reason(me.channel), "");
}
END_TEST

const struct api_row api_waits[] = {
    {&a_call_waits_no_longer_than_its_timeout, 2},
    {&flags_can_be_changed, 2},
    {&wait_says_what_is_the_case, 4},
    {&a_server_waits_for_its_client, 1},
    {&counts_have_no_side_effects, 2},
    {&a_failed_open_says_why, 1},
    {&a_refused_open_says_what_the_other_side_said, 1},
    {&an_end_says_why, 1},
    {0},
};
