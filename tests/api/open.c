/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: channels opened by their names. */
#include "tests/api/api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(open_waits_until_both_are_connected)
{
    meet(0);
    is(number_at(frontend, "state"), XenbusStateConnected);
    is(number_at(backend, "state"), XenbusStateConnected);
    is(pvchan_state(me.channel), PVCHAN_STATE_CONNECTED);
    is(ask("state"), PVCHAN_STATE_CONNECTED);
    is(pvchan_peer_domid(me.channel), web_id);
    is(ask("peer"), 0);
    is(pvchan_read_ring_size(me.channel), FROM_WEB);
    is(pvchan_write_ring_size(me.channel), TO_WEB);
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
                                        ("12345678901234567890123456789012345678901234567890"
                                         "123456789012345")};

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
    is(interrupted(xopen(web_app, -1, 0)), -EINTR);
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

/* Overwrites a node for one attempt to open, then restores it. */
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

/*
 * Plays the guest's side of app by hand, up to Initialised, while a process in domain 0 opens it.
 */
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
    peer_kill(&web); /* its Connected is missing */
    is(peer_answer(&here), -ECONNRESET);
    peer_end(&here);
    peer_start(&web, "web");
    remove_fake_keys();
    expect_closed();
}
END_TEST

/* A killed process leaves its state; the next one on its side waits for the other side as usual. */
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
    do /* until the peer has seen that we are here */
        is(xopen(web_app, 200, 0), -ETIMEDOUT);
    while (!answered());
    is(answer(), -ENOSPC);
    run("exec xensim limit %u 1024", web_id);
    is(ask("watches 0"), -EDQUOT);
    is(ask("open app %d", PATIENCE_MS), -EDQUOT);
    restart_peer();
    is(ask("watches 1"), -EDQUOT); /* a frontend needs only one */
    meet(0);
    is(ask("close"), 0);
    side_close(&me);
    restart_peer();
    expect_closed();
}
END_TEST

/* Everything that the library can open: for mappings, grants, locks and deadlines, too. */
static struct pvchan_group *open_all_kinds(void)
{
    struct pvchan_group *group;
    struct pvchan *server, *late;

    meet(0);
    is(pvchan_group_open(0, &group), 0);
    is(pvchan_group_add_server(group, web_id, "data/api", 1, 1, 0, &server), 0);
    is(pvchan_group_add_client(group, web_id, plain, PATIENCE_MS, 0, &late), 0);
    return group;
}

START_TEST(open_leaves_closed_descriptors_alone)
{
    struct pvchan_group *group;
    int kept[3], flags[3];

    for (int fd = 0; fd < 3; fd++)
        kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    group = open_all_kinds();
    for (int fd = 0; fd < 3; fd++)
        flags[fd] = fcntl(fd, F_GETFD);
    for (int fd = 0; fd < 3; fd++)
        dup2(kept[fd], fd);
    for (int fd = 0; fd < 3; fd++)
        is(flags[fd], -1);
    pvchan_group_close(group);
    is(store_remove(store, "/local/domain/0/data/api"), 0);
}
END_TEST

const struct api_row api_open[] = {
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
    {&open_leaves_closed_descriptors_alone, 1},
    {0},
};
