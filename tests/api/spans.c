/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: bytes without a copy, and in several pieces. */
#include "tests/api/api.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* ---- without a copy ---- */

START_TEST(peek_shows_and_consume_takes)
{
    meet_either(_i, 0);
    is(ask("write 100"), 100);
    is(side_check(&me, 1), 100);
    is(side_check(&me, 100), 100); /* they are still there */
    is(side_skip(&me, 101), -EINVAL);
    is(side_skip(&me, SIZE_MAX), -EINVAL);
    is(side_skip(&me, 30), 0);
    is(side_skip(&me, 0), 0);
    is(side_check(&me, 1), 70);
    is(side_read(&me, 20), 20); /* continues after them */
    is(side_skip(&me, 50), 0);
    is(side_skip(&me, 1), -EINVAL);
    tell("write 5");
    is(side_check(&me, 5), 5); /* it waits */
    is(answer(), 5);
    is(side_check(&me, 0), -EINVAL);
    is(side_check(&me, FROM_WEB + 1), -EMSGSIZE);
    is(interrupted(side_check(&me, 6)), -EINTR);
}
END_TEST

START_TEST(reserve_gives_room_and_commit_sends)
{
    struct iovec spans[2];

    meet_either(_i, 0);
    is(pvchan_reserve(me.channel, 1, spans), TO_WEB);
    memset(spans[0].iov_base, 0xff, spans[0].iov_len); /* it is not sent */
    is(side_fill(&me, 1000), 1000);
    is(pvchan_commit(me.channel, 0), 0);
    is(pvchan_commit(me.channel, TO_WEB - 999), -EINVAL);
    is(pvchan_commit(me.channel, SIZE_MAX), -EINVAL);
    is(side_fill(&me, TO_WEB - 1000), TO_WEB - 1000);
    is(pvchan_commit(me.channel, 1), -EINVAL);
    tell("drain %u", TO_WEB + 1);
    is(side_fill(&me, 1), 1); /* it waits */
    is(answer(), TO_WEB + 1);
    is(side_fill(&me, 0), -EINVAL);
    is(side_fill(&me, TO_WEB + 1), -EMSGSIZE);
    is(side_fill(&me, TO_WEB), TO_WEB);
    is(interrupted(side_fill(&me, 1)), -EINTR);
    is(ask("drain %u", TO_WEB), TO_WEB);
}
END_TEST

/*
 * 333 and the ring's size are coprime, so after as many rounds as the ring has bytes, a message has
 * begun at each place.
 */
START_TEST(spans_wrap_wherever_it_is)
{
    is(ask("server 0 data/api 1 1"), 0);
    is(xclient(web_id, plain, 0), 0);
    is(pvchan_write_ring_size(me.channel) + pvchan_read_ring_size(me.channel), 1024 + 2048);
    tell("echo %u", 2048 * 333);
    for (int i = 0; i < 2048; i++) {
        is(side_fill(&me, 333), 333);
        is(side_check(&me, 333), 333);
        is(side_skip(&me, (size_t)i % 333), 0);
        is(side_check(&me, 1), 333 - i % 333);
        is(side_skip(&me, (size_t)(333 - i % 333)), 0);
    }
    is(answer(), 0);
}
END_TEST

/* What was consumed is published before this side waits, so that the writer continues. */
START_TEST(consume_wakes_the_writer)
{
    size_t left = 300000;

    meet_either(_i & 1, _i & 2 ? PVCHAN_NONBLOCK : 0);
    tell("write 300000");
    while (left > 0) {
        ssize_t rc = until(side_check, 1);

        ck_assert_int_gt(rc, 0);
        rc = rc > 700 ? 700 : rc;
        is(side_skip(&me, (size_t)rc), 0);
        left -= (size_t)rc;
    }
    is(answer(), 300000);
}
END_TEST

START_TEST(commit_wakes_the_reader)
{
    meet_either(_i & 1, _i & 2 ? PVCHAN_NONBLOCK : 0);
    tell("drain 300000");
    for (int i = 0; i < 300; i++)
        is(until(side_fill, 1000), 1000);
    is(answer(), 300000);
}
END_TEST

START_TEST(spans_of_a_channel_that_does_not_wait)
{
    meet_either(_i, PVCHAN_NONBLOCK);
    is(side_check(&me, 1), -EAGAIN);
    is(ask("write 10"), 10);
    is(until(side_check, 10), 10);
    is(side_check(&me, 11), -EAGAIN);
    is(side_skip(&me, 10), 0);
    is(side_fill(&me, TO_WEB - 5), TO_WEB - 5);
    is(side_fill(&me, 6), -EAGAIN);
    is(side_fill(&me, 5), 5);
    is(ask("drain %u", TO_WEB), TO_WEB);
}
END_TEST

/* From one ring straight into the other. */
START_TEST(an_echo_without_a_buffer)
{
    struct iovec in[2], out[2];
    size_t left = 100000;

    meet_either(_i, PVCHAN_NONBLOCK);
    tell("pingpong %zu", left);
    while (left > 0) {
        ssize_t rc = pvchan_peek(me.channel, 1, in);

        if (rc > 0) {
            rc = in[0].iov_len > 500 ? 500 : (ssize_t)in[0].iov_len;
            if (pvchan_reserve(me.channel, 1, out) > 0) {
                rc = (size_t)rc > out[0].iov_len ? (ssize_t)out[0].iov_len : rc;
                memcpy(out[0].iov_base, in[0].iov_base, (size_t)rc);
                is(pvchan_commit(me.channel, (size_t)rc), 0);
                is(pvchan_consume(me.channel, (size_t)rc), 0);
                left -= (size_t)rc;
                continue;
            }
        }
        ck_assert_msg(fd_readable(PATIENCE_MS), "a wake-up was lost");
        is(pvchan_dispatch(me.channel), 0);
    }
    is(answer(), 0);
}
END_TEST

