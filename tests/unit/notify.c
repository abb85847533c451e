/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state/notify.h: a manager that does not read holds nobody up, and in the end has heard all, in
 * order, with its descriptors; also one that begins anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "state/notify.h"
#include "tests/lib/check-main.h"

static char path[] = "/tmp/test-notify.XXXXXX/socket";
static int manager = -1;
static unsigned int waits;

static void manager_listen(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void set_up(void)
{
    char *slash = strrchr(path, '/');

    *slash = '\0';
    ck_assert_ptr_nonnull(mkdtemp(path));
    *slash = '/';
    manager_listen();
    setenv("NOTIFY_SOCKET", path, 1);
}

static void tear_down(void)
{
    close(manager);
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

static void on_wait(void *arg)
{
    (void)arg;
    waits++;
}

/* More messages than lie in a socket that nobody reads. */
static unsigned int many(void)
{
    unsigned int most = 0;
    FILE *file = fopen("/proc/sys/net/unix/max_dgram_qlen", "re");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%u", &most), 1);
    fclose(file);
    return 3 * most + 10;
}

/* Each with a file of its own size, which the caller closes. */
static void tell(unsigned int number)
{
    char text[32], name[] = "/tmp/test-notify.XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(ftruncate(fd, number), 0);
    snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%u", number);
    notify_manager_with(text, fd);
    close(fd);
}

static int passed_fd(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    ck_assert_ptr_nonnull(header);
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/* The next message is this one. */
static void hear(unsigned int number)
{
    char text[64], wanted[32], control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = text, .iov_len = sizeof(text) - 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(manager, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct stat file;
    int fd;

    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    snprintf(wanted, sizeof(wanted), "FDSTORE=1\nFDNAME=%u", number);
    ck_assert_str_eq(text, wanted);
    fd = passed_fd(&message);
    ck_assert_int_eq(fstat(fd, &file), 0);
    ck_assert_int_eq(file.st_size, number);
    close(fd);
}

START_TEST(test_slow_manager_hears_all)
{
    unsigned int count = many();
    struct pollfd room = {.events = POLLOUT};

    notify_on_wait(on_wait, NULL);
    for (unsigned int i = 0; i < count; i++)
        tell(i);
    ck_assert_uint_eq(waits, 1);
    ck_assert(!notify_flush());
    room.fd = notify_fd();
    ck_assert_int_eq(poll(&room, 1, 0), 0);
    for (unsigned int i = 0; i < count; i++) {
        hear(i);
        notify_flush();
    }
    ck_assert(notify_flush());
    ck_assert_int_eq(recv(manager, &count, sizeof(count), MSG_DONTWAIT), -1);
}
END_TEST

START_TEST(test_room_is_seen)
{
    unsigned int count = many();
    struct pollfd room = {.events = POLLOUT};

    for (unsigned int i = 0; i < count; i++)
        tell(i);
    room.fd = notify_fd();
    ck_assert_int_eq(poll(&room, 1, 0), 0);
    hear(0);
    hear(1);
    ck_assert_int_eq(poll(&room, 1, 10000), 1);
}
END_TEST

START_TEST(test_end_does_not_wait_for_ever)
{
    unsigned int count = many();

    for (unsigned int i = 0; i < count; i++)
        tell(i);
    notify_finish(50);
    ck_assert(!notify_flush());
}
END_TEST

START_TEST(test_manager_that_begins_anew)
{
    tell(0);
    hear(0);
    close(manager);
    manager_listen();
    tell(1);
    hear(1);
}
END_TEST

START_TEST(test_manager_that_has_gone)
{
    unsigned int count = many();

    close(manager);
    notify_on_wait(on_wait, NULL);
    for (unsigned int i = 0; i < count; i++)
        tell(i);
    ck_assert_uint_eq(waits, 0);
    ck_assert(notify_flush());
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("notify");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_slow_manager_hears_all);
    tcase_add_test(tcase, test_room_is_seen);
    tcase_add_test(tcase, test_end_does_not_wait_for_ever);
    tcase_add_test(tcase, test_manager_that_begins_anew);
    tcase_add_test(tcase, test_manager_that_has_gone);
    return check_main("notify", tcase);
}
