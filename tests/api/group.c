/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libpvchan/pvchan.h: groups. (tests/programs/lots.c is for large ones.) */
#include "tests/api/api.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static struct pvchan_group *group;

static struct pvchan *open_in(const char *name, int timeout_ms)
{
    struct pvchan *channel;

    if (!group)
        is(pvchan_group_open(0, &group), 0);
    is(pvchan_group_add_channel(group, name, timeout_ms, 0, &channel), 0);
    return channel;
}

static struct pvchan *client_in(const char *path, int timeout_ms)
{
    struct pvchan *channel;

    if (!group)
        is(pvchan_group_open(0, &group), 0);
    is(pvchan_group_add_client(group, web_id, path, timeout_ms, 0, &channel), 0);
    return channel;
}

static struct pvchan *server_in(const char *path)
{
    struct pvchan *channel;

    if (!group)
        is(pvchan_group_open(0, &group), 0);
    is(pvchan_group_add_server(group, web_id, path, 1, 1, 0, &channel), 0);
    return channel;
}

/* The events of the last handle reported. */
static unsigned int given;

/* The next handle that is reported. */
static struct pvchan *next(void)
{
    struct pvchan_event event;

    is(pvchan_group_wait(group, &event, 1, PATIENCE_MS), 1);
    given = event.events;
    return event.handle;
}

/* Waits until this handle is reported, as many rounds as it takes. */
static void next_is(const struct pvchan *wanted)
{
    while (next() != wanted)
        ;
}

static void nothing_more(void)
{
    struct pvchan_event event;
    int rc;

    while ((rc = pvchan_group_wait(group, &event, 1, 20)) == 1)
        ;
    is(rc, 0);
}

static bool group_readable(int timeout_ms)
{
    struct pollfd pollfd = {.fd = pvchan_group_fd(group), .events = POLLIN};

    return poll(&pollfd, 1, timeout_ms) == 1;
}

/* ---- opening ---- */

START_TEST(opening_does_not_wait)
{
    struct iovec spans[2];
    struct pvchan *app = open_in(web_app, PATIENCE_MS);
    char byte = 'x';

    is(pvchan_state(app), PVCHAN_STATE_OPENING);
    is(pvchan_error(app), 0);
    is(pvchan_readable_bytes(app) + pvchan_writable_bytes(app), 0);
    is(pvchan_read(app, &byte, 1), -EAGAIN);
    is(pvchan_recv(app, &byte, 1), -EAGAIN);
    is(pvchan_peek(app, 1, spans), -EAGAIN);
    is(pvchan_write(app, &byte, 1), -EAGAIN);
    is(pvchan_send(app, &byte, 1), -EAGAIN);
    is(pvchan_reserve(app, 1, spans), -EAGAIN);
    is(pvchan_shutdown(app), -EINPROGRESS);
    is(pvchan_fd(app), -EINVAL);
    is(pvchan_dispatch(app), -EINVAL);
    is(pvchan_wait(app, PVCHAN_READABLE, 0), -EINVAL);
    is(pvchan_set_flags(app, 0), 0); /* it does not wait even so */
    is(pvchan_read(app, &byte, 1), -EAGAIN);
    ck_assert_ptr_null(pvchan_user_data(app));
    pvchan_set_user_data(app, &byte);
    tell("open app %d", PATIENCE_MS);
    next_is(app);
    is(answer(), 0);
    is(pvchan_state(app), PVCHAN_STATE_CONNECTED);
    is(pvchan_error(app), 0);
    ck_assert_str_eq(pvchan_reason(app), "");
    is(pvchan_write_ring_size(app), TO_WEB);
    ck_assert_ptr_eq(pvchan_user_data(app), &byte);
    is(pvchan_send(app, &byte, 1), 1);
    is(pvchan_read(app, &byte, 1), -EAGAIN);
    is(ask("write 1"), 1);
    next_is(app);
    is(pvchan_read(app, &byte, 1), 1);
    pvchan_group_close(group);
    is(number_at(backend, "state"), XenbusStateClosed);
}
END_TEST

START_TEST(what_cannot_be_opened_is_told_at_once)
{
    struct pvchan *channel;

    is(pvchan_group_open(0, &group), 0);
    is(pvchan_group_add_channel(group, "a b", 0, 0, &channel), -EINVAL);
    is(pvchan_group_add_channel(group, "nothing", 0, 0, &channel), -ENOENT);
    is(pvchan_group_add_channel(group, "app", 0, 0, &channel), -ENOTUNIQ);
    is(pvchan_group_add_channel(group, "echo", 0, 0, &channel), -EBUSY);
    is(pvchan_group_add_client(group, 32752, plain, 0, 0, &channel), -EINVAL);
    is(pvchan_group_add_client(group, 0, plain, 0, 0, &channel), -ELOOP);
    is(pvchan_group_add_server(group, web_id, "a b", 1, 1, 0, &channel), -EINVAL);
    is(pvchan_group_add_server(group, web_id, "data/api", PVCHAN_RING_MAX + 1, 1, 0, &channel),
       -ERANGE);
    ck_assert_ptr_null(channel);
    open_in(web_app, PATIENCE_MS);
    is(pvchan_group_add_channel(group, web_app, 0, 0, &channel), -EBUSY);
    pvchan_group_close(group);
}
END_TEST

