/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/sched.h>

#include "sim/bridge.h"
#include "sim/client.h"

#define CONTROL     3
#define SHUTDOWN_MS 3000 /* time for programs to end after SIGTERM */

/* A program that the hypervisor asked for. The low bits of the id are 0 for the domain's own. */
struct program {
    uint32_t id;
    pid_t pid;
    struct program *next;
};

static struct {
    uint32_t domid;
    bool paused, ending, ended;
    uint32_t reason;
    struct timespec deadline;
    struct program *programs;
} self;

static struct rlimit files; /* the limit that programs get */

void files_raise(void)
{
    struct rlimit all;

    getrlimit(RLIMIT_NOFILE, &files);
    all = files;
    all.rlim_cur = all.rlim_max;
    setrlimit(RLIMIT_NOFILE, &all);
}

static bool id_is_own(uint32_t id)
{
    return (id & 0xfffff) == 0;
}

static void hypervisor_send(enum sim_op op, uint32_t first, uint32_t second)
{
    struct sim_message message = {.op = op, .arg = {first, second}};

    sim_send(CONTROL, &message, NULL, NULL, 0);
}

/* Ends all programs, first by SIGTERM; then reports the domain as shut down. */
static void power(uint32_t reason)
{
    if (self.ending)
        return;
    self.ending = true;
    self.reason = reason;
    clock_gettime(CLOCK_MONOTONIC, &self.deadline);
    self.deadline.tv_sec += SHUTDOWN_MS / 1000;
    kill(-1, SIGTERM);
}

static int deadline_left(void)
{
    struct timespec now;
    long left;

    if (!self.ending || self.ended)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    left = (self.deadline.tv_sec - now.tv_sec) * 1000 +
           (self.deadline.tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? (int)left : 0;
}

/* Splits the strings of a program file: count of them, or all if count is negative. */
static char **strings_split(char **position, const char *end, long count)
{
    size_t room = 64, used = 0;
    char **strings = malloc(room * sizeof(*strings));

    while (strings && *position < end && count-- != 0) {
        if (used + 2 > room) {
            char **more = realloc(strings, (room *= 2) * sizeof(*strings));

            if (!more) {
                free(strings);
                return NULL;
            }
            strings = more;
        }
        /* cppcheck-suppress nullPointerRedundantCheck ; the loop does not run without strings */
        strings[used++] = *position;
        *position += strlen(*position) + 1;
    }
    if (strings)
        strings[used] = NULL;
    return strings;
}

void exec_or_exit(char **arguments)
{
    int error;

    execvp(arguments[0], arguments);
    error = errno;
    fprintf(stderr, "xensim: %s: %s\n", arguments[0], strerror(error));
    _exit(error == ENOENT ? 127 : 126);
}

static void program_exec(int file, uint32_t argc)
{
    extern char **environ;
    struct stat status;
    char *text, *position;
    char **arguments;

    if (fstat(file, &status) < 0 || status.st_size == 0)
        _exit(126);
    text = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (text == MAP_FAILED || text[status.st_size - 1] != '\0')
        _exit(126);
    position = text + strlen(text) + 1;
    arguments = strings_split(&position, text + status.st_size, argc);
    environ = strings_split(&position, text + status.st_size, -1);
    if (!arguments || !arguments[0] || !environ || (chdir(text) < 0 && chdir("/") < 0))
        _exit(126);
    exec_or_exit(arguments);
}

static void program_child(uint32_t id, uint32_t argc, const int *fds)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_NOFILE, &files);
    if (self.domid != 0 || !id_is_own(id))
        setsid();
    for (int i = 1; i < 4; i++)
        dup2(fds[i], i - 1);
    program_exec(fds[0], argc);
}

static void program_run(uint32_t id, uint32_t argc, const int *fds, int nfds)
{
    struct program *program = calloc(1, sizeof(*program));

    if (program && nfds == 4) {
        program->id = id;
        program->pid = self.ending ? -1 : fork();
        if (program->pid == 0)
            program_child(id, argc, fds);
        program->next = self.programs;
        self.programs = program;
        if (program->pid > 0)
            return;
        self.programs = program->next;
    }
    free(program);
    hypervisor_send(SIM_SPAWN, id, 126 << 8);
}

