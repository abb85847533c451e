/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: plain vchans. */
#include "tests/api/api.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

START_TEST(server_offers_and_takes_back)
{
    char dir[] = "/local/domain/0/data/api";

    is(xserver(web_id, dir, 1, 1), 0);
    ck_assert_uint_gt(number_at(dir, "event-channel"), 0);
    ck_assert(store_exists(store, dir, "ring-ref"));
    is(pvchan_state(me.channel), PVCHAN_STATE_LISTENING);
    is(side_write(&me, 1000), 1000); /* before the client comes */
    is(ask("client 0 %s 0", dir), 0);
    is(pvchan_state(me.channel), PVCHAN_STATE_CONNECTED);
    is(ask("drain 1000"), 1000);
    is(ask("client 0 %s 0", dir), -EBUSY);
    restart_peer();
    is(side_read(&me, 1), 0);
    is(pvchan_state(me.channel), PVCHAN_STATE_ENDED);
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
        is(pvchan_read_ring_size(me.channel), rows[i].wire_read);
        is(pvchan_write_ring_size(me.channel), rows[i].wire_write);
        is(pvchan_peer_domid(me.channel), web_id);
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
    is(ask("client 0 %s 20", dir), -ETIMEDOUT); /* it exists, but may not be read */
    snprintf(leaf, sizeof(leaf), "%s/event-channel", dir);
    is(store_make_directory(store, leaf, 0, (domid_t)web_id), 0);
    is(ask("client 0 %s 0", dir), -EACCES); /* ring-ref may not be read */
    is(store_remove(store, dir), 0);
    is(store_write_number(store, dir, "event-channel", 4000), 0);
    is(xclient(web_id, dir, 0), -ENOENT);
    is(interrupted(xclient(web_id, plain, -1)), -EINTR);
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

/*
 * The next client continues where the last one closed; after a killed one, at most half a ring
 * earlier.
 */
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

const struct api_row api_plain[] = {
    {&server_offers_and_takes_back, 1},
    {&server_leaves_what_is_not_its_own, 1},
    {&server_rounds_sizes, 1},
    {&server_fails, 1},
    {&client_fails, 1},
    {&client_checks_the_page, 4},
    {&client_waits_for_its_server, 1},
    {&client_after_client, 1},
    {0},
};