START_TEST(what_is_late_is_told_later)
{
    struct pvchan *late[3];
    char name[32], byte;

    snprintf(name, sizeof(name), "%u/app", other_id);
    late[0] = open_in(name, 30);
    late[1] = client_in(plain, 20);
    late[2] = open_in(web_app, 0);
    for (int i = 0; i < 3; i++) {
        struct pvchan *channel = next();

        is(given, PVCHAN_READABLE | PVCHAN_WRITABLE | PVCHAN_ENDED | PVCHAN_STATE_CHANGED);
        is(pvchan_state(channel), PVCHAN_STATE_FAILED);
        is(pvchan_error(channel), -ETIMEDOUT);
        ck_assert_ptr_nonnull(strstr(pvchan_reason(channel), "timed out"));
        is(pvchan_read(channel, &byte, 1), -ETIMEDOUT);
        is(pvchan_write(channel, &byte, 1), -ETIMEDOUT);
        is(pvchan_shutdown(channel), -ETIMEDOUT);
    }
    nothing_more();
    is(number_at(backend, "state"), XenbusStateClosed);
    for (int i = 0; i < 3; i++)
        pvchan_close(late[i]);
    late[0] = open_in(web_app, PATIENCE_MS); /* and it can be opened again */
    tell("open app %d", PATIENCE_MS);
    next_is(late[0]);
    is(pvchan_state(late[0]), PVCHAN_STATE_CONNECTED);
    is(answer(), 0);
    pvchan_group_close(group);
}
END_TEST

START_TEST(clients_wait_for_their_servers)
{
    struct pvchan *one = client_in(plain, PATIENCE_MS), *two = client_in(plain, -1), *three;
    char path[64];
    int rc;

    snprintf(path, sizeof(path), "/local/domain/%u/data/more", web_id);
    three = client_in(path, PATIENCE_MS);
    nothing_more();
    is(ask("server 0 data/api 1 1"), 0);
    rc = pvchan_error(next());
    is(rc + pvchan_error(next()), -EBUSY); /* one of the two has it */
    ck_assert(rc == 0 || rc == -EBUSY);
    is(pvchan_state(three), PVCHAN_STATE_OPENING);
    is(ask("close"), 0);
    is(ask("server 0 data/more 1 1"), 0);
    next_is(three);
    is(pvchan_state(three), PVCHAN_STATE_CONNECTED);
    pvchan_close(one);
    pvchan_close(two);
    pvchan_group_close(group);
}
END_TEST

START_TEST(a_server_is_told_of_its_client)
{
    struct pvchan *server = server_in("data/api");
    char byte;

    ck_assert_ptr_eq(next(), server);
    is(given, PVCHAN_OPENED | PVCHAN_WRITABLE | PVCHAN_STATE_CHANGED);
    is(pvchan_state(server), PVCHAN_STATE_LISTENING);
    nothing_more();
    is(ask("client 0 /local/domain/0/data/api 0"), 0);
    next_is(server);
    is(given, PVCHAN_WRITABLE | PVCHAN_STATE_CHANGED);
    is(pvchan_state(server), PVCHAN_STATE_CONNECTED);
    is(pvchan_read(server, &byte, 1), -EAGAIN);
    is(ask("close"), 0);
    next_is(server);
    is(given, PVCHAN_READABLE | PVCHAN_WRITABLE | PVCHAN_ENDED | PVCHAN_STATE_CHANGED);
    is(pvchan_state(server), PVCHAN_STATE_ENDED);
    is(pvchan_read(server, &byte, 1), 0);
    pvchan_group_close(group);
    is(store_remove(store, "/local/domain/0/data/api"), 0);
}
END_TEST

/* ---- turns ---- */

