/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/sandbox.h: what a process in it is, as the kernel reports it; that each call which is not
 * in its table kills it, and that those which are work, with the arguments that are allowed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/sandbox.h"
#include "tests/lib/check-main.h"

#define USER 65520

static const struct sandbox_limit limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_FSIZE, 0}};

/* A sanitizer's allocator needs madvise. */
static const struct sandbox_call calls[] = {
    {.name = "read"},
    {.name = "write"},
    {.name = "brk"},
    {.name = "munmap"},
    {.name = "madvise"},
    {.name = "mmap", .argument = 2, .mask = PROT_EXEC, .value = 0},
    {.name = "fcntl", .argument = 1, .mask = UINT64_MAX, .value = F_GETFD},
    {.name = "exit_group"},
    {.name = "no such call"},
};

static const struct sandbox sandbox = {.user = USER,
                                       .limits = limits,
                                       .limit_count = sizeof(limits) / sizeof(limits[0]),
                                       .calls = calls,
                                       .call_count = sizeof(calls) / sizeof(calls[0])};

/* The wait status of a child that enters the sandbox and then does this. */
static int status_of(void (*act)(void))
{
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (sandbox_enter(&sandbox) < 0)
            _exit(1);
        act();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- what kills ---- */

static void call_open(void)
{
    open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void call_socket(void)
{
    socket(AF_UNIX, SOCK_STREAM, 0);
}

static void call_execve(void)
{
    execl("/bin/true", "true", NULL);
}

static void call_fork(void)
{
    fork();
}

static void call_ptrace(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void call_kill(void)
{
    kill(getppid(), 0);
}

static void call_setuid(void)
{
    syscall(SYS_setuid, 0);
}

static void call_mmap_code(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void call_fcntl_other(void)
{
    fcntl(STDIN_FILENO, F_SETFD, 0);
}

static void (*const forbidden[])(void) = {
    call_open, call_socket, call_execve,    call_fork,        call_ptrace,
    call_kill, call_setuid, call_mmap_code, call_fcntl_other,
};

START_TEST(test_other_calls_kill)
{
    int status = status_of(forbidden[_i]);

    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGSYS);
}
END_TEST

/* ---- what works ---- */

static void call_allowed(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED || fcntl(STDIN_FILENO, F_GETFD) < 0)
        _exit(1);
    page[0] = 1;
    if (munmap(page, 4096) < 0)
        _exit(1);
}

START_TEST(test_calls_of_the_table_work)
{
    int status = status_of(call_allowed);

    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* ---- what it is ---- */

/* The child is in the sandbox when its byte comes, and stays until the parent's end closes. */
static pid_t enter_and_wait(int *ready, int *stay)
{
    int up[2], down[2];
    char byte = 0;
    pid_t pid;

    ck_assert_int_eq(pipe2(up, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(down, O_CLOEXEC), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(down[1]);
        if (sandbox_enter(&sandbox) < 0 || write(up[1], &byte, 1) != 1)
            _exit(1);
        _exit(read(down[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(up[1]);
    close(down[0]);
    *ready = up[0];
    *stay = down[1];
    return pid;
}

/* The line of a file of /proc/PID that begins with the key, without it. */
static void read_line(pid_t pid, const char *name, const char *key, char value[128])
{
    char path[64], line[256];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    value[0] = '\0';
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, strlen(key)) == 0)
            snprintf(value, 128, "%.127s", line + strlen(key));
    }
    fclose(file);
}

static void assert_status(pid_t pid, const char *key, const char *wanted)
{
    char value[128];

    read_line(pid, "status", key, value);
    ck_assert_str_eq(value, wanted);
}

static void assert_no_core(pid_t pid)
{
    unsigned int soft = 1, hard = 1;
    char value[128];

    read_line(pid, "limits", "Max core file size", value);
    ck_assert_int_eq(sscanf(value, "%u %u", &soft, &hard), 2);
    ck_assert_uint_eq(soft + hard, 0);
}

/* Whether this process may become any user: it is root's, and not in a namespace of a few. */
static bool may_become(void)
{
    char line[64] = "";
    FILE *file = fopen("/proc/self/uid_map", "re");
    bool all = file && fgets(line, sizeof(line), file) && strstr(line, "4294967295");

    if (file)
        fclose(file);
    return geteuid() == 0 && all;
}

static void assert_identity(pid_t pid)
{
    assert_status(pid, "Uid:", "\t65520\t65520\t65520\t65520");
    assert_status(pid, "Gid:", "\t65520\t65520\t65520\t65520");
    assert_status(pid, "Groups:", "\t ");
    assert_status(pid, "CapBnd:", "\t0000000000000000");
}

START_TEST(test_nothing_is_left)
{
    int ready, stay, status;
    char byte;
    pid_t pid = enter_and_wait(&ready, &stay);

    ck_assert_int_eq(read(ready, &byte, 1), 1);
    if (may_become())
        assert_identity(pid);
    assert_status(pid, "CapInh:", "\t0000000000000000");
    assert_status(pid, "CapPrm:", "\t0000000000000000");
    assert_status(pid, "CapEff:", "\t0000000000000000");
    assert_status(pid, "CapAmb:", "\t0000000000000000");
    assert_status(pid, "NoNewPrivs:", "\t1");
    assert_status(pid, "Seccomp:", "\t2");
    assert_no_core(pid);
    close(stay);
    close(ready);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("sandbox");

    tcase_add_loop_test(tcase, test_other_calls_kill, 0, sizeof(forbidden) / sizeof(forbidden[0]));
    tcase_add_test(tcase, test_calls_of_the_table_work);
    tcase_add_test(tcase, test_nothing_is_left);
    return check_main("sandbox", tcase);
}
