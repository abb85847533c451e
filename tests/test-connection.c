/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection/unix.h and connection/child.h: what they replace, refuse and leave; what a command's end
 * does.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "connection/child.h"
#include "connection/log.h"
#include "connection/rights.h"
#include "connection/unix.h"
#include "tests/check-main.h"

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

START_TEST(test_listen_connect)
{
    struct stat file;
    int listener = unix_listen(path, &private, &file);
    int client;

    ck_assert_int_ge(listener, 0);
    ck_assert_uint_eq(file.st_mode & 0777, 0600);
    client = unix_connect(path);
    ck_assert_int_ge(client, 0);
    ck_assert_int_ne(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(client, F_GETFD) & FD_CLOEXEC, 0);
    close(client);
    unix_unlisten(listener, path, &file);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(unix_connect(path), -ENOENT);
}
END_TEST

START_TEST(test_listen_replaces_a_stale_socket)
{
    struct stat file;
    int listener = unix_listen(path, &private, &file);

    close(listener); /* as a process that was killed */
    ck_assert_int_eq(unix_connect(path), -ECONNREFUSED);
    listener = unix_listen(path, &private, &file);
    ck_assert_int_ge(listener, 0);
    unix_unlisten(listener, path, &file);
}
END_TEST

START_TEST(test_listen_leaves_what_is_in_use)
{
    struct stat file, other;
    int listener = unix_listen(path, &private, &file);

    ck_assert_int_eq(unix_listen(path, &private, &other), -EADDRINUSE);
    ck_assert_int_eq(access(path, F_OK), 0);
    unix_unlisten(listener, path, &file);
}
END_TEST

START_TEST(test_listen_leaves_other_files)
{
    struct stat file;

    close(open(path, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(unix_listen(path, &private, &file), -EEXIST);
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(path);
    ck_assert_int_eq(symlink("/dev/null", path), 0);
    ck_assert_int_eq(unix_listen(path, &private, &file), -EEXIST);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(test_unlisten_leaves_a_successor)
{
    struct stat old, new;
    int first = unix_listen(path, &private, &old), second;

    unlink(path);
    second = unix_listen(path, &private, &new);
    unix_unlisten(first, path, &old);
    ck_assert_int_eq(access(path, F_OK), 0);
    unix_unlisten(second, path, &new);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(test_long_paths)
{
    char longest[200];
    struct stat file;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_int_eq(unix_listen(longest, &private, &file), -ENAMETOOLONG);
    ck_assert_int_eq(unix_connect(longest), -ENAMETOOLONG);
}
END_TEST

START_TEST(test_full_queue)
{
    struct stat file;
    int listener = unix_listen(path, &private, &file), clients[100], count = 0, rc = 0;

    while (count < 100 && rc >= 0) {
        rc = unix_connect(path);
        if (rc >= 0)
            clients[count++] = rc;
    }
    ck_assert_int_eq(rc, -EAGAIN);
    while (count > 0)
        close(clients[--count]);
    unix_unlisten(listener, path, &file);
}
END_TEST

/* ---- commands ---- */

/* Runs a command and leaves it at once, with its input closed; returns after its end. */
static void run_and_leave(const char *command, bool about_to_end)
{
    struct event_base *base = event_base_new();
    struct child *child;
    int input, output;

    ck_assert_int_eq(child_start(base, "5/0 test", command, NULL, &input, &output, &child), 0);
    close(input);
    child_leave(child, about_to_end);
    ck_assert_int_eq(event_base_dispatch(base), 1); /* no events are left */
    close(output);
    event_base_free(base);
}

START_TEST(test_child_is_stopped)
{
    alarm(4); /* before patience would be over */
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

START_TEST(test_child_reads_and_writes)
{
    struct event_base *base = event_base_new();
    struct child *child;
    int input, output;
    char answer[16] = "";

    ck_assert_int_eq(child_start(base, "5/0 test", "read x; echo $x$x", NULL, &input,
                                 &output, &child),
                     0);
    ck_assert_int_ne(fcntl(input, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(output, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(write(input, "ab\n", 3), 3);
    ck_assert_int_eq(fcntl(output, F_SETFL, 0), 0);
    ck_assert_int_eq(read(output, answer, sizeof(answer) - 1), 5);
    ck_assert_str_eq(answer, "abab\n");
    child_leave(child, true);
    event_base_dispatch(base);
    close(input);
    close(output);
    event_base_free(base);
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
    tcase_add_test(tcase, test_child_reads_and_writes);
}

int main(void)
{
    TCase *tcase = tcase_create("connection");

    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERRORS);
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_listen_connect);
    tcase_add_test(tcase, test_listen_replaces_a_stale_socket);
    tcase_add_test(tcase, test_listen_leaves_what_is_in_use);
    tcase_add_test(tcase, test_listen_leaves_other_files);
    tcase_add_test(tcase, test_unlisten_leaves_a_successor);
    tcase_add_test(tcase, test_long_paths);
    tcase_add_test(tcase, test_full_queue);
    add_commands(tcase);
    return check_main("connection", tcase);
}
