/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/kinds/unix.h and service/kinds/child.h: what they replace, refuse and leave; what the end
 * of a command causes. service/kinds/dial.h: a missing server, and cancelling. service/quota.h:
 * limits.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service/kinds/child.h"
#include "service/kinds/dial.h"
#include "service/log.h"
#include "service/quota.h"
#include "service/kinds/rights.h"
#include "service/kinds/unix.h"
#include "tests/lib/check-main.h"

static char folder[] = "/tmp/test-connection.XXXXXX";
static char path[64];

static const struct rights private = {.owner = (uid_t)-1, .group = (gid_t)-1, .mode = 0600};

static void set_up(void)
{
    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
}

static void tear_down(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* ---- sockets ---- */

/*
 * The place of a path that only root (or the user running this) can change. Valid until the next
 * call.
 */
static struct place *at_path(const char *at)
{
    static struct place place;

    place = (struct place){.path = at, .key = "owner"};
    return &place;
}

START_TEST(test_listen_connect)
{
    struct stat file;
    int listener = unix_listen(at_path(path), &private, &file);
    int client;

    ck_assert_int_ge(listener, 0);
    ck_assert_uint_eq(file.st_mode & 0777, 0600);
    client = unix_connect(at_path(path));
    ck_assert_int_ge(client, 0);
    ck_assert_int_ne(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(client, F_GETFD) & FD_CLOEXEC, 0);
    close(client);
    unix_unlisten(listener, at_path(path), &file);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(unix_connect(at_path(path)), -ENOENT);
}
END_TEST

START_TEST(test_listen_replaces_a_stale_socket)
{
    struct stat file;
    int listener = unix_listen(at_path(path), &private, &file);

    close(listener); /* as after a killed process */
    ck_assert_int_eq(unix_connect(at_path(path)), -ECONNREFUSED);
    listener = unix_listen(at_path(path), &private, &file);
    ck_assert_int_ge(listener, 0);
    unix_unlisten(listener, at_path(path), &file);
}
END_TEST

START_TEST(test_listen_leaves_what_is_in_use)
{
    struct stat file, other;
    int listener = unix_listen(at_path(path), &private, &file);

    ck_assert_int_eq(unix_listen(at_path(path), &private, &other), -EADDRINUSE);
    ck_assert_int_eq(access(path, F_OK), 0);
    unix_unlisten(listener, at_path(path), &file);
}
END_TEST

START_TEST(test_listen_leaves_other_files)
{
    struct stat file;

    close(open(path, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(unix_listen(at_path(path), &private, &file), -EEXIST);
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(path);
    ck_assert_int_eq(symlink("/dev/null", path), 0);
    ck_assert_int_eq(unix_listen(at_path(path), &private, &file), -EEXIST);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(test_unlisten_leaves_a_successor)
{
    struct stat old, new;
    int first = unix_listen(at_path(path), &private, &old), second;

    unlink(path);
    second = unix_listen(at_path(path), &private, &new);
    unix_unlisten(first, at_path(path), &old);
    ck_assert_int_eq(access(path, F_OK), 0);
    unix_unlisten(second, at_path(path), &new);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(test_rights_are_given_to_the_file)
{
    struct rights nobody = {.owner = 65534, .group = (gid_t)-1};
    char other[80];
    struct stat file;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    snprintf(other, sizeof(other), "%s.other", path);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    /* as a user with write access to its directory could */
    ck_assert_int_eq(rename(other, path), 0);
    ck_assert_int_eq(rights_give(&nobody, fd), geteuid() == 0 ? 0 : -EPERM);
    close(fd);
    ck_assert_int_eq(lstat(path, &file), 0);
    ck_assert_uint_eq(file.st_uid, geteuid());
}
END_TEST

static int sleep_there(const struct spot *spot, void *arg)
{
    (void)spot, (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

static int arrive_there(const struct spot *spot, void *arg)
{
    bool *own = arg;

    *own = spot->own;
    return 7;
}

/* As when a file system does not answer: another path must still work. */
START_TEST(test_a_place_that_hangs)
{
    struct place *place = at_path(path);
    bool own = false;
    int status;
    time_t begin = time(NULL);

    ck_assert_int_eq(place_visit(place, false, -1, sleep_there, &own, sizeof(own)), -ETIMEDOUT);
    ck_assert_int_eq(place_visit(place, false, -1, arrive_there, &own, sizeof(own)), -ETIMEDOUT);
    ck_assert_int_lt(time(NULL) - begin, 15);
    ck_assert(waitpid(-1, &status, 0) < 0 || WTERMSIG(status) == SIGKILL); /* it has ended */
    ck_assert_int_eq(place_visit(at_path("/"), false, -1, arrive_there, &own, sizeof(own)), -EISDIR);
    ck_assert_int_eq(place_visit(at_path("/new"), false, -1, arrive_there, &own, sizeof(own)), 7);
    ck_assert(own);
}
END_TEST

/* Which part of a path belongs to another user, and how; links are followed. */
static const struct {
    const char *make, *at, *part;
    enum blame_why why;
    uint32_t id;
} others[] = {
    {"mkdir d; chown 5 d", "/d/x", "/d", BLAME_USER, 5},
    {"mkdir d; chown 5 d; ln -s d l", "/l/x", "/d", BLAME_USER, 5},
    {"mkdir d; ln -s d l; chown -h 5 l", "/l/x", "/l", BLAME_USER, 5},
    {"mkdir d; chgrp 60 d; chmod 775 d", "/d/x", "/d", BLAME_GROUP, 60},
    {"mkdir d; chmod 777 d", "/d/x", "/d", BLAME_EVERYBODY, 0},
    {"mkdir d; chmod 1777 d; touch d/x; chown 5 d/x", "/d/x", "/d/x", BLAME_USER, 5},
    {"mkdir d; chmod 1777 d; touch d/x; ln d/x d/y", "/d/x", "/d/x", BLAME_EVERYBODY, 0},
    {"mkdir d; chmod 1777 d; touch d/x", "/d/x", "", BLAME_NOTHING, 0},
    {"mkdir d; chmod 1777 d", "/d/x", "", BLAME_NOTHING, 0},
    {"mkdir d; chmod 775 d", "/d/x", "", BLAME_NOTHING, 0},
    {"mkdir d; touch d/x; chown 5 d/x", "/d/x", "", BLAME_NOTHING, 0},
    {"mkdir d; ln -s /usr/../$PWD/d l", "/./l//x", "", BLAME_NOTHING, 0},
};

START_TEST(test_whose_a_path_is)
{
    char command[200], at[80], part[80] = "";
    struct blame blame = {0};
    struct spot spot;
    int rc;

    if (geteuid() != 0)
        return;
    snprintf(command, sizeof(command), "cd %s && %s", folder, others[_i].make);
    ck_assert_int_eq(system(command), 0);
    snprintf(at, sizeof(at), "%s%s", folder, others[_i].at);
    if (others[_i].why)
        snprintf(part, sizeof(part), "%s%s", folder, others[_i].part);
    rc = walk(at, false, &spot, &blame);
    if (rc == 0)
        spot_close(&spot);
    ck_assert_int_eq(rc, others[_i].why ? -ENOKEY : 0);
    ck_assert_int_eq(blame.why, others[_i].why);
    ck_assert_uint_eq(blame.id, others[_i].id);
    ck_assert_str_eq(blame.part, part);
    snprintf(command, sizeof(command), "rm -r %s/*", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(test_long_paths)
{
    char longest[200];
    struct stat file;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_int_eq(unix_listen(at_path(longest), &private, &file), -ENAMETOOLONG);
    memset(longest, '/', 10); /* with a name of its own it would be too long */
    ck_assert_int_eq(unix_connect(at_path(longest)), -ENOENT);
}
END_TEST

/* Each link costs time, and any user who can make links decides how many there are. */
START_TEST(test_a_link_of_many_parts)
{
    char target[1500] = "", link[80];
    struct spot spot;

    for (int i = 0; i < 250; i++)
        strcat(target, "./");
    strcat(target, "x");
    snprintf(link, sizeof(link), "%s/link", folder);
    ck_assert_int_eq(symlink(target, link), 0);
    ck_assert_int_eq(walk(link, true, &spot, NULL), -ENOENT);
    ck_assert_int_eq(unlink(link), 0);
    memcpy(target + strlen(target) - 1, "././././././x", 14);
    ck_assert_int_eq(symlink(target, link), 0);
    ck_assert_int_eq(walk(link, true, &spot, NULL), -ELOOP);
    ck_assert_int_eq(unlink(link), 0);
}
END_TEST

START_TEST(test_full_queue)
{
    struct stat file;
    int listener = unix_listen(at_path(path), &private, &file), clients[100], count = 0, rc = 0;

    while (count < 100 && rc >= 0) {
        rc = unix_connect(at_path(path));
        if (rc >= 0)
            clients[count++] = rc;
    }
    ck_assert_int_eq(rc, -EAGAIN);
    while (count > 0)
        close(clients[--count]);
    unix_unlisten(listener, at_path(path), &file);
}
END_TEST

/* ---- commands ---- */

/* Replaces the C library's function: records the process, and may refuse. */
static pid_t followed;
static bool cannot_follow;

int pidfd_open(pid_t pid, unsigned int flags)
{
    followed = pid;
    if (!cannot_follow)
        return (int)syscall(SYS_pidfd_open, pid, flags);
    errno = EMFILE;
    return -1;
}

static struct connection command_connection(struct event_base *base, const char *command)
{
    struct connection connection = {.base = base, .id = "5/0", .label = "5/0 test"};

    snprintf(connection.spec.command, sizeof(connection.spec.command), "%s", command);
    return connection;
}

static struct child *start(const struct connection *connection, int *input, int *output)
{
    char why[CONNECTION_WHY_MAX], number[16];
    struct child *child = NULL;
    struct user self;

    snprintf(number, sizeof(number), "%d", getuid());
    ck_assert_int_eq(user_read(number, &self, why), 0);
    ck_assert_int_eq(child_start(connection, &self, input, output, &child), 0);
    return child;
}

/* Runs a command and leaves it at once, with its input closed. Returns after its end. */
static void run_and_leave(const char *command, bool about_to_end)
{
    struct event_base *base = event_base_new();
    struct connection connection = command_connection(base, command);
    int input, output;
    struct child *child = start(&connection, &input, &output);

    close(input);
    child_terminate(child, about_to_end);
    ck_assert_int_eq(event_base_dispatch(base), 1); /* no events are left */
    close(output);
    event_base_free(base);
}

START_TEST(test_child_is_stopped)
{
    alarm(4); /* before the timeout would expire */
    run_and_leave("sleep 60 & wait", false);
}
END_TEST

START_TEST(test_child_may_end)
{
    char command[128];

    snprintf(command, sizeof(command), "cat; echo done > %s", path);
    run_and_leave(command, true);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_child_that_does_not_listen_is_killed)
{
    run_and_leave("trap '' TERM; sleep 60", false);
}
END_TEST

START_TEST(test_commands_that_do_not_end_are_counted)
{
    static const struct quota_limits limits = {.channels = 8, .connects = 1000};
    struct event_base *base = event_base_new();
    struct connection connection = command_connection(base, "trap '' TERM; sleep 60");
    struct quota_sum sum = {0};
    struct quota quota;
    struct child *child;
    struct user self;
    char why[CONNECTION_WHY_MAX];
    int input, output;

    quota_init(&quota, &limits, &sum);
    connection.quota = &quota;
    for (int i = 0; i < 8; i++) {
        child_terminate(start(&connection, &input, &output), false);
        close(input);
        close(output);
    }
    ck_assert_int_eq(user_read("0", &self, why), 0);
    ck_assert_int_eq(child_start(&connection, &self, &input, &output, &child), -EDQUOT);
    event_base_dispatch(base); /* they are killed */
    child = start(&connection, &input, &output);
    child_terminate(child, false);
    event_base_dispatch(base);
    close(input);
    close(output);
    event_base_free(base);
}
END_TEST

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

START_TEST(test_a_command_that_cannot_be_followed_does_not_go_on)
{
    struct event_base *base = event_base_new();
    struct connection connection = command_connection(base, "sleep 1000");
    int descriptors = count_descriptors(), input, output;
    char why[CONNECTION_WHY_MAX];
    struct child *child;
    struct user self;

    ck_assert_int_eq(user_read("0", &self, why), 0);
    cannot_follow = true;
    ck_assert_int_eq(child_start(&connection, &self, &input, &output, &child), -EMFILE);
    cannot_follow = false;
    ck_assert_int_gt(followed, 0);
    ck_assert(kill(followed, 0) < 0 && errno == ESRCH); /* it has ended and was waited for */
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_int_eq(event_base_dispatch(base), 1); /* no events are left */
    event_base_free(base);
}
END_TEST

START_TEST(test_child_reads_and_writes)
{
    struct event_base *base = event_base_new();
    struct connection connection = command_connection(base, "read x; echo $x$x");
    int input, output;
    char answer[16] = "";
    struct child *child = start(&connection, &input, &output);

    ck_assert_int_ne(fcntl(input, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(output, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(write(input, "ab\n", 3), 3);
    ck_assert_int_eq(fcntl(output, F_SETFL, 0), 0);
    ck_assert_int_eq(read(output, answer, sizeof(answer) - 1), 5);
    ck_assert_str_eq(answer, "abab\n");
    child_terminate(child, true);
    event_base_dispatch(base);
    close(input);
    close(output);
    event_base_free(base);
}
END_TEST

/* ---- TCP ---- */

struct outcome {
    int fd;
    int times;
    char why[128];
};

static void note_outcome(void *arg, int fd, const char *why)
{
    struct outcome *outcome = arg;

    outcome->fd = fd;
    outcome->times++;
    snprintf(outcome->why, sizeof(outcome->why), "%s", why);
}

/* A server listening at a port of its own. */
static int serve_tcp(char address[32])
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(own);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&own, &length), 0);
    snprintf(address, 32, "127.0.0.1:%u", ntohs(own.sin_port));
    return fd;
}

START_TEST(test_dial)
{
    struct event_base *base = event_base_new();
    struct outcome outcome = {.times = 0};
    char address[32], peer[64];
    int listener = serve_tcp(address), keepalive = 0;
    socklen_t length = sizeof(keepalive);

    ck_assert_ptr_nonnull(dial_start(base, address, note_outcome, &outcome));
    ck_assert_int_eq(outcome.times, 0);
    event_base_dispatch(base);
    ck_assert_int_eq(outcome.times, 1);
    ck_assert_int_ge(outcome.fd, 0);
    ck_assert_int_ne(fcntl(outcome.fd, F_GETFL) & O_NONBLOCK, 0);
    getsockopt(outcome.fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &length);
    ck_assert_int_eq(keepalive, 1);
    dial_peer(outcome.fd, peer, sizeof(peer));
    ck_assert_str_eq(peer, address);
    close(outcome.fd);
    close(listener);

    ck_assert_ptr_nonnull(dial_start(base, address, note_outcome, &outcome));
    event_base_dispatch(base);
    ck_assert_int_eq(outcome.times, 2);
    ck_assert_int_eq(outcome.fd, -ECONNREFUSED);
    ck_assert_str_eq(outcome.why, "cannot connect to its address: Connection refused");
    event_base_free(base);
}
END_TEST

static const char *const no_addresses[] = {"", ":1", "host", "host:", "host:0", "host:65536", "[]:1"};

START_TEST(test_no_address)
{
    struct event_base *base = event_base_new();
    struct outcome outcome = {.times = 0};

    ck_assert_ptr_null(dial_start(base, no_addresses[_i], note_outcome, &outcome));
    event_base_dispatch(base);
    ck_assert_int_eq(outcome.times, 0);
    event_base_free(base);
}
END_TEST

/* Before it has begun, and while a name server is queried. */
START_TEST(test_dial_cancel)
{
    struct event_base *base = event_base_new();
    struct outcome outcome = {.times = 0};
    struct dial *dial;

    dial_cancel(dial_start(base, "127.0.0.1:1", note_outcome, &outcome));
    dial_cancel(NULL);
    ck_assert_int_eq(event_base_dispatch(base), 1);
    dial = dial_start(base, "no-such-host.invalid:1", note_outcome, &outcome);
    event_base_loop(base, EVLOOP_ONCE);
    if (outcome.times == 0)
        dial_cancel(dial);
    ck_assert_int_eq(event_base_dispatch(base), 1);
    ck_assert_int_le(outcome.times, 1);
    event_base_free(base);
}
END_TEST

/* ---- limits ---- */

START_TEST(test_rate)
{
    struct rate rate;

    rate_init(&rate, 1, 3); /* a minute is longer than this test takes */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rate_try(&rate), 0);
    ck_assert_int_gt(rate_try(&rate), 0);
    ck_assert_int_le(rate_try(&rate), 60000000);
    ck_assert_int_gt(rate_take(&rate), 0);
    ck_assert_int_gt(rate_take(&rate), 60000000);
}
END_TEST

START_TEST(test_quota)
{
    static const struct quota_limits limits = {
        .channels = 1, .connects = 1, .ring_bytes = 4096, .ring_bytes_of_all = 6000};
    struct quota_sum sum = {0};
    struct quota quota, other;
    unsigned int unlogged;

    quota_init(&quota, &limits, &sum);
    quota_init(&other, &limits, &sum);
    ck_assert(quota_take_channel(&quota));
    ck_assert(!quota_take_channel(&quota));
    quota_give_channel(&quota);
    ck_assert(quota_take_channel(&quota));
    ck_assert_int_eq(quota_take_bytes(&quota, 4095), 0);
    ck_assert_int_eq(quota_take_bytes(&quota, 2), -EDQUOT);
    ck_assert_int_eq(quota_take_bytes(&quota, 1), 0);
    ck_assert_int_eq(quota_take_bytes(&other, 1905), -ENOSPC);
    ck_assert_int_eq(quota_take_bytes(&other, 1904), 0);
    quota_give_bytes(&quota, 4096);
    ck_assert_int_eq(quota_take_bytes(&other, 2192), 0);
    ck_assert_int_eq(quota_take_bytes(&quota, UINT64_MAX), -EDQUOT);
    ck_assert_int_eq(quota_take_connect(&quota), 0);
    ck_assert_int_gt(quota_take_connect(&quota), 0);
    ck_assert(quota_take_line(&quota, &unlogged));
    rate_init(&quota.work, 1, 4864); /* a minute is longer than this test takes */
    ck_assert(quota_take_work(&quota, 0, 4864));
    ck_assert(!quota_take_work(&quota, 1, 0));
    quota_resume_work(&quota);
    ck_assert(quota_take_work(&quota, 10, 0)); /* the 80 that a domain with one channel then has */
    ck_assert(!quota_take_work(&quota, 1, 0));
    rate_init(&quota.lines, 1, 0);
    ck_assert(!quota_take_line(&quota, &unlogged));
    ck_assert(!quota_take_line(&quota, &unlogged));
    rate_init(&quota.lines, 1, 1);
    ck_assert(quota_take_line(&quota, &unlogged));
    ck_assert_uint_eq(unlogged, 2);
    ck_assert(quota_take_channel(NULL) && quota_take_bytes(NULL, UINT64_MAX) == 0);
}
END_TEST

static void add_commands(TCase *tcase)
{
    int fd = pidfd_open(getpid(), 0);

    if (fd < 0) { /* Debian 12's valgrind does not know it */
        printf("no pidfd_open() here: commands are not tested\n");
        return;
    }
    close(fd);
    tcase_add_test(tcase, test_child_is_stopped);
    tcase_add_test(tcase, test_child_may_end);
    tcase_add_test(tcase, test_child_that_does_not_listen_is_killed);
    tcase_add_test(tcase, test_a_command_that_cannot_be_followed_does_not_go_on);
    tcase_add_test(tcase, test_child_reads_and_writes);
    tcase_add_test(tcase, test_commands_that_do_not_end_are_counted);
}

int main(void)
{
    TCase *tcase = tcase_create("connection");

    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERRORS);
    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_listen_connect);
    tcase_add_test(tcase, test_listen_replaces_a_stale_socket);
    tcase_add_test(tcase, test_listen_leaves_what_is_in_use);
    tcase_add_test(tcase, test_listen_leaves_other_files);
    tcase_add_test(tcase, test_unlisten_leaves_a_successor);
    tcase_add_test(tcase, test_rights_are_given_to_the_file);
    tcase_add_test(tcase, test_a_place_that_hangs);
    tcase_add_loop_test(tcase, test_whose_a_path_is, 0, sizeof(others) / sizeof(others[0]));
    tcase_add_test(tcase, test_long_paths);
    tcase_add_test(tcase, test_a_link_of_many_parts);
    tcase_add_test(tcase, test_full_queue);
    tcase_add_test(tcase, test_dial);
    tcase_add_loop_test(tcase, test_no_address, 0, sizeof(no_addresses) / sizeof(no_addresses[0]));
    tcase_add_test(tcase, test_dial_cancel);
    tcase_add_test(tcase, test_rate);
    tcase_add_test(tcase, test_quota);
    add_commands(tcase);
    return check_main("connection", tcase);
}
