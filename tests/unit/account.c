/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/kinds/account.h: who is found; that answers are kept, and that a database that does not
 * answer holds up one question, and that for two seconds.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "service/kinds/account.h"
#include "tests/lib/check-main.h"

/* How often the database was asked, by any process, and whether it answers. */
static struct {
    unsigned int count;
    bool hangs;
} *database;

/* In place of the C library's. */
struct passwd *getpwnam(const char *name)
{
    static char account[] = "alice", home[] = "/home/alice";
    static struct passwd alice = {
        .pw_name = account, .pw_dir = home, .pw_uid = 1234, .pw_gid = 1235};

    database->count++;
    while (database->hangs)
        pause();
    return strcmp(name, "alice") == 0 ? &alice : NULL;
}

/*
 * Likewise. A process takes longer than two seconds under valgrind on a busy machine; only one that
 * hangs is not waited for here.
 */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    const struct timespec time = {.tv_sec = database->hangs ? timeout / 1000 : 60};

    return ppoll(fds, count, &time, NULL);
}

static void set_up(void)
{
    database = mmap(NULL, sizeof(*database), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    ck_assert_ptr_ne(database, MAP_FAILED);
}

START_TEST(test_who_is_found)
{
    char name[SPEC_ACCOUNT_MAX + 1];
    struct user user;
    gid_t gid;

    ck_assert_int_eq(account_user("alice", &user), 0);
    ck_assert_uint_eq(user.uid, 1234);
    ck_assert_str_eq(user.name, "alice");
    ck_assert_str_eq(user.home, "/home/alice");
    ck_assert_int_ge(user.group_count, 1);
    ck_assert_uint_eq(user.groups[0], 1235);
    ck_assert_int_eq(account_user("0", &user), 0);
    ck_assert_uint_eq(user.uid, 0);
    ck_assert_str_eq(user.name, "root");
    ck_assert_int_eq(account_group("root", &gid), 0);
    ck_assert_uint_eq(gid, 0);
    ck_assert_int_eq(account_group("no such group", &gid), -ENOENT);
    ck_assert_int_eq(account_user_name(0, name), 0);
    ck_assert_str_eq(name, "root");
    ck_assert_int_eq(account_group_name(0, name), 0);
    ck_assert_str_eq(name, "root");
    ck_assert_int_eq(account_user_name(4242421, name), -ENOENT);
}
END_TEST

/* But somebody who is not there may come at any moment. */
START_TEST(test_answers_are_kept)
{
    struct user user;

    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(account_user("alice", &user), 0);
    ck_assert_uint_eq(database->count, 1);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(account_user("bob", &user), -ENOENT);
    ck_assert_uint_eq(database->count, 6);
}
END_TEST

START_TEST(test_silent_database)
{
    time_t begin = time(NULL);
    struct user user;

    ck_assert_int_eq(account_user("alice", &user), 0);
    database->hangs = true;
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(account_user("bob", &user), -ETIMEDOUT);
    ck_assert_int_eq(account_user("carol", &user), -ETIMEDOUT);
    ck_assert_uint_eq(database->count, 2);
    ck_assert_int_lt(time(NULL) - begin, 30); /* and not 200 */
    ck_assert_int_eq(account_user("alice", &user), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("account");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, test_who_is_found);
    tcase_add_test(tcase, test_answers_are_kept);
    tcase_add_test(tcase, test_silent_database);
    return check_main("account", tcase);
}
