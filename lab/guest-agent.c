/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest-agent: runs in a guest of the lab and carries out what guest-exec asks for, with a process
 * for each session. See lab/exec-link.h.
 */
#include "config.h"
#include "lab/exec-link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* the size of a value in xenstore, in which each argument takes at least its NUL */
#define ARGS_MAX 4096

struct session {
    struct xs_handle *xs;
    char base[EXEC_PATH_MAX];
    struct stream in, out, err;
    int child_fd; /* readable once the command has ended */
    pid_t child;
    int exit_code; /* -1 while the command runs */
};

static struct xs_handle *store_open(void)
{
    struct xs_handle *xs = xs_open(0);

    if (!xs)
        die(255, "xenstore");
    return xs;
}

/* Splits NUL-separated arguments in place. */
static void args_split(char *text, size_t len, char *argv[ARGS_MAX + 1])
{
    int argc = 0;

    for (size_t at = 0; at < len && argc < ARGS_MAX; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    argv[argc] = NULL;
}

static _Noreturn void command_exec(char **argv, int in, int out, int err)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    closefrom(3);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    die(errno == ENOENT ? 127 : 126, argv[0]);
}

static void command_start(struct session *s)
{
    unsigned int len;
    char path[EXEC_PATH_MAX + 8], *argv[ARGS_MAX + 1], *text;
    int in[2], out[2], err[2];

    snprintf(path, sizeof(path), "%s/cmd", s->base);
    text = xs_read(s->xs, XBT_NULL, path, &len);
    if (!text || len == 0)
        die(255, path);
    args_split(text, len, argv);
    if (pipe(in) || pipe(out) || pipe(err))
        die(255, "pipe");
    s->child = fork();
    if (s->child < 0)
        die(255, "fork");
    if (s->child == 0)
        command_exec(argv, in[0], out[1], err[1]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    free(text);
    stream_init(&s->in, s->xs, s->base, "in", in[1], CHUNK_FROM_DOM0);
    stream_init(&s->out, s->xs, s->base, "out", out[0], CHUNK_FROM_GUEST);
    stream_init(&s->err, s->xs, s->base, "err", err[0], CHUNK_FROM_GUEST);
}

static bool command_running(const struct session *s)
{
    return s->exit_code < 0;
}

/* The command's end ends its output, even if a process that it left behind holds it open. */
static void command_reap(struct session *s)
{
    int status;

    if (!command_running(s) || waitpid(s->child, &status, WNOHANG) != s->child)
        return;
    s->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    s->out.last = s->err.last = true;
}

static void command_kill(struct session *s)
{
    char path[EXEC_PATH_MAX + 8], *text;

    snprintf(path, sizeof(path), "%s/kill", s->base);
    text = xs_read(s->xs, XBT_NULL, path, NULL);
    if (text && command_running(s))
        kill(-s->child, (int)strtol(text, NULL, 10));
    free(text);
}

/* A new watch fires once at the start, so earlier changes are seen then. */
static void session_changed(struct session *s, const char *path)
{
    const char *name = strrchr(path, '/');
    bool first = strcmp(path, s->base) == 0;

    if (first || stream_at(&s->in, path))
        stream_receive(&s->in);
    if (stream_at(&s->out, path))
        stream_send(&s->out);
    if (stream_at(&s->err, path))
        stream_send(&s->err);
    if (first || strcmp(name, "/kill") == 0)
        command_kill(s);
}

static void session_drain_watches(struct session *s)
{
    char **event;

    while ((event = xs_check_watch(s->xs))) {
        session_changed(s, event[XS_WATCH_PATH]);
        free(event);
    }
}

static void session_run(struct session *s)
{
    struct signalfd_siginfo info;

    while (command_running(s) || !s->out.ended || !s->err.ended) {
        struct pollfd polls[] = {{.fd = xs_fileno(s->xs), .events = POLLIN},
                                 {.fd = s->child_fd, .events = POLLIN},
                                 stream_receiver_poll(&s->in),
                                 stream_sender_poll(&s->out),
                                 stream_sender_poll(&s->err)};

        if (poll(polls, 5, -1) < 0 && errno != EINTR)
            die(255, "poll");
        if (polls[1].revents && read(s->child_fd, &info, sizeof(info)) > 0)
            command_reap(s);
        if (polls[0].revents)
            session_drain_watches(s);
        if (polls[2].revents)
            stream_receive(&s->in);
        if (polls[3].revents || s->out.last)
            stream_send(&s->out);
        if (polls[4].revents || s->err.last)
            stream_send(&s->err);
    }
}

static int session_main(const char *number)
{
    struct session s = {.xs = store_open(), .exit_code = -1};
    char path[EXEC_PATH_MAX + 8], text[16];
    sigset_t child;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* the agent ignores it, and that is inherited */
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    s.child_fd = signalfd(-1, &child, SFD_CLOEXEC);
    snprintf(s.base, sizeof(s.base), EXEC_DIR "/%s", number);
    if (s.child_fd < 0 || !xs_watch(s.xs, s.base, "session"))
        die(255, s.base);
    command_start(&s);
    session_run(&s);
    snprintf(path, sizeof(path), "%s/exit", s.base);
    snprintf(text, sizeof(text), "%d", s.exit_code);
    xs_write(s.xs, XBT_NULL, path, text, strlen(text));
    xs_close(s.xs);
    return 0;
}

/* The session's number if path is that of its command, "data/exec/N/cmd". */
static const char *session_number(char *path)
{
    char *number = path + strlen(EXEC_DIR) + 1, *end;

    if (strncmp(path, EXEC_DIR "/", strlen(EXEC_DIR) + 1) != 0)
        return NULL;
    end = strchr(number, '/');
    if (!end || strcmp(end, "/cmd") != 0)
        return NULL;
    *end = '\0';
    return number;
}

static bool node_exists(struct xs_handle *xs, const char *path)
{
    char *text = xs_read(xs, XBT_NULL, path, NULL);

    free(text);
    return text != NULL;
}

/*
 * Removing a session also fires the watch of its cmd, so check that it exists before starting it.
 */
static void session_start(struct xs_handle *xs, char *path)
{
    const char *number;

    if (!node_exists(xs, path))
        return;
    number = session_number(path);
    if (number && fork() == 0) {
        execl("/proc/self/exe", program_invocation_short_name, number, NULL);
        die(255, "/proc/self/exe");
    }
}

int main(int argc, char **argv)
{
    struct xs_handle *xs;

    if (argc > 1)
        return session_main(argv[1]);
    signal(SIGCHLD, SIG_IGN);
    xs = store_open();
    if (!xs_watch(xs, EXEC_DIR, "exec"))
        die(255, EXEC_DIR);
    for (;;) {
        unsigned int count;
        char **event = xs_read_watch(xs, &count);

        if (!event)
            die(255, "xenstore");
        /* after a restore the guest's data/ is empty, and the watch fires by itself */
        if (!node_exists(xs, EXEC_DIR "/ready"))
            xs_write(xs, XBT_NULL, EXEC_DIR "/ready", "1", 1);
        session_start(xs, event[XS_WATCH_PATH]);
        free(event);
    }
}