START_TEST(closing_takes_a_channel_out)
{
    struct pvchan *servers[4], *app = open_in(web_app, PATIENCE_MS);

    pvchan_close(app); /* while it is being opened */
    is(number_at(backend, "state"), XenbusStateClosed);
    for (int i = 0; i < 4; i++) {
        char path[32];

        snprintf(path, sizeof(path), "data/api/%d", i);
        servers[i] = server_in(path);
    }
    ck_assert_ptr_eq(next(), servers[0]);
    pvchan_close(servers[0]);
    pvchan_close(servers[1]); /* its report would be next */
    ck_assert_ptr_eq(next(), servers[2]);
    pvchan_requeue(servers[2]);
    pvchan_close(servers[2]);
    pvchan_close(servers[3]);
    nothing_more();
    pvchan_group_close(group);
    pvchan_group_close(NULL);
    is(store_remove(store, "/local/domain/0/data/api"), 0);
}
END_TEST

/* A wake-up needs no call that finds nothing: the mask says what can be done. */
START_TEST(events_say_what_can_be_done)
{
    struct side it = {.channel = client_in(plain, PATIENCE_MS)};
    struct pvchan_event event;

    is(pvchan_group_wait(group, &event, 0, 0), -EINVAL);
    is(ask("server 0 data/api %u %u", TO_WEB, FROM_WEB), 0);
    ck_assert_ptr_eq(next(), it.channel);
    is(given, PVCHAN_OPENED | PVCHAN_WRITABLE | PVCHAN_STATE_CHANGED);
    is(ask("write 10"), 10); /* nothing was read until -EAGAIN: checking the mask is enough */
    ck_assert_ptr_eq(next(), it.channel);
    is(given, PVCHAN_READABLE | PVCHAN_WRITABLE);
    is(side_read(&it, 100), 10);
    is(side_read(&it, 100), -EAGAIN);
    is(side_write(&it, TO_WEB), TO_WEB);
    is(side_write(&it, 1), -EAGAIN);
    is(ask("write 5"), 5);
    ck_assert_ptr_eq(next(), it.channel);
    is(given, PVCHAN_READABLE);
    is(side_read(&it, 100), 5);
    is(side_read(&it, 100), -EAGAIN);
    is(ask("drain %u", TO_WEB), TO_WEB);
    ck_assert_ptr_eq(next(), it.channel);
    is(given, PVCHAN_WRITABLE);
    is(pvchan_group_wait(group, &event, 1, 0), 0); /* and not again */
    is(ask("close"), 0);
    ck_assert_ptr_eq(next(), it.channel);
    is(given, PVCHAN_READABLE | PVCHAN_WRITABLE | PVCHAN_ENDED | PVCHAN_STATE_CHANGED);
    is(pvchan_error(it.channel), 0);
    pvchan_group_close(group);
}
END_TEST

/* Each is reported at most once in a call, in the order of the queue, and only as many as fit. */
START_TEST(many_are_given_at_once)
{
    struct pvchan_event events[8];
    struct pvchan *servers[5];

    for (int i = 0; i < 5; i++) {
        char path[32];

        snprintf(path, sizeof(path), "data/api/%d", i);
        servers[i] = server_in(path);
    }
    is(pvchan_group_wait(group, events, 3, PATIENCE_MS), 3);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_eq(events[i].handle, servers[i]);
    pvchan_requeue(servers[0]);
    pvchan_close(servers[3]);
    is(pvchan_group_wait(group, events, 8, PATIENCE_MS), 2);
    ck_assert_ptr_eq(events[0].handle, servers[4]);
    ck_assert_ptr_eq(events[1].handle, servers[0]);
    is(events[1].events, PVCHAN_WRITABLE);
    is(pvchan_group_wait(group, events, 8, 0), 0);
    for (int i = 0; i < 5; i++)
        if (i != 3)
            pvchan_requeue(servers[i]);
    is(pvchan_group_wait(group, events, 8, PATIENCE_MS), 4);
    pvchan_group_close(group);
    is(store_remove(store, "/local/domain/0/data/api"), 0);
}
END_TEST

/* Handles that requeue themselves do not keep others from being served. */
START_TEST(again_is_after_all_others)
{
    struct pvchan *one = server_in("data/api/1"), *two = server_in("data/api/2");
    struct pvchan *client = client_in(plain, PATIENCE_MS);
    char byte;

    is(ask("server 0 data/api 1 1"), 0);
    next_is(client);
    is(pvchan_read(client, &byte, 1), -EAGAIN);
    nothing_more();
    pvchan_requeue(one);
    pvchan_requeue(two);
    for (int i = 0; i < 10; i++) {
        struct pvchan *channel = next();

        ck_assert_ptr_eq(channel, i % 2 ? two : one);
        pvchan_requeue(channel);
    }
    is(ask("write 1"), 1);
    for (int i = 0;; i++) {
        struct pvchan *channel = next();

        if (channel == client)
            break;
        ck_assert_int_lt(i, 4);
        pvchan_requeue(channel);
    }
    pvchan_group_close(group);
    is(store_remove(store, "/local/domain/0/data/api"), 0);
}
END_TEST

