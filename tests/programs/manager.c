/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plays systemd for one service: runs it, takes its notifications, holds the descriptors that it
 * stores, and restarts it with them after it was killed.
 *
 *   manager KILLS MILLISECONDS PROGRAM [ARGUMENT…]
 *
 * After SIGUSR2 it kills the service KILLS times, each at a random moment within that time after
 * its start, and then prints "kills done". SIGUSR1 kills it once more; SIGHUP and SIGTERM are
 * passed on. When the service ends by itself, prints "stored N" (descriptors that it left), and
 * exits with its code.
 *
 * CGROUP=DIR: makes that cgroup, marks it as delegated, and has the service run in it; or, with
 * CGROUP_SUB=NAME, in one of that name in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define STORE_MAX 1024

static struct {
    int fd;
    char name[64];
} store[STORE_MAX];
static int stored;

static int notified; /* the socket */
static sigset_t awaited;

static void die(const char *what)
{
    fprintf(stderr, "manager: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- what the service says ---- */

static void store_add(const char *name, int fd)
{
    const char *limit = getenv("FDSTORE"); /* the service learns the limit, too */

    if (stored == (limit ? (int)strtol(limit, NULL, 10) : STORE_MAX)) {
        fprintf(stderr, "manager: no room for %s\n", name);
        close(fd);
        return;
    }
    store[stored].fd = fd;
    snprintf(store[stored++].name, sizeof(store[0].name), "%s", name);
}

static void store_remove(const char *name)
{
    for (int i = stored - 1; i >= 0; i--) {
        if (strcmp(store[i].name, name) != 0)
            continue;
        close(store[i].fd);
        store[i] = store[--stored];
    }
}

static int passed_fd(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

static const char *line_value(const char *text, const char *key, char value[64])
{
    const char *at = strstr(text, key);

    value[0] = '\0';
    if (at)
        snprintf(value, 64, "%.*s", (int)strcspn(at + strlen(key), "\n"), at + strlen(key));
    return at ? value : NULL;
}

/* Returns whether there was a message. */
static int take_message(void)
{
    char text[256], name[64], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(notified, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int fd;

    if (length < 0)
        return 0;
    text[length] = '\0';
    fd = passed_fd(&message);
    line_value(text, "FDNAME=", name);
    if (strstr(text, "FDSTORE=1") && fd >= 0)
        store_add(name, fd);
    else if (strstr(text, "FDSTOREREMOVE=1"))
        store_remove(name);
    else if (fd >= 0)
        close(fd);
    return 1;
}

/* ---- the service ---- */

static void set_number(const char *variable, int number)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", number);
    setenv(variable, text, 1);
}

static const char *cgroup_of_service(void)
{
    static char sub[4096];
    const char *dir = getenv("CGROUP"), *name = getenv("CGROUP_SUB");

    snprintf(sub, sizeof(sub), "%s/%s", dir ? dir : "", name ? name : "");
    return dir ? sub : NULL;
}

static void delegate_cgroup(void)
{
    const char *dir = getenv("CGROUP");

    if (!dir)
        return;
    if ((mkdir(dir, 0755) < 0 && errno != EEXIST) ||
        setxattr(dir, "user.delegate", "1", 1, 0) < 0 ||
        (mkdir(cgroup_of_service(), 0755) < 0 && errno != EEXIST))
        die(dir);
}

static void join_cgroup(void)
{
    const char *dir = cgroup_of_service();
    char path[4200];
    int fd;

    if (!dir)
        return;
    snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        die(path);
    close(fd);
}

static void become(char **argv)
{
    static char names[STORE_MAX * 65];
    size_t length = 0;

    for (int i = 0; i < stored; i++)
        /* to a number out of the way */
        store[i].fd = fcntl(store[i].fd, F_DUPFD_CLOEXEC, 3 + stored);
    for (int i = 0; i < stored; i++) {
        if (dup2(store[i].fd, 3 + i) < 0)
            die("dup2");
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", i ? ":" : "",
                                   store[i].name);
    }
    close_range(3U + (unsigned int)stored, ~0U, 0); /* what a test's shell left open */
    set_number("LISTEN_PID", getpid());
    set_number("LISTEN_FDS", stored);
    setenv("LISTEN_FDNAMES", names, 1);
    sigprocmask(SIG_UNBLOCK, &awaited, NULL);
    join_cgroup();
    execvp(argv[0], argv);
    die(argv[0]);
}

static pid_t start(char **argv)
{
    pid_t pid = fork();

    if (pid < 0)
        die("cannot fork");
    if (pid == 0)
        become(argv);
    return pid;
}

/*
 * The kernel chooses a unique name: managers of simulated hosts, whose processes have the same ids,
 * share one name space of sockets.
 */
static void listen_for_it(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    char path[sizeof(address.sun_path) + 1];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        die("cannot listen");
    snprintf(path, sizeof(path), "@%.*s",
             (int)(length - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
    notified = fd;
    setenv("NOTIFY_SOCKET", path, 1);
}

static int64_t random_below(long limit)
{
    return random() % (limit + 1);
}

/* Waits at most that long; negative: for ever. Returns the signal, or 0 when the time is over. */
static int wait_for(int signals, int64_t microseconds)
{
    struct timespec time = {.tv_sec = microseconds / 1000000,
                            .tv_nsec = microseconds % 1000000 * 1000};
    struct pollfd fds[] = {{.fd = notified, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;

    for (;;) {
        if (ppoll(fds, 2, microseconds < 0 ? NULL : &time, NULL) == 0)
            return 0;
        if (fds[0].revents)
            take_message();
        if (fds[1].revents && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            return (int)info.ssi_signo;
    }
}

static void say(const char *what, long number)
{
    printf("%s %ld\n", what, number);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    bool killing = false;
    long kills = argc > 3 ? strtol(argv[1], NULL, 10) : -1, killed = 0;
    long most = argc > 3 ? strtol(argv[2], NULL, 10) : 0;
    int signals, status, number;
    pid_t pid;

    if (kills < 0)
        return 2;
    srandom((unsigned int)time(NULL) ^ (unsigned int)getpid());
    sigemptyset(&awaited);
    for (int i = 0; i < 6; i++)
        sigaddset(&awaited, (int[]){SIGCHLD, SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGINT}[i]);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    signals = signalfd(-1, &awaited, SFD_CLOEXEC);
    listen_for_it();
    delegate_cgroup();
    for (;;) {
        pid = start(argv + 3);
        do {
            number =
                wait_for(signals, killing && killed < kills ? random_below(most * 1000) : -1);
            killing |= number == SIGUSR2;
            if (number == 0 || number == SIGUSR1)
                kill(pid, SIGKILL);
            else if (number != SIGUSR2 && number != SIGCHLD)
                kill(pid, number);
            if (number == 0 && ++killed == kills)
                say("kills done:", killed);
        } while (waitpid(pid, &status, number == 0 || number == SIGUSR1 ? 0 : WNOHANG) <= 0);
        while (take_message()) /* messages sent before it died count */
            ;
        if (!WIFSIGNALED(status))
            break;
    }
    say("stored", stored);
    return WEXITSTATUS(status);
}
