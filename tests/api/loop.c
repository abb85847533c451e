/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: event loops, and side effects on the program. */
#include "tests/api/api.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* ---- event loops ---- */

struct stream {
    struct side side;
    size_t to_send, to_come;
};

/* Moves as much as is possible now. */
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
    is(pvchan_open_client(web_id, plain, 0, PVCHAN_NONBLOCK, &streams[1].side.channel), 0);
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

/* After the dispatch the fd is not readable any more, so a loop does not spin. */
START_TEST(dispatch_empties_the_fd)
{
    meet_either(_i, PVCHAN_NONBLOCK);
    while (fd_readable(50))
        is(pvchan_dispatch(me.channel), 0);
    is(pvchan_dispatch(me.channel), 0); /* must not wait */
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

/* The library leaves the program's threads, handlers and standard error alone. */
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

/* A program that waits for something else does not keep the peer waiting for room. */
START_TEST(dispatch_tells_what_was_read)
{
    meet_either(_i, 0);
    tell("write %u", FROM_WEB + 50);
    is(side_recv(&me, 50), 50);
    is(side_read(&me, 10), 10);
    is(pvchan_dispatch(me.channel), 0);
    is(answer(), FROM_WEB + 50);
}
END_TEST

/*
 * Far less than half a ring was read, but all there was. Then this program waits for something else
 * (an answer through a pipe), which the peer gives once it has room for a whole ring.
 */
START_TEST(a_read_of_all_gives_the_peer_room)
{
    struct iovec spans[2];

    meet_either(_i & 1, 0);
    is(ask("write 100"), 100);
    if (_i < 2) {
        is(side_read(&me, 100), 100);
    } else {
        is(pvchan_peek(me.channel, 100, spans), 100);
        is(side_skip(&me, 100), 0);
    }
    tell("send %u", FROM_WEB);
    is(answer(), FROM_WEB);
    is(side_recv(&me, FROM_WEB), FROM_WEB);
}
END_TEST

/* The same when more is known to be there: message by message, until there is none. */
START_TEST(the_last_message_gives_the_peer_room)
{
    meet_either(_i, 0);
    is(ask("write 100"), 100);
    for (int i = 0; i < 10; i++)
        is(side_recv(&me, 10), 10);
    tell("send %u", FROM_WEB);
    is(answer(), FROM_WEB);
}
END_TEST

const struct api_row api_loop[] = {
    {&dispatch_tells_what_was_read, 2},
    {&a_read_of_all_gives_the_peer_room, 4},
    {&the_last_message_gives_the_peer_room, 2},
    {&one_loop_serves_two_channels, 1},
    {&dispatch_empties_the_fd, 2},
    {&close_takes_anything, 1},
    {&nothing_is_left, 1},
    {&nothing_is_left_of_named_ones, 1},
    {&the_process_is_the_programs, 1},
    {0},
};
