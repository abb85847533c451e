/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/handover/fdstore.h: what the next process gets after a kill, and after a process of
 * version 0; what it refuses; limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/handover/fdstore.h"
#include "state/endpoint.h"
#include "tests/lib/check-main.h"

/* ---- a manager ---- */

#define STORED_MAX 32

/* Larger than any descriptor's number but those of become_successor(). */
#define OUT_OF_THE_WAY 200

static const char *own_path;
static char folder[] = "/tmp/test-fdstore.XXXXXX";
static char path[64];
static int notified = -1;

/* What the manager has stored. */
static struct {
    int fd;
    char name[64];
} stored[STORED_MAX];
static int count;

static void set_up(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strcpy(folder + sizeof(folder) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(notified, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    count = 0;
}

static void tear_down(void)
{
    unsetenv("NOTIFY_SOCKET");
    close(notified);
    unlink(path);
    rmdir(folder);
}

static void take_out(const char *name)
{
    for (int i = count - 1; i >= 0; i--) {
        if (strcmp(stored[i].name, name) != 0)
            continue;
        close(stored[i].fd);
        stored[i] = stored[--count];
    }
}

/* Reads one message; returns false if there is none. */
static bool hear(void)
{
    char text[256] = "", name[64] = "";
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = text, .iov_len = sizeof(text) - 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};

    if (recvmsg(notified, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
        return false;
    ck_assert_int_eq(sscanf(strstr(text, "FDNAME="), "FDNAME=%63s", name), 1);
    if (strncmp(text, "FDSTOREREMOVE=1", 15) == 0) {
        take_out(name);
        return true;
    }
    ck_assert_int_lt(count, STORED_MAX);
    memcpy(&stored[count].fd, CMSG_DATA(&control.header), sizeof(int));
    memcpy(stored[count++].name, name, sizeof(name));
    return true;
}

static void hear_all(void)
{
    while (hear())
        ;
}

static bool has_stored(const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(stored[i].name, name) == 0)
            return true;
    return false;
}

/* In a new process: its descriptors from 3 on are the stored ones, as from systemd. */
static _Noreturn void become_successor(const char *check)
{
    char number[16], names[STORED_MAX * 65] = "";
    size_t length = 0;

    for (int i = 0; i < count; i++)
        stored[i].fd = fcntl(stored[i].fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    close_range(3, OUT_OF_THE_WAY - 1, 0);
    for (int i = 0; i < count; i++) {
        dup2(stored[i].fd, 3 + i);
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", i ? ":" : "",
                                   stored[i].name);
    }
    snprintf(number, sizeof(number), "%d", getpid());
    setenv("LISTEN_PID", number, 1);
    snprintf(number, sizeof(number), "%d", count);
    setenv("LISTEN_FDS", number, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    execl(own_path, own_path, check, NULL);
    _exit(98);
}

/*
 * Runs one of successor_checks[] in a process that the manager starts after the present one was
 * killed. It exits with the number of the first thing that is wrong, or 0.
 */
static void successor(const char *check)
{
    int status;
    pid_t pid;

    hear_all();
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        become_successor(check);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

/* ---- descriptors ---- */

/* One that others can tell from the rest, by its size. */
static int make_file(off_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    return fd;
}

static off_t size_of(int fd)
{
    struct stat file;

    return fd >= 0 && fstat(fd, &file) == 0 ? file.st_size : -1;
}

static off_t take_size(struct fdstore *fdstore, const char *owner, enum fdstore_item item)
{
    return size_of(fdstore_take(fdstore, owner, item));
}

static const struct endpoint_rings some_rings = {.peer = 5, .ring_ref = 77, .port = 12, .pages = 8};

static int check_after_kill(struct fdstore *fdstore)
{
    struct endpoint_rings rings;
    int fd;

    if (fdstore_version(fdstore) != FDSTORE_VERSION)
        return 1;
    if (take_size(fdstore, "5/0", FDSTORE_PROGRAM) != 1000)
        return 2;
    if (fdstore_take(fdstore, "5/0", FDSTORE_PROGRAM) != -ENOENT)
        return 3;
    if (take_size(fdstore, "5/0", FDSTORE_LISTENER) != 1001)
        return 4;
    fd = fdstore_take(fdstore, "5/10", FDSTORE_PROGRAM);
    if (size_of(fd) != 1002 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
        return 5;
    if (!fdstore_is_stored(fdstore, "5/10", FDSTORE_PROGRAM))
        return 6;
    if (fdstore_is_kept(fdstore, "5/0", FDSTORE_TERMINAL) ||
        fdstore_is_kept(fdstore, "5/0", FDSTORE_INPUT))
        return 7; /* it was dropped, or only kept */
    if (!fdstore_find_rings(fdstore, "5/0", &rings) ||
        memcmp(&rings, &some_rings, sizeof(rings)) != 0)
        return 8;
    return fdstore_find_rings(fdstore, "5/10", &rings) ? 9 : 0;
}

START_TEST(test_the_next_process_gets_what_the_manager_has)
{
    struct fdstore *fdstore;

    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    fdstore_add(fdstore, "5/0", FDSTORE_TERMINAL, make_file(999), true);
    fdstore_add(fdstore, "5/0", FDSTORE_PROGRAM, make_file(1000), true);
    fdstore_add(fdstore, "5/0", FDSTORE_LISTENER, make_file(1001), true);
    fdstore_add(fdstore, "5/0", FDSTORE_INPUT, make_file(1003), false);
    fdstore_add(fdstore, "5/10", FDSTORE_PROGRAM, make_file(1002), true);
    ck_assert_int_eq(fdstore_set_rings(fdstore, "5/0", &some_rings), 0);
    ck_assert_int_eq(fdstore_set_rings(fdstore, "5/10", &some_rings), 0);
    fdstore_drop(fdstore, "5/0", FDSTORE_TERMINAL);
    fdstore_drop_rings(fdstore, "5/10");
    successor("kill");
    fdstore_close(fdstore);
}
END_TEST

static int check_the_others(struct fdstore *fdstore)
{
    if (fdstore_is_kept(fdstore, "6/0", FDSTORE_PROGRAM))
        return 1;
    fdstore_drop_untaken(fdstore, NULL);
    return 0;
}

/* The process is killed with its last messages unread, or never sent. */
START_TEST(test_no_owner_gets_what_was_another_ones)
{
    struct fdstore *fdstore;

    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    fdstore_add(fdstore, "5/0", FDSTORE_PROGRAM, make_file(1000), true);
    hear_all();
    unsetenv("NOTIFY_SOCKET"); /* nothing reaches the manager from here on */
    fdstore_drop(fdstore, "5/0", FDSTORE_PROGRAM);
    fdstore_add(fdstore, "6/0", FDSTORE_PROGRAM, make_file(1001), true);
    setenv("NOTIFY_SOCKET", path, 1);
    ck_assert_int_eq(count, 2);
    successor("others");
    hear_all();
    ck_assert_int_eq(count, 0); /* it gave back what it cannot use, and then the table */
    fdstore_close(fdstore);
}
END_TEST

static int check_after_upgrade(struct fdstore *fdstore)
{
    if (take_size(fdstore, "5/0", FDSTORE_PROGRAM) != 1000)
        return 1;
    if (take_size(fdstore, "5/0", FDSTORE_LISTENER) != 1001)
        return 2;
    if (take_size(fdstore, "7/0", FDSTORE_PROGRAM) != 1002)
        return 3;
    fdstore_drop(fdstore, "5/0", FDSTORE_LISTENER);
    return 0;
}

/* An upgraded process was killed before all that it had from version 0 was gone. */
START_TEST(test_names_of_both_versions)
{
    struct fdstore *fdstore;

    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    fdstore_add(fdstore, "5/0", FDSTORE_PROGRAM, make_file(1000), true);
    hear_all();
    stored[count].fd = make_file(1001);
    strcpy(stored[count++].name, "5/0.listener");
    stored[count].fd = make_file(1002);
    strcpy(stored[count++].name, "7/0.party");
    successor("upgrade");
    hear_all();
    ck_assert(count == 3 && !has_stored("5/0.listener") && has_stored("7/0.party"));
    fdstore_close(fdstore);
}
END_TEST

/* As many long names as the former limit allowed. */
START_TEST(test_long_names_leave_less_room)
{
    struct fdstore *fdstore;
    FILE *list = tmpfile();
    char number[16], owner[32];
    uint32_t added = 0;

    for (int i = 0; i < 6900; i++)
        fprintf(list, "%d 1 3275%d/%d.party\n", STDOUT_FILENO, i % 10, 1000 + i / 10);
    fflush(list);
    rewind(list);
    snprintf(number, sizeof(number), "%d", dup(fileno(list)));
    setenv("PVCHAN_KEPT", number, 1);
    setenv("NOTIFY_SOCKET", "@nobody-listens", 1);
    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    fclose(list);
    for (; fdstore_has_room(fdstore, 1); added++) {
        snprintf(owner, sizeof(owner), "5/%u", added);
        fdstore_add(fdstore, owner, FDSTORE_PROGRAM, STDOUT_FILENO, true);
    }
    /* 6900 names of 16 bytes, and these of 5, each with a colon, in 128 KiB */
    ck_assert_uint_gt(added, 2000);
    ck_assert_uint_lt(added, 2400);
    fdstore_close(fdstore);
}
END_TEST

START_TEST(test_nothing_stays_stored_in_the_end)
{
    struct fdstore *fdstore;

    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    fdstore_add(fdstore, "5/0", FDSTORE_PROGRAM, make_file(1000), true);
    hear_all();
    ck_assert_int_eq(count, 2);
    fdstore_drop(fdstore, "5/0", FDSTORE_PROGRAM);
    hear_all();
    ck_assert_int_eq(count, 0);
    fdstore_close(fdstore);
}
END_TEST

/* ---- what a process passes on directly ---- */

/* PVCHAN_KEPT: "FD STORED NAME" for each. */
static void hand_over_list(const char *text)
{
    char number[16];
    int fd = memfd_create("list", 0);

    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    lseek(fd, 0, SEEK_SET);
    snprintf(number, sizeof(number), "%d", fd);
    setenv("PVCHAN_KEPT", number, 1);
}

START_TEST(test_what_version_0_left_is_taken_over)
{
    int program = make_file(1000), terminal = make_file(1001), other = make_file(1002);
    struct fdstore *fdstore;
    char text[128];

    snprintf(text, sizeof(text), "%d 1 5/0.party\n%d 0 5/0.terminal\n%d 1 5/0.nothing\n", program,
             terminal, other);
    hand_over_list(text);
    memcpy(stored[count++].name, "5/0.party", sizeof("5/0.party"));
    memcpy(stored[count++].name, "5/0.nothing", sizeof("5/0.nothing"));
    stored[0].fd = stored[1].fd = -1;
    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    ck_assert_uint_eq(fdstore_version(fdstore), 0);
    ck_assert(!hear());
    ck_assert_int_eq(fdstore_take(fdstore, "5/0", FDSTORE_PROGRAM), program);
    ck_assert_int_eq(fdstore_take(fdstore, "5/0", FDSTORE_TERMINAL), terminal);
    ck_assert(fdstore_is_stored(fdstore, "5/0", FDSTORE_PROGRAM));
    ck_assert(!fdstore_is_stored(fdstore, "5/0", FDSTORE_TERMINAL));
    fdstore_drop(fdstore, "5/0", FDSTORE_PROGRAM);
    hear_all();
    ck_assert(count == 1 && has_stored("5/0.nothing"));
    fdstore_drop_untaken(fdstore, NULL);
    hear_all();
    ck_assert_int_eq(count, 0);
    fdstore_close(fdstore);
}
END_TEST

START_TEST(test_what_a_later_version_left_stays)
{
    int fd = make_file(1000);
    struct fdstore *fdstore;
    char text[128];

    snprintf(text, sizeof(text), "%d 1 v2.table\n%d 1 5/0.party\n", fd, fd);
    hand_over_list(text);
    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    ck_assert_uint_eq(fdstore_version(fdstore), 2);
    ck_assert(!fdstore_is_kept(fdstore, "5/0", FDSTORE_PROGRAM));
    ck_assert(!hear());
    fdstore_close(fdstore);
    ck_assert_int_eq(size_of(fd), 1000);
}
END_TEST

/* When no descriptor is free. */
static int hand_over_poor(struct fdstore *fdstore)
{
    struct rlimit before, none = {0};
    int rc;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    rc = fdstore_hand_over(fdstore);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    return rc;
}

START_TEST(test_a_hand_over_that_cannot_be_leaves_all)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct fdstore *fdstore;

    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    fdstore_add(fdstore, "5/0", FDSTORE_PROGRAM, fd, false);
    ck_assert_int_eq(hand_over_poor(fdstore), -EMFILE);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_ptr_null(getenv("PVCHAN_KEPT"));
    fdstore_close(fdstore);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* ---- limits ---- */

/* All names go into one string of the next process's environment. */
START_TEST(test_no_more_is_stored_than_a_process_can_be_given)
{
    struct fdstore *fdstore;
    char owner[32];
    uint32_t added = 0;

    setenv("NOTIFY_SOCKET", "@nobody-listens", 1);
    setenv("FDSTORE", "1000000", 1);
    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    for (; fdstore_has_room(fdstore, 1); added++) {
        snprintf(owner, sizeof(owner), "32751/%u", 10000 + added / FDSTORE_ITEMS);
        fdstore_add(fdstore, owner, (enum fdstore_item)(added % FDSTORE_ITEMS), STDOUT_FILENO,
                    true);
    }
    ck_assert_uint_eq(added, 15999); /* and the table */
    fdstore_close(fdstore);
    unsetenv("FDSTORE");
}
END_TEST

START_TEST(test_rows_are_all_in_use)
{
    struct fdstore *fdstore;
    char owner[32];

    setenv("NOTIFY_SOCKET", "@nobody-listens", 1);
    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    for (unsigned int i = 0; i < 16384; i++) {
        ck_assert(fdstore_has_room(fdstore, 1));
        snprintf(owner, sizeof(owner), "5/%u", i);
        fdstore_add(fdstore, owner, FDSTORE_PROGRAM, STDOUT_FILENO, false);
    }
    ck_assert(fdstore_is_kept(fdstore, owner, FDSTORE_PROGRAM));
    ck_assert(!fdstore_has_room(fdstore, 1));
    ck_assert_int_eq(fdstore_set_rings(fdstore, "6/0", &some_rings), -ENOMEM);
    fdstore_add(fdstore, "6/0", FDSTORE_PROGRAM, STDOUT_FILENO, false);
    ck_assert(!fdstore_is_kept(fdstore, "6/0", FDSTORE_PROGRAM));
    fdstore_drop(fdstore, "5/7", FDSTORE_PROGRAM);
    ck_assert_int_eq(fdstore_set_rings(fdstore, "6/0", &some_rings), 0);
    fdstore_close(fdstore);
}
END_TEST

START_TEST(test_a_manager_takes_no_more_than_it_says)
{
    struct fdstore *fdstore;

    unsetenv("NOTIFY_SOCKET");
    setenv("FDSTORE", "3", 1); /* one for the table */
    ck_assert_int_eq(fdstore_open(&fdstore), 0);
    ck_assert(!fdstore_has_room(fdstore, 1)); /* no manager to notify */
    setenv("NOTIFY_SOCKET", "@nobody-listens", 1);
    ck_assert(fdstore_has_room(fdstore, 2) && !fdstore_has_room(fdstore, 3));
    fdstore_add(fdstore, "5/0", FDSTORE_PROGRAM, STDOUT_FILENO, true);
    fdstore_add(fdstore, "5/0", FDSTORE_LISTENER, STDOUT_FILENO, false);
    ck_assert(fdstore_has_room(fdstore, 1) && !fdstore_has_room(fdstore, 2));
    fdstore_add(fdstore, "5/0", FDSTORE_LISTENER, STDOUT_FILENO, true);
    ck_assert(!fdstore_has_room(fdstore, 1));
    fdstore_drop(fdstore, "5/0", FDSTORE_PROGRAM);
    fdstore_add(fdstore, "5/0", FDSTORE_LISTENER, STDOUT_FILENO, false);
    ck_assert(fdstore_has_room(fdstore, 2));
    fdstore_close(fdstore);
    unsetenv("FDSTORE");
}
END_TEST

/* ---- */

static const struct {
    const char *name;
    int (*run)(struct fdstore *fdstore);
} successor_checks[] = {
    {"kill", check_after_kill}, {"others", check_the_others}, {"upgrade", check_after_upgrade}};

static int run_successor(const char *name)
{
    struct fdstore *fdstore;
    int rc = 97;

    if (fdstore_open(&fdstore) < 0)
        return 99;
    for (size_t i = 0; i < sizeof(successor_checks) / sizeof(successor_checks[0]); i++)
        if (strcmp(successor_checks[i].name, name) == 0)
            rc = successor_checks[i].run(fdstore);
    fdstore_close(fdstore);
    return rc;
}

int main(int argc, char **argv)
{
    TCase *tcase;

    if (argc > 1)
        return run_successor(argv[1]);
    own_path = argv[0];
    tcase = tcase_create("fdstore");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_the_next_process_gets_what_the_manager_has);
    tcase_add_test(tcase, test_no_owner_gets_what_was_another_ones);
    tcase_add_test(tcase, test_names_of_both_versions);
    tcase_add_test(tcase, test_long_names_leave_less_room);
    tcase_add_test(tcase, test_nothing_stays_stored_in_the_end);
    tcase_add_test(tcase, test_what_version_0_left_is_taken_over);
    tcase_add_test(tcase, test_what_a_later_version_left_stays);
    tcase_add_test(tcase, test_a_hand_over_that_cannot_be_leaves_all);
    tcase_add_test(tcase, test_no_more_is_stored_than_a_process_can_be_given);
    tcase_add_test(tcase, test_rows_are_all_in_use);
    tcase_add_test(tcase, test_a_manager_takes_no_more_than_it_says);
    return check_main("fdstore", tcase);
}