START_TEST(spans_at_the_end)
{
    meet_either(_i, 0);
    is(ask("write 100"), 100);
    is(ask("close"), 0);
    is(side_check(&me, 1000), 100); /* fewer than asked for, because it is the end */
    is(side_recvv(&me, 1000), -ENODATA);
    is(side_skip(&me, 100), 0);
    is(side_check(&me, 1000), 0);
    is(side_check(&me, 1), 0);
    is(side_skip(&me, 1), -EINVAL);
    is(side_fill(&me, 1), -EPIPE);
    is(pvchan_commit(me.channel, 1), -EPIPE);
}
END_TEST

START_TEST(commit_after_shutdown)
{
    struct iovec spans[2];

    meet(0);
    is(pvchan_reserve(me.channel, 10, spans), TO_WEB);
    is(pvchan_shutdown(me.channel), 0);
    is(pvchan_commit(me.channel, 10), -EPIPE);
    is(pvchan_reserve(me.channel, 10, spans), -EPIPE);
    is(ask("read 1"), 0);
}
END_TEST

/* ---- in pieces ---- */

START_TEST(pieces_are_one_after_the_other)
{
    meet_either(_i, 0);
    is(side_writev(&me, 999), 999);
    is(side_sendv(&me, 1111), 1111);
    is(ask("drain 2110"), 2110);
    is(ask("write 2000"), 2000);
    is(side_readv(&me, 1500), 1500);
    is(side_readv(&me, 1500), 500);
    tell("write 1500");
    is(side_recvv(&me, 1500), 1500);
    is(answer(), 1500);
    tell("drain 500000");
    for (int i = 0; i < 5; i++)
        is(side_writev(&me, 100000), 100000); /* more than the ring: it waits */
    is(answer(), 500000);
}
END_TEST

START_TEST(pieces_go_over_the_rings_end)
{
    meet_either(_i, 0);
    for (int i = 0; i < 50; i++) {
        is(ask("send 3333"), 3333);
        is(side_recvv(&me, 3333), 3333);
        is(side_sendv(&me, 1777), 1777);
        is(ask("drain 1777"), 1777);
    }
}
END_TEST

/* All pieces become visible at once. */
START_TEST(sendv_shows_all_at_once)
{
    meet_either(_i, 0);
    for (int i = 0; i < 50; i++) {
        tell("read 10000");
        is(side_sendv(&me, 4000), 4000);
        is(answer(), 4000);
    }
}
END_TEST

START_TEST(pieces_without_sense)
{
    char byte = 'x';
    struct iovec huge[] = {{&byte, SSIZE_MAX}, {&byte, 1}};

    meet_either(_i, 0);
    is(pvchan_writev(me.channel, huge, 2), -EINVAL);
    is(pvchan_sendv(me.channel, huge, 2), -EINVAL);
    is(pvchan_readv(me.channel, huge, 2), -EINVAL);
    is(pvchan_recvv(me.channel, huge, 2), -EINVAL);
    is(pvchan_writev(me.channel, huge, -1), -EINVAL);
    is(pvchan_readv(me.channel, huge, -1), -EINVAL);
    is(pvchan_writev(me.channel, NULL, 0), 0);
    is(pvchan_readv(me.channel, NULL, 0), 0);
    is(side_sendv(&me, TO_WEB + 1), -EMSGSIZE);
    is(side_recvv(&me, FROM_WEB + 1), -EMSGSIZE);
    is(side_write(&me, 10), 10); /* nothing of the message was sent */
    is(ask("drain 10"), 10);
}
END_TEST

START_TEST(pieces_of_a_channel_that_does_not_wait)
{
    meet_either(_i, PVCHAN_NONBLOCK);
    is(side_readv(&me, 10), -EAGAIN);
    is(side_recvv(&me, 10), -EAGAIN);
    is(side_writev(&me, 10000), TO_WEB); /* as much as fits */
    is(side_writev(&me, 1), -EAGAIN);
    is(ask("read 4096"), TO_WEB);
    is(until(side_writev, TO_WEB - 10), TO_WEB - 10);
    is(side_sendv(&me, 11), -EAGAIN);
    is(side_sendv(&me, 10), 10);
    is(ask("drain 4096"), TO_WEB);
    tell("close");
    is(until(side_readv, 10), 0);
    is(answer(), 0);
    is(side_writev(&me, 10), -EPIPE);
}
END_TEST

const struct api_row api_spans[] = {
    {&peek_shows_and_consume_takes, 2},
    {&reserve_gives_room_and_commit_sends, 2},
    {&spans_wrap_wherever_it_is, 1},
    {&consume_wakes_the_writer, 4},
    {&commit_wakes_the_reader, 4},
    {&spans_of_a_channel_that_does_not_wait, 2},
    {&an_echo_without_a_buffer, 2},
    {&spans_at_the_end, 2},
    {&commit_after_shutdown, 1},
    {&pieces_are_one_after_the_other, 2},
    {&pieces_go_over_the_rings_end, 2},
    {&sendv_shows_all_at_once, 2},
    {&pieces_without_sense, 2},
    {&pieces_of_a_channel_that_does_not_wait, 2},
    {0},
};
