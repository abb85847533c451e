/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command xensim: see usage(); README.md explains how it works. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

#include "sim/client.h"
#include "sim/hypervisor.h"
#include "sim/init.h"
#include "sim/leaks.h"

#define EXIT_LEAK  99
#define EXIT_USAGE 2
#define EXIT_SELF  125 /* xensim itself failed, as in env(1) and timeout(1) */


extern char **environ;

static int fail(const char *what, int error)
{
    fprintf(stderr, "xensim: %s: %s\n", what, strerror(-error));
    return EXIT_SELF;
}

static const char usage_text[] = "usage: xensim run [--keep-going] [--] COMMAND [ARGUMENT…]\n"
                                 "       xensim exec DOMAIN COMMAND [ARGUMENT…]\n"
                                 "       xensim leaks\n"
                                 "       xensim limit DOMAIN PAGES\n";

static int usage(void)
{
    fputs(usage_text, stderr);
    return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return fputs(usage_text, stdout) < 0;
}

/*
 * Looks for the other parts beside this program in its build directory, or else where they were
 * installed, moved as this program was (DESTDIR).
 */

static bool place_try(char *place, const char *directory, const char *file)
{
    return (size_t)snprintf(place, PATH_MAX, "%s%s", directory, file) < PATH_MAX &&
           access(place, R_OK) == 0;
}

/* Finds built below the build directory, or else installed. */
static int place_find(char *place, const char *built, const char *installed)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    size_t bindir = strlen(BINDIR);
    char *slash;

    if (length < 0)
        return -errno;
    self[length] = '\0';
    slash = strrchr(self, '/');
    *slash = '\0';
    if (place_try(place, self, built))
        return 0;
    if (slash - self >= (ssize_t)bindir && strcmp(slash - bindir, BINDIR) == 0)
        slash[-(ssize_t)bindir] = '\0';
    return place_try(place, self, installed) ? 0 : -ENOENT;
}

/* Prepends value to the variable, unless it is there already. */
static void variable_prepend(const char *name, const char *value, char separator)
{
    const char *old = getenv(name);
    char *whole;

    if (old && strstr(old, value))
        return;
    if (asprintf(&whole, "%s%c%s", value, separator, old ? old : "") < 0)
        return;
    if (!old || !*old)
        whole[strlen(value)] = '\0';
    setenv(name, whole, 1);
    free(whole);
}

/* Makes the environment of programs in a domain. */
static int environment_make(void)
{
    char place[PATH_MAX];
    int error = place_find(place, "/.libs/libxensim.so", PKGLIBDIR "/libxensim.so");

    if (error)
        return error;
    variable_prepend("LD_PRELOAD", place, ':');
    /* The sanitizer insists on coming first, but does not need to. */
    variable_prepend("ASAN_OPTIONS", "verify_asan_link_order=0", ':');
    error = place_find(place, "/xensim", BINDIR "/xensim");
    if (error)
        return error;
    *strrchr(place, '/') = '\0';
    variable_prepend("PATH", place, ':');
    error = place_find(place, "/sim/xl", SIMEXECDIR "/xl");
    if (error)
        return error;
    *strrchr(place, '/') = '\0';
    variable_prepend("PATH", place, ':');
    setenv("XENSIM_DIR", SIM_DIR, 1);
    setenv("PVCHAN_STATE_DIR", "/run/pvchan/state", 1); /* not the machine's own */
    unsetenv("XENSTORED_PATH");
    unsetenv("XENSTORED_RUNDIR");
    unsetenv("XENSTORED_ROOTDIR");
    return 0;
}

/*
 * Signals that others send to us by kill() are for the command. Those of the terminal it gets
 * itself.
 */

static const int passed[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};
static volatile sig_atomic_t passed_to; /* a process id, or 0 */
static volatile sig_atomic_t passed_conn = -1;

static void signal_pass(int number, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    if (passed_conn >= 0) {
        struct sim_message message = {.op = SIM_SIGNAL, .arg = {(uint32_t)number}};

        sim_send(passed_conn, &message, NULL, NULL, 0);
    } else if (passed_to > 0 && info->si_code <= 0) {
        kill(passed_to, number);
    }
    errno = saved;
}