START_TEST(the_fd_tells_when_to_wait)
{
    struct pvchan *client = client_in(plain, -1);

    is(ask("server 0 data/api 1 1"), 0);
    ck_assert(group_readable(PATIENCE_MS));
    next_is(client);
    nothing_more();
    ck_assert(!group_readable(20));
    is(ask("write 1"), 1);
    ck_assert(group_readable(PATIENCE_MS));
    next_is(client);
    nothing_more();
    ck_assert(!group_readable(20));
    open_in(web_app, 30);
    ck_assert(group_readable(PATIENCE_MS)); /* xenstore, or the deadline */
    is(pvchan_error(next()), -ETIMEDOUT);
    pvchan_group_close(group);
}
END_TEST

START_TEST(a_signal_ends_the_wait)
{
    struct pvchan_event event;

    client_in(plain, -1);
    nothing_more();
    is(interrupted(pvchan_group_wait(group, &event, 1, -1)), -EINTR);
    pvchan_group_close(group);
}
END_TEST

/* ---- xenstore ---- */

/*
 * Three channels with one backend need two of the guest's watches; one of these is for all
 * channels.
 */
static void open_three(struct peer *here)
{
    restart_peer();
    is(ask("watches 2"), -EDQUOT);
    peer_start(here, NULL);
    is(peer_ask(here, "gopen 1 %u/app %d", web_id, PATIENCE_MS), 0);
    is(peer_ask(here, "gopen 2 %u/gone %d", web_id, PATIENCE_MS), 0);
    is(ask("gopen 1 app %d", PATIENCE_MS), 0);
    is(ask("gopen 2 gone %d", PATIENCE_MS), 0);
    is(ask("gopen 3 echo %d", PATIENCE_MS), 0);
    peer_tell(here, "gopened 2");
    is(ask("gopened 3"), 3);
    is(peer_answer(here), 2);
}

START_TEST(few_watches_are_enough)
{
    struct peer here;

    open_three(&here);
    peer_tell(&here, "gread 1");
    is(ask("gclose"), 0);
    is(peer_answer(&here), 0);
    is(peer_ask(&here, "gread 2"), 0);
    peer_end(&here);
}
END_TEST

/* Works for both kinds: the channel whose own directory is watched, and one whose is not. */
START_TEST(a_detach_in_a_group_is_an_end)
{
    struct peer here;

    open_three(&here);
    tell("gread %d", _i + 1);
    peer_tell(&here, "gread %d", _i + 1);
    run("exec xl-vchan detach --wait 20 %u %s > /dev/null &", web_id, _i ? "gone" : "app");
    is(answer(), 0);
    is(peer_answer(&here), 0);
    is(ask("gclose"), 0);
    peer_end(&here);
    run("exec xl-vchan wait --timeout 30 %u %s gone", web_id, _i ? "gone" : "app");
    if (_i)
        run("exec xl-vchan attach %u name=gone,devid=3 > /dev/null", web_id);
    else
        run("exec xl-vchan attach %u name=app,devid=0,read-ring=4K,write-ring=8K > /dev/null",
            web_id);
}
END_TEST

/* The directories of all channels go at once, with their backend's domain. */
START_TEST(a_backend_domain_dies)
{
    struct peer far;

    peer_start(&far, "far");
    for (int i = 1; i <= 3; i++) {
        is(ask("gopen %d far%d %d", i, i, PATIENCE_MS), 0);
        is(peer_ask(&far, "gopen %d far%d %d", i, i, PATIENCE_MS), 0);
    }
    peer_tell(&far, "gopened 3");
    is(ask("gopened 3"), 3);
    is(peer_answer(&far), 3);
    is(ask("gdrop 1"), 0);
    run("exec xl destroy far");
    peer_kill(&far);
    for (int i = 3; i >= 2; i--)
        is(ask("gread %d", i), -ECONNRESET);
}
END_TEST

const struct api_row api_group[] = {
    {&opening_does_not_wait, 1},
    {&what_cannot_be_opened_is_told_at_once, 1},
    {&what_is_late_is_told_later, 1},
    {&clients_wait_for_their_servers, 1},
    {&a_server_is_told_of_its_client, 1},
    {&closing_takes_a_channel_out, 1},
    {&events_say_what_can_be_done, 1},
    {&many_are_given_at_once, 1},
    {&again_is_after_all_others, 1},
    {&the_fd_tells_when_to_wait, 1},
    {&a_signal_ends_the_wait, 1},
    {&few_watches_are_enough, 1},
    {&a_detach_in_a_group_is_an_end, 2},
    {&a_backend_domain_dies, 1},
    {0},
};