static void program_ended(pid_t pid, int status)
{
    struct program **link = &self.programs;
    struct program *program;

    while (*link && (*link)->pid != pid)
        link = &(*link)->next;
    program = *link;
    if (!program)
        return;
    *link = program->next;
    hypervisor_send(SIM_SPAWN, program->id, (uint32_t)status);
    if (id_is_own(program->id) && self.domid != 0)
        power(SHUTDOWN_poweroff);
    free(program);
}

/*
 * A program that has just been started is not yet in a process group of its own (program_child()).
 */
static void program_signal(uint32_t id, uint32_t number)
{
    for (struct program *program = self.programs; program; program = program->next) {
        bool alone = self.domid == 0 && id_is_own(id);

        if (program->id == id && (alone || kill(-program->pid, (int)number) < 0))
            kill(program->pid, (int)number);
    }
}

static void children_reap(void)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        program_ended(pid, status);
    if (pid < 0 && errno == ECHILD && self.ending && !self.ended) {
        self.ended = true;
        hypervisor_send(SIM_SHUTDOWN, self.reason, 0);
    }
}

static void unpause(void)
{
    static bool booted;
    int error = 0;

    self.paused = false;
    if (self.domid != 0 && !booted)
        error = bridge_open(power);
    if (error) {
        fprintf(stderr, "xensim: domain %u: no xenstore: %s\n", self.domid, strerror(-error));
        _exit(1);
    }
    booted = true;
    kill(-1, SIGCONT);
}

static void control_handle(void)
{
    struct sim_message message;
    int fds[4];
    int nfds = 4;

    if (sim_receive(CONTROL, &message, NULL, 0, fds, &nfds) < 0)
        _exit(0);
    if (message.op == SIM_SPAWN)
        program_run(message.arg[0], message.arg[1], fds, nfds);
    else if (message.op == SIM_SIGNAL)
        program_signal(message.arg[0], message.arg[1]);
    else if (message.op == SIM_UNPAUSE)
        unpause();
    else if (message.op == SIM_PAUSE) {
        self.paused = true;
        kill(-1, SIGSTOP);
    }
    for (int i = 0; i < nfds; i++)
        close(fds[i]);
}

static void children_handle(int signals)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof(info)) == sizeof(info))
        children_reap();
}

static void loop(int signals)
{
    static struct pollfd fds[2 + BRIDGE_FDS];

    for (;;) {
        int count = self.paused ? 0 : bridge_poll(fds + 2);

        fds[0] = (struct pollfd){.fd = CONTROL, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = signals, .events = POLLIN};
        if (poll(fds, 2 + (nfds_t)count, deadline_left()) < 0 && errno != EINTR)
            _exit(1);
        if (fds[1].revents)
            children_handle(signals);
        if (count > 0)
            bridge_handle(fds + 2, count);
        if (fds[0].revents)
            control_handle();
        if (deadline_left() == 0)
            kill(-1, SIGKILL);
        if (self.ending && !self.ended)
            children_reap();
    }
}

static void init_main(uint32_t domid, int control)
{
    sigset_t mask;
    int signals, error;

    dup2(control, CONTROL);
    fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
    close_range(CONTROL + 1, ~0u, 0);
    if (domid != 0)
        setsid();
    prctl(PR_SET_NAME, "xensim-init");
    self.domid = domid;
    self.paused = domid != 0;
    umask(022);
    error = mounts_domain(domid);
    if (error) {
        fprintf(stderr, "xensim: domain %u: mounts: %s\n", domid, strerror(-error));
        _exit(1);
    }
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    loop(signals);
}

pid_t init_start(uint32_t domid, int control)
{
    /* Like fork(), since this process has one thread. */
    long pid = syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0) {
        init_main(domid, control);
        _exit(1);
    }
    return pid < 0 ? -errno : (pid_t)pid;
}
