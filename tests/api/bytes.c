/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: bytes, in both kinds of channels. */
#include "tests/api/api.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Replaces libc's function, also for libpvchan. */
static unsigned int yields;

__attribute__((visibility("default"))) int sched_yield(void)
{
    yields++;
    return (int)syscall(SYS_sched_yield);
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
    is(side_write(&me, 10000), TO_WEB); /* as much as fits */
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

START_TEST(a_wait_gives_the_cpu_away_unless_told_not_to)
{
    meet(_i ? PVCHAN_NOSPIN : 0);
    yields = 0;
    is(interrupted(side_read(&me, 1)), -EINTR);
    ck_assert_int_eq(yields == 0, _i);
}
END_TEST

/* Writes more than the ring holds to a reader that starts late. */
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
    is(interrupted(side_recv(&me, 300)), -EINTR);
    is(ask("write 200"), 200);
    is(side_recv(&me, 300), 300); /* the 100 are still there */
    is(side_send(&me, TO_WEB - 50), TO_WEB - 50);
    is(interrupted(side_send(&me, 100)), -EINTR);
    is(ask("drain %u", TO_WEB - 50), TO_WEB - 50);
    is(side_send(&me, 100), 100);
    is(ask("drain 100"), 100); /* nothing of the interrupted one */
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

/* A message is seen whole or not at all: a reader gets all of it at once. */
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
    is(interrupted(side_read(&me, 1)), -EINTR);
    is(interrupted(side_write(&me, 10000)), TO_WEB); /* some bytes were moved */
    is(interrupted(side_write(&me, 1)), -EINTR);
    is(ask("drain %u", TO_WEB), TO_WEB);
    is(ask("write 1"), 1);
    is(side_read(&me, 1), 1);
}
END_TEST

const struct api_row api_bytes[] = {
    {&read_takes_what_is_there, 2},
    {&nonblocking_calls_never_wait, 2},
    {&a_wait_gives_the_cpu_away_unless_told_not_to, 2},
    {&write_waits_until_all_is_in_the_ring, 2},
    {&recv_and_send_do_all_or_nothing, 2},
    {&recv_and_send_go_over_the_rings_end, 2},
    {&send_shows_all_at_once, 2},
    {&a_signal_ends_a_call, 2},
    {0},
};
