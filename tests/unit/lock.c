/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state/lock.h: the bytes of a file, between processes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/check-main.h"
#include "state/lock.h"

#define BYTE ((off_t)1 << 40)

static char path[32];
static int file;

static void set_up(void)
{
    int made;

    snprintf(path, sizeof(path), "/tmp/pvchan-lock-XXXXXX");
    made = mkstemp(path);
    ck_assert_int_ge(made, 0);
    close(made);
    file = lock_open(path);
    ck_assert_int_ge(file, 0);
}

static void tear_down(void)
{
    close(file);
    unlink(path);
}

/* The errno that taking it gives in another process, which opens the file itself; or 0. */
static int elsewhere(int (*take)(int fd, off_t byte), off_t byte)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int own = lock_open(path);

        _exit(own < 0 ? 255 : -take(own, byte));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* As xl-vchan took the locks of records before. */
static int take_as_before(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

/* A child that has taken the byte, and stays until it is killed. */
static pid_t holder(int (*take)(int fd, off_t byte), off_t byte)
{
    int ready[2];
    pid_t pid;
    char rc = 1;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        rc = (char)-take(lock_open(path), byte);
        if (write(ready[1], &rc, 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &rc, 1), 1);
    ck_assert_int_eq(rc, 0);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(test_one_process)
{
    ck_assert_int_eq(lock_byte_take(file, BYTE), 0);
    ck_assert_int_eq(lock_byte_take(file, BYTE), 0);
    ck_assert_int_eq(elsewhere(lock_byte_take, BYTE), EBUSY);
    ck_assert_int_eq(elsewhere(lock_byte_take, BYTE + 1), 0);
    lock_byte_release(file, BYTE);
    ck_assert_int_eq(elsewhere(lock_byte_take, BYTE), 0);
}
END_TEST

/* The descriptor is the same; the process is not. */
START_TEST(test_no_child_inherits_it)
{
    pid_t pid;
    int status;

    ck_assert_int_eq(lock_byte_take(file, BYTE), 0);
    pid = fork();
    if (pid == 0)
        _exit(-lock_byte_take(file, BYTE));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EBUSY);
}
END_TEST

START_TEST(test_killed)
{
    pid_t pid = holder(lock_byte_take, BYTE);

    ck_assert_int_eq(lock_byte_take(file, BYTE), -EBUSY);
    end(pid);
    ck_assert_int_eq(lock_byte_take(file, BYTE), 0);
}
END_TEST

START_TEST(test_closed)
{
    ck_assert_int_eq(lock_byte_take(file, BYTE), 0);
    close(lock_open(path));
    ck_assert_int_eq(elsewhere(lock_byte_take, BYTE), 0);
}
END_TEST

/* During an upgrade xl-vchan of both versions run. */
START_TEST(test_earlier_version)
{
    pid_t pid;

    ck_assert_int_eq(lock_byte_take(file, BYTE), 0);
    ck_assert_int_eq(elsewhere(take_as_before, BYTE), EAGAIN);
    lock_byte_release(file, BYTE);
    pid = holder(take_as_before, BYTE);
    ck_assert_int_eq(lock_byte_take(file, BYTE), -EBUSY);
    end(pid);
}
END_TEST

START_TEST(test_no_link)
{
    char link[sizeof(path) + 4];

    snprintf(link, sizeof(link), "%s.ln", path);
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert_int_eq(lock_open(link), -ELOOP);
    unlink(link);
    ck_assert_int_eq(lock_open("/proc/none/lock"), -ENOENT);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("lock");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_one_process);
    tcase_add_test(tcase, test_no_child_inherits_it);
    tcase_add_test(tcase, test_killed);
    tcase_add_test(tcase, test_closed);
    tcase_add_test(tcase, test_earlier_version);
    tcase_add_test(tcase, test_no_link);
    return check_main("lock", tcase);
}
