/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another user (games), through whose directory a declared path goes, makes it lead elsewhere while
 * it is used. In thousands of attempts nothing that belongs to root is changed, given away or
 * reached.
 *
 * races flip LINK A B: only the attacker: as games, makes LINK lead to A and B alternately.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/connection.h"
#include "service/log.h"
#include "service/kinds/rights.h"
#include "service/kinds/unix.h"
#include "tests/lib/check-main.h"

/* A child for each attempt is slow with a sanitizer, which finds little here. */
#ifdef __SANITIZE_ADDRESS__
#define ATTEMPTS 200
#else
#define ATTEMPTS 2000
#endif
#define GAMES 5

static struct event_base *base;
static mode_t victim_mode = 0600;
static char folder[32], alice[40], mine[48], link_path[48], at[64], victims[48], victim[64];

static void make_dir(const char *dir, uid_t owner)
{
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    ck_assert_int_eq(chown(dir, owner, owner), 0);
}

/*
 * alice/link leads to alice/mine. at is a name in it, victim the same name in one of root's
 * directories.
 */
static void set_up(void)
{
    strcpy(folder, "/tmp/races.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chmod(folder, 0755), 0);
    snprintf(alice, sizeof(alice), "%s/alice", folder);
    snprintf(mine, sizeof(mine), "%s/mine", alice);
    snprintf(link_path, sizeof(link_path), "%s/link", alice);
    snprintf(at, sizeof(at), "%s/name", link_path);
    snprintf(victims, sizeof(victims), "%s/victims", folder);
    snprintf(victim, sizeof(victim), "%s/name", victims);
    make_dir(alice, GAMES);
    make_dir(mine, GAMES);
    make_dir(victims, 0);
    ck_assert_int_eq(symlink(mine, link_path), 0);
    base = event_base_new();
}

static void tear_down(void)
{
    char command[64];

    event_base_free(base);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* Runs until it is killed. */
static int flip(const char *link, const char *a, const char *b)
{
    char next[128];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setgroups(0, NULL) < 0 || setgid(GAMES) < 0 || setuid(GAMES) < 0)
        return 1;
    snprintf(next, sizeof(next), "%s.next", link);
    for (unsigned int i = 0;; i++)
        if (symlink(i % 2 ? a : b, next) < 0 || rename(next, link) < 0 || usleep(i % 50) < 0)
            return 1;
}

static pid_t flip_meanwhile(const char *link, const char *a, const char *b)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(flip(link, a, b));
    return pid;
}

static void stop(pid_t pid)
{
    int status = 0;

    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status)); /* it did nothing else until now */
}

/* Plugs and unplugs many times. Returns how often it succeeded. */
static int plug_often(const struct connection_kind *kind)
{
    int count = 0;

    for (int i = 0; i < ATTEMPTS; i++) {
        struct connection connection = {.kind = kind, .base = base, .id = "1/0"};
        char why[CONNECTION_WHY_MAX];

        snprintf(connection.spec.connection, sizeof(connection.spec.connection), "%s", kind->name);
        snprintf(connection.spec.path, sizeof(connection.spec.path), "%s", at);
        snprintf(connection.spec.owner, sizeof(connection.spec.owner), "%d", GAMES);
        if (kind->plug(&connection, why) < 0)
            continue;
        kind->unplug(&connection);
        count++;
    }
    return count;
}

static void check_alone(void)
{
    DIR *dir = opendir(victims);
    struct dirent *entry;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            ck_assert_str_eq(entry->d_name, "name");
    closedir(dir);
}

static int root_listens(const char *path, struct stat *file)
{
    struct rights rights = {.owner = (uid_t)-1, .group = (gid_t)-1, .mode = victim_mode};
    struct place place = {.path = path, .key = "owner"};
    int listener = unix_listen(&place, &rights, file);

    ck_assert_int_ge(listener, 0);
    return listener;
}

/* H2: root's socket was given to the other user, or a new one was made as root anywhere. */
START_TEST(test_socket)
{
    struct stat before, now;
    int listener = root_listens(victim, &before);
    pid_t racer = flip_meanwhile(link_path, mine, victims);

    ck_assert_int_gt(plug_often(&connection_socket), 0);
    stop(racer);
    ck_assert_int_eq(lstat(victim, &now), 0);
    ck_assert_uint_eq(now.st_ino, before.st_ino);
    ck_assert_uint_eq(now.st_uid, 0);
    ck_assert_uint_eq(now.st_gid, 0);
    check_alone();
    close(listener);
}
END_TEST

/* H3: root's file was removed and replaced by a link to the other user's terminal. */
START_TEST(test_pty)
{
    int file = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    struct stat before, now;
    pid_t racer;

    ck_assert_int_eq(fstat(file, &before), 0);
    racer = flip_meanwhile(link_path, mine, victims);
    ck_assert_int_gt(plug_often(&connection_pty), 0);
    stop(racer);
    ck_assert_int_eq(lstat(victim, &now), 0);
    ck_assert_uint_eq(now.st_ino, before.st_ino);
    ck_assert_uint_eq(now.st_uid, 0);
    check_alone();
    close(file);
}
END_TEST

static void set_user(struct user *user, const char *name)
{
    char why[CONNECTION_WHY_MAX];

    ck_assert_int_eq(user_read(name, user, why), 0);
}

/*
 * The other user's own socket is reached, but never root's, to which that user makes the path lead.
 */
static void connect_often(const char *name)
{
    char made[48], own[64], entry[64];
    struct stat file;
    struct user user;
    struct place place = {.path = entry, .user = &user, .key = "user", .as_user = true};
    int listener = root_listens(victim, &file), other, count = 0;
    pid_t racer;

    snprintf(made, sizeof(made), "%s/own", folder);
    snprintf(own, sizeof(own), "%s/own", mine);
    snprintf(entry, sizeof(entry), "%s/entry", mine);
    other = root_listens(made, &file);
    ck_assert_int_eq(rename(made, own), 0);
    ck_assert_int_eq(chown(own, GAMES, GAMES), 0);
    ck_assert_int_eq(symlink(own, entry), 0);
    set_user(&user, name);
    racer = flip_meanwhile(entry, own, victim);
    for (int i = 0; i < ATTEMPTS; i++) {
        int fd = unix_connect(&place), client;

        ck_assert_int_eq(accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
        client = accept4(other, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_eq(client >= 0, fd >= 0);
        count += fd >= 0;
        close(client);
        close(fd);
    }
    stop(racer);
    ck_assert_int_gt(count, 0);
    close(listener);
    close(other);
}

/* H1, as a race: root's own socket stays closed to the user. */
START_TEST(test_connect)
{
    connect_often("5");
}
END_TEST

/* And xenstored's stays closed to everybody, even to a user whom its mode lets in. */
START_TEST(test_xenstored)
{
    setenv("XENSTORED_PATH", victim, 1);
    victim_mode = 0666;
    connect_often("5");
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tcase = tcase_create("races");

    if (geteuid() != 0)
        return 77;
    if (argc == 5)
        return flip(argv[2], argv[3], argv[4]);
    log_set_level(LOG_ERRORS);
    tcase_set_timeout(tcase, 600); /* for a busy machine; otherwise a few seconds */
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_socket);
    tcase_add_test(tcase, test_pty);
    tcase_add_test(tcase, test_connect);
    tcase_add_test(tcase, test_xenstored);
    return check_main("races", tcase);
}