static void signals_pass(void)
{
    struct sigaction action = {.sa_sigaction = signal_pass, .sa_flags = SA_SIGINFO | SA_RESTART};

    for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++) {
        struct sigaction old;

        if (sigaction(passed[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(passed[i], &action, NULL);
    }
}

/*
 * For a child: a signal that comes before exec() must not run this process's handler and be lost.
 */
static void signals_default(void)
{
    for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++) {
        struct sigaction old;

        if (sigaction(passed[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            signal(passed[i], SIG_DFL);
    }
}

static void signals_block(int how)
{
    sigset_t mask;

    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++)
        sigaddset(&mask, passed[i]);
    sigprocmask(how, &mask, NULL);
}

static int status_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Waits for a child to which signals are passed on. */
static int child_wait(pid_t child)
{
    int status;

    passed_to = child;
    signals_block(SIG_UNBLOCK);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_SELF;
    passed_to = 0;
    return status_code(status);
}

/* xensim run, inside domain 0: what init scripts do, then the command, then the check for leaks. */

static void xenstored_exec(int out)
{
    const char *watches = getenv("XENSIM_WATCHES");
    int log = open(SIM_DIR "/xenstored.log", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    setsid();
    dup2(out, 1);
    dup2(log, 2);
    execl(XENSTORED, "xenstored", "--no-fork", "--output-pid", "--pid-file",
          SIM_DIR "/xenstored.pid", "--watch-nb", watches ? watches : "128", (char *)NULL);
    _exit(127);
}

/* Returns once xenstored answers. */
static int xenstored_start(void)
{
    char line[16];
    int ready[2], error = 0;
    pid_t pid;

    if (access(XENSTORED, X_OK) < 0 || pipe2(ready, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        xenstored_exec(ready[1]);
    close(ready[1]);
    if (pid < 0 || read(ready[0], line, sizeof(line)) <= 0)
        error = -ECHILD;
    close(ready[0]);
    return error;
}

static int dom0_write(void)
{
    static const struct {
        const char *path, *value;
    } nodes[] = {{"/local/domain/0/domid", "0"},
                 {"/local/domain/0/name", "Domain-0"},
                 {"/vm", ""}, /* the first domain would leave these two behind */
                 {"/libxl", ""}};
    struct xs_handle *store = xs_open(0);
    int error = store ? 0 : -errno;

    for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes) && !error; i++)
        if (!xs_write(store, XBT_NULL, nodes[i].path, nodes[i].value, strlen(nodes[i].value)))
            error = -errno;
    xs_close(store);
    return error;
}

static int command_run(char **argv)
{
    pid_t child;

    signals_block(SIG_BLOCK);
    signals_pass();
    child = fork();
    if (child < 0)
        return fail("fork", -errno);
    if (child == 0) {
        signals_default();
        signals_block(SIG_UNBLOCK);
        exec_or_exit(argv);
    }
    return child_wait(child);
}

static int dom0_main(char **argv)
{
    bool keep_going = strcmp(argv[0], "1") == 0;
    int error = xenstored_start();
    int code, leaks;

    if (error)
        return fail("cannot start " XENSTORED " (install Xen's utilities)", error);
    error = dom0_write();
    if (!error)
        error = leaks_baseline();
    if (error)
        return fail("cannot set up domain 0", error);
    code = command_run(argv + 1);
    leaks = leaks_report(true);
    if (leaks < 0)
        return fail("cannot look for leaks", leaks);
    return code == 0 && leaks > 0 && !keep_going ? EXIT_LEAK : code;
}

/* xensim run, outside */

/* Without root, maps the users in a user namespace. */
static int users_map(uid_t uid, gid_t gid)
{
    static const char *const files[] = {"setgroups", "uid_map", "gid_map"};
    char path[32], text[32];

    for (int i = 0; i < 3; i++) {
        int fd;

        snprintf(path, sizeof(path), "/proc/self/%s", files[i]);
        snprintf(text, sizeof(text), i == 0 ? "deny" : "0 %u 1", i == 1 ? uid : gid);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, strlen(text)) < 0)
            return -errno;
        close(fd);
    }
    return 0;
}

/* The hypervisor passes on signals that it gets from outside. */
static int signals_listen(void)
{
    sigset_t mask;
    int fd;

    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++)
        sigaddset(&mask, passed[i]);
    fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 && source_add(fd, sizeof(struct source), SOURCE_SIGNALS) ? 0 : -errno;
}

/* The host's process 1. */
static int host_main(char **argv)
{
    int error;

    signals_default();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "xensim-hv");
    signals_block(SIG_BLOCK);
    error = mounts_host();
    if (!error && mount("xensim", SIM_DIR, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
        error = -errno;
    if (error)
        return fail("cannot make private mounts", error);
    files_raise();
    error = handles_init();
    if (!error)
        error = signals_listen();
    if (!error)
        error = domain_boot(argv);
    return error ? fail("cannot start domain 0", error) : hypervisor_run();
}

static pid_t host_start(char **argv)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int flags = CLONE_NEWNS | CLONE_NEWPID | (uid ? CLONE_NEWUSER : 0);
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    int error;

    if (pid != 0)
        return pid < 0 ? -errno : (pid_t)pid;
    error = uid ? users_map(uid, gid) : 0;
    _exit(error ? fail("cannot be root in a user namespace", error) : host_main(argv));
}

static int run(int argc, char **argv)
{
    char self[PATH_MAX], keep_going[2] = "0";
    char **inner = calloc((size_t)argc + 4, sizeof(*inner));
    int first = 0, error;
    pid_t host;

    if (argc > first && strcmp(argv[first], "--keep-going") == 0) {
        keep_going[0] = '1';
        first++;
    }
    if (argc > first && strcmp(argv[first], "--") == 0)
        first++;
    if (argc <= first || argv[first][0] == '-' || !inner)
        return usage();
    error = environment_make();
    if (error)
        /* cppcheck-suppress memleak ; the program ends */
        return fail("cannot find libxensim.so or xl", error);
    error = readlink("/proc/self/exe", self, sizeof(self)) < 0 ? -errno : 0;
    inner[0] = "/proc/self/exe";
    inner[1] = "_dom0";
    inner[2] = keep_going;
    memcpy(inner + 3, argv + first, (size_t)(argc - first) * sizeof(*inner));
    signals_block(SIG_BLOCK);
    signals_pass();
    host = host_start(inner);
    if (host < 0)
        return fail("cannot make namespaces (needs root or user namespaces)", host);
    return child_wait(host);
}

/* xensim exec */

/* A domain's id, from its id or name. */
static int domain_number(const char *text)
{
    struct sim_info infos[SIM_DOMAINS];
    int count = sim_list(0, infos, SIM_DOMAINS);
    struct xs_handle *store;
    int found = count < 0 ? count : -ESRCH;

    store = xs_open(0);
    for (int i = 0; i < count && found < 0; i++) {
        char path[64], number[16];
        char *name;

        snprintf(number, sizeof(number), "%u", infos[i].domid);
        snprintf(path, sizeof(path), "/local/domain/%u/name", infos[i].domid);
        name = store ? xs_read(store, XBT_NULL, path, NULL) : NULL;
        if (strcmp(text, number) == 0 || strcmp(text, name ? name : infos[i].name) == 0)
            found = (int)infos[i].domid;
        free(name);
    }
    xs_close(store);
    return found;
}

static int spawn_send(int conn, int domid, char **argv)
{
    char directory[PATH_MAX];
    uint32_t argc;
    struct sim_message message = {.op = SIM_SPAWN, .arg = {(uint32_t)domid}};
    int fds[4] = {-1, 0, 1, 2};
    int error;

    if (!getcwd(directory, sizeof(directory)))
        return -errno;
    fds[0] = sim_program_pack(directory, argv, environ, &argc);
    if (fds[0] < 0)
        return fds[0];
    message.arg[1] = argc;
    error = sim_send(conn, &message, NULL, fds, 4);
    close(fds[0]);
    return error;
}

static int exec(int argc, char **argv)
{
    struct sim_message message;
    int domid, conn, error;

    if (argc < 2)
        return usage();
    error = environment_make();
    domid = error ? error : domain_number(argv[0]);
    if (domid < 0)
        return fail(argv[0], domid);
    conn = sim_connect();
    if (conn < 0)
        return fail("no host (use xensim run)", conn);
    signals_block(SIG_BLOCK);
    error = spawn_send(conn, domid, argv + 1);
    passed_conn = conn;
    signals_pass();
    signals_block(SIG_UNBLOCK);
    if (!error)
        error = sim_receive(conn, &message, NULL, 0, NULL, NULL);
    if (!error)
        error = message.result;
    if (error == -EHOSTDOWN)
        fprintf(stderr, "xensim: %s: the domain does not run (xl unpause %s)\n", argv[0], argv[0]);
    else if (error)
        return fail(argv[0], error);
    return error ? EXIT_SELF : status_code((int)message.arg[0]);
}

static int leaks(int argc, char **argv)
{
    int count;

    (void)argv;
    if (argc != 0)
        return usage();
    count = leaks_report(false);
    if (count < 0)
        return fail("cannot look for leaks", count);
    return count > 0;
}

static int limit(int argc, char **argv)
{
    struct sim_message message = {.op = SIM_LIMIT};
    unsigned long pages;
    int domid, error;
    char *end;

    if (argc != 2)
        return usage();
    errno = 0;
    pages = strtoul(argv[1], &end, 10);
    if (errno || end == argv[1] || *end || pages > UINT32_MAX / 2)
        return usage();
    domid = domain_number(argv[0]);
    message.arg[0] = (uint32_t)domid;
    message.arg[1] = (uint32_t)pages;
    error = domid < 0 ? domid : sim_call_once(&message);
    return error ? fail(argv[0], error) : 0;
}

static int dom0(int argc, char **argv)
{
    return argc < 2 ? usage() : dom0_main(argv);
}

/* Descriptors 0 to 2 are passed on, so they must be open. */
static void standard_fds_open(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"run", run},     {"exec", exec}, {"leaks", leaks}, {"limit", limit},
                    {"--help", help}, {"-h", help},   {"_dom0", dom0}};

    standard_fds_open();
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    return usage();
}
