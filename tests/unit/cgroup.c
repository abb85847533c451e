/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/cgroup.h on a tree of plain directories, whose files are made, and which are removed, as
 * the kernel does with cgroups.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "service/cgroup.h"
#include "tests/lib/check-main.h"

static char root[] = "/tmp/test-cgroup.XXXXXX";
static struct event_base *base;

/* ---- the kernel ---- */

static const char *const files[] = {"cgroup.procs", "cgroup.events",          "cgroup.kill",
                                    "memory.max",   "cgroup.subtree_control", "pids.max"};

#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

struct file {
    char path[200];
};

static struct file file_in(const char *cgroup, const char *name)
{
    struct file file;

    if (cgroup[0] == '/')
        snprintf(file.path, sizeof(file.path), "%s/%s", cgroup, name);
    else
        snprintf(file.path, sizeof(file.path), "%s/%s/%s", root, cgroup, name);
    return file;
}

static void put(const char *cgroup, const char *name, const char *text)
{
    FILE *file = fopen(file_in(cgroup, name).path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* The first line, without its end. */
static const char *get(const char *cgroup, const char *name)
{
    static char text[64];
    FILE *file = fopen(file_in(cgroup, name).path, "r");

    ck_assert_ptr_nonnull(file);
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void populate(const char *cgroup, bool populated)
{
    put(cgroup, "cgroup.events",
        populated ? "populated 1\nfrozen 0\n" : "populated 0\nfrozen 0\n");
}

/* This one, and the others below, stand before the C library's. */
int mkdir(const char *path, mode_t mode)
{
    int rc = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);

    for (size_t i = 0; i < FILE_COUNT && rc == 0; i++)
        put(path, files[i], "");
    if (rc == 0)
        populate(path, false);
    return rc;
}

static bool has_others_in_it(const char *path)
{
    DIR *entries = opendir(path);
    struct dirent *entry;
    bool found = false;

    while (entries && (entry = readdir(entries)))
        found |= entry->d_type == DT_DIR && entry->d_name[0] != '.';
    if (entries)
        closedir(entries);
    return found;
}

int rmdir(const char *path)
{
    bool is_cgroup = access(file_in(path, "cgroup.events").path, F_OK) == 0;

    if (is_cgroup &&
        (strcmp(get(path, "cgroup.events"), "populated 1") == 0 || has_others_in_it(path))) {
        errno = EBUSY;
        return -1;
    }
    for (size_t i = 0; i < FILE_COUNT && is_cgroup; i++)
        unlink(file_in(path, files[i]).path);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* Which processes got which signal: "TERM 4242, ". Those of 7000 and more are in one group. */
static char signals[200];

int kill(pid_t pid, int number)
{
    size_t length = strlen(signals);

    snprintf(signals + length, sizeof(signals) - length, "%s %d, ", sigabbrev_np(number), pid);
    return 0;
}

pid_t getpgid(pid_t pid)
{
    return pid >= 7000 ? 7000 : pid;
}

/* ---- the tests ---- */

static void open_tree(void)
{
    strcpy(root + sizeof(root) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq((int)syscall(SYS_unlinkat, AT_FDCWD, root, AT_REMOVEDIR), 0);
    ck_assert_int_eq(mkdir(root, 0755), 0);
    base = event_base_new();
    signals[0] = '\0';
    ck_assert_int_eq(cgroups_open(base, root, true), 0);
}

/* With nothing left in it. */
static void close_tree(void)
{
    cgroups_close();
    event_base_free(base);
    ck_assert_int_eq(rmdir(root), 0);
}

static bool is_there(const char *cgroup)
{
    return access(file_in(cgroup, "").path, F_OK) == 0;
}

static struct cgroup *make(const char *group, const char *name)
{
    struct cgroup *cgroup = NULL;

    ck_assert_int_eq(cgroup_make(group, name, &cgroup), 0);
    ck_assert_ptr_nonnull(cgroup);
    return cgroup;
}

/* All that is to happen does. */
static void run(void)
{
    ck_assert_int_eq(event_base_dispatch(base), 1);
}

START_TEST(test_without_a_tree)
{
    struct cgroup *cgroup = NULL;

    cgroups_close();
    ck_assert_int_eq(cgroup_make("guest-5", "x", &cgroup), 0);
    ck_assert_ptr_null(cgroup);
    ck_assert_int_eq(cgroup_join(cgroup), 0);
    cgroup_signal(cgroup, SIGKILL, 0);
    cgroup_terminate(cgroup, SIGTERM);
    ck_assert_ptr_null(cgroup_find("guest-5", "x", 1));
    cgroups_sweep();
    ck_assert(!is_there("guest-5"));
}
END_TEST

START_TEST(test_a_directory_that_is_no_cgroup)
{
    cgroups_close();
    unlink(file_in("", "cgroup.kill").path);
    ck_assert_int_eq(cgroups_open(base, root, true), -ENOENT);
}
END_TEST

START_TEST(test_each_command_has_its_own)
{
    struct cgroup *first = make("guest-5", "x"), *second = make("guest-5", "x");

    ck_assert(is_there("guest-5/x-0"));
    ck_assert(is_there("guest-5/x-1"));
    ck_assert_int_eq(cgroup_join(second), 0);
    ck_assert_str_eq(get("guest-5/x-0", "cgroup.procs"), "");
    ck_assert_str_eq(get("guest-5/x-1", "cgroup.procs"), "0");
    ck_assert_str_eq(get("guest-5/x-1", "memory.max"), "");
    cgroup_terminate(first, SIGTERM);
    ck_assert(!is_there("guest-5/x-0"));
    ck_assert(is_there("guest-5/x-1"));
    cgroup_terminate(second, SIGTERM);
    ck_assert(!is_there("guest-5"));
    run();
}
END_TEST

START_TEST(test_one_that_cannot_be_made_leaves_nothing)
{
    struct cgroup *cgroup = NULL;
    char name[300];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ck_assert_int_eq(cgroup_make("guest-5", name, &cgroup), -ENAMETOOLONG);
    ck_assert_ptr_null(cgroup);
    ck_assert(!is_there("guest-5"));
}
END_TEST

START_TEST(test_one_of_an_earlier_process_is_found)
{
    struct cgroup *cgroup;

    ck_assert_int_eq(mkdir(file_in("guest-5", "").path, 0755), 0);
    ck_assert_int_eq(mkdir(file_in("guest-5/x-3", "").path, 0755), 0);
    put("guest-5/x-3", "cgroup.procs", "17\n4242\n");
    ck_assert_int_eq(mkdir(file_in("guest-5/x-3-0", "").path, 0755), 0); /* of a channel "x-3" */
    put("guest-5/x-3-0", "cgroup.procs", "99\n");
    ck_assert_ptr_null(cgroup_find("guest-6", "x", 4242));
    ck_assert_ptr_null(cgroup_find("guest-5", "y", 4242));
    ck_assert_ptr_null(cgroup_find("guest-5", "x", 4243));
    ck_assert_ptr_null(cgroup_find("guest-5", "x", 99));
    ck_assert_ptr_null(cgroup_find("guest-5", "x", -1));
    cgroup = cgroup_find("guest-5", "x", 4242);
    ck_assert_ptr_nonnull(cgroup);
    ck_assert_ptr_null(cgroup_find("guest-5", "x", 17)); /* it is somebody's now */
    cgroup_terminate(cgroup, SIGTERM);
    ck_assert(!is_there("guest-5/x-3"));
    cgroup_terminate(cgroup_find("guest-5", "x-3", 99), SIGTERM);
    ck_assert(!is_there("guest-5"));
}
END_TEST

START_TEST(test_signals_are_for_all_but_a_group)
{
    struct cgroup *cgroup = make("guest-5", "x");

    put("guest-5/x-0", "cgroup.procs", "17\n7000\n0\n7001\n4242\n");
    cgroup_signal(cgroup, SIGTERM, 7000);
    ck_assert_str_eq(signals, "TERM 17, TERM 4242, ");
    signals[0] = '\0';
    cgroup_signal(cgroup, SIGTERM, 0);
    ck_assert_str_eq(signals, "TERM 17, TERM 7000, TERM 7001, TERM 4242, ");
    ck_assert_str_eq(get("guest-5/x-0", "cgroup.kill"), "");
    signals[0] = '\0';
    cgroup_signal(cgroup, SIGKILL, 7000);
    ck_assert_str_eq(get("guest-5/x-0", "cgroup.kill"), "1");
    ck_assert_str_eq(signals, "");
    cgroup_terminate(cgroup, SIGTERM);
}
END_TEST

static void end_processes(evutil_socket_t fd, short what, void *cgroup)
{
    (void)fd, (void)what;
    put(cgroup, "cgroup.procs", "");
    populate(cgroup, false);
}

static void end_soon(char *cgroup)
{
    static const struct timeval soon = {.tv_usec = 20000};

    ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, end_processes, cgroup, &soon), 0);
}

START_TEST(test_what_ends_by_itself_gets_no_signal)
{
    struct cgroup *first = make("guest-5", "x"), *second = make("guest-5", "x");

    populate("guest-5/x-0", true);
    populate("guest-5/x-1", true);
    put("guest-5/x-0", "cgroup.procs", "17\n");
    cgroup_terminate(first, SIGTERM);
    cgroup_terminate(second, SIGKILL);
    ck_assert(is_there("guest-5/x-0"));
    end_soon("guest-5/x-0");
    end_soon("guest-5/x-1");
    run();
    ck_assert_str_eq(signals, "");
    ck_assert(!is_there("guest-5"));
}
END_TEST

/* Looks whether they were told to end, and does. */
static void obey(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval soon = {.tv_usec = 20000};
    struct event *timer = arg;

    (void)fd, (void)what;
    if (is_there("guest-5/x-0") && strcmp(signals, "TERM 17, ") == 0)
        end_processes(-1, 0, "guest-5/x-0");
    if (is_there("guest-5/y-0") && strcmp(get("guest-5/y-0", "cgroup.kill"), "1") == 0)
        end_processes(-1, 0, "guest-5/y-0");
    if (is_there("guest-5"))
        event_add(timer, &soon);
}

START_TEST(test_what_does_not_end_is_told_to)
{
    struct cgroup *deaf = make("guest-5", "y"), *other = make("guest-5", "x");
    struct event *timer = evtimer_new(base, obey, event_self_cbarg());

    populate("guest-5/x-0", true);
    populate("guest-5/y-0", true);
    put("guest-5/x-0", "cgroup.procs", "17\n");
    put("guest-5/y-0", "cgroup.procs", "18\n");
    cgroup_terminate(other, SIGTERM);
    cgroup_terminate(deaf, SIGKILL); /* it has had its SIGTERM */
    event_active(timer, EV_TIMEOUT, 0);
    run();
    event_free(timer);
    ck_assert_str_eq(signals, "TERM 17, ");
    ck_assert(!is_there("guest-5"));
}
END_TEST

/* Made by a command of root's: it stays, but is not waited for. */
START_TEST(test_one_with_others_in_it)
{
    struct cgroup *cgroup = make("guest-5", "x");

    ck_assert_int_eq(mkdir(file_in("guest-5/x-0", "own").path, 0755), 0);
    cgroup_terminate(cgroup, SIGTERM);
    run();
    ck_assert(is_there("guest-5/x-0"));
    ck_assert_int_eq(rmdir(file_in("guest-5/x-0", "own").path), 0);
    cgroups_sweep();
    ck_assert(!is_there("guest-5"));
}
END_TEST

START_TEST(test_what_nobody_has_found_is_ended)
{
    static const char *const found[] = {"guest-5/y-0", "guest-7", "guest-7/z-1", "guest-8",
                                        "service"};
    struct cgroup *mine = make("guest-5", "x");

    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
        ck_assert_int_eq(mkdir(file_in(found[i], "").path, 0755), 0);
    populate("guest-7/z-1", true);
    populate("service", true);
    cgroups_sweep();
    ck_assert(is_there("guest-5/x-0"));
    ck_assert(!is_there("guest-5/y-0"));
    ck_assert(is_there("guest-7/z-1"));
    ck_assert(!is_there("guest-8"));
    end_soon("guest-7/z-1");
    run();
    ck_assert(!is_there("guest-7"));
    ck_assert(is_there("service"));
    cgroup_terminate(mine, SIGTERM);
    populate("service", false);
    ck_assert_int_eq(rmdir(file_in("service", "").path), 0);
}
END_TEST

static const struct {
    const char *option, *value;
    int (*take)(const char *value);
    bool good;
} options[] = {
    {"memory", "0", cgroups_limit_memory, false},  {"memory", "x", cgroups_limit_memory, false},
    {"tasks", "0", cgroups_limit_tasks, false},    {"tasks", "-1", cgroups_limit_tasks, false},
    {"tasks", "1K", cgroups_limit_tasks, false},   {"tasks", "", cgroups_limit_tasks, false},
    {"memory", "64K", cgroups_limit_memory, true}, {"tasks", "8", cgroups_limit_tasks, true},
};

/* From here on there are limits: these are the last tests. */
START_TEST(test_limits)
{
    struct cgroup *cgroup;

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        ck_assert_int_eq(options[i].take(options[i].value), options[i].good ? -1 : 2);
    cgroups_close();
    ck_assert_int_eq(cgroups_open(base, root, true), 0);
    ck_assert_str_eq(get("", "cgroup.subtree_control"), "+pidsry"); /* "+memory", then "+pids" */
    cgroup = make("guest-5", "x");
    ck_assert_str_eq(get("guest-5", "cgroup.subtree_control"), "+pidsry");
    ck_assert_str_eq(get("guest-5/x-0", "cgroup.subtree_control"), "");
    ck_assert_str_eq(get("guest-5/x-0", "memory.max"), "65536");
    ck_assert_str_eq(get("guest-5/x-0", "pids.max"), "8");
    cgroup_terminate(cgroup, SIGTERM);

    put("", "cgroup.subtree_control", "");
    cgroups_close();
    ck_assert_int_eq(cgroups_open(base, root, false), 0); /* the service is in it: no limits */
    ck_assert_str_eq(get("", "cgroup.subtree_control"), "");
    cgroup = make("guest-5", "x");
    ck_assert_str_eq(get("guest-5/x-0", "memory.max"), "");
    cgroup_terminate(cgroup, SIGTERM);
}
END_TEST

START_TEST(test_one_that_cannot_be_limited_is_not_made)
{
    struct cgroup *cgroup = NULL;

    ck_assert_int_eq(cgroups_limit_tasks("8"), -1);
    cgroups_close();
    ck_assert_int_eq(cgroups_open(base, root, true), 0);
    ck_assert_int_eq(mkdir(file_in("guest-5", "").path, 0755), 0);
    unlink(file_in("guest-5", "cgroup.subtree_control").path);
    ck_assert_int_eq(cgroup_make("guest-5", "x", &cgroup), -ENOENT);
    ck_assert_ptr_null(cgroup);
    ck_assert(!is_there("guest-5"));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("cgroup");

    tcase_add_checked_fixture(tcase, open_tree, close_tree);
    tcase_add_test(tcase, test_without_a_tree);
    tcase_add_test(tcase, test_a_directory_that_is_no_cgroup);
    tcase_add_test(tcase, test_each_command_has_its_own);
    tcase_add_test(tcase, test_one_that_cannot_be_made_leaves_nothing);
    tcase_add_test(tcase, test_one_of_an_earlier_process_is_found);
    tcase_add_test(tcase, test_signals_are_for_all_but_a_group);
    tcase_add_test(tcase, test_what_ends_by_itself_gets_no_signal);
    tcase_add_test(tcase, test_what_does_not_end_is_told_to);
    tcase_add_test(tcase, test_one_with_others_in_it);
    tcase_add_test(tcase, test_what_nobody_has_found_is_ended);
    tcase_add_test(tcase, test_limits);
    tcase_add_test(tcase, test_one_that_cannot_be_limited_is_not_made);
    return check_main("cgroup", tcase);
}
