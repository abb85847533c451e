/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a program. Steps are calls that change xenstore or the program's files. At step
 * AT_STEP this does AT_STEP_DO and records that in AT_STEP_FILE: a number is an errno with which
 * the call fails; anything else is a shell command, which runs to its end before the call.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

static unsigned long steps;

/* Steps inside a transaction take effect at its end. With AT_STEP_OUTER they do not count. */
static bool is_inner(xs_transaction_t t)
{
    return t != XBT_NULL && getenv("AT_STEP_OUTER");
}

static void run(const char *command)
{
    pid_t pid = fork();

    if (pid == 0) {
        unsetenv("AT_STEP");
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/*
 * Whether this is the step; if so, records it in AT_STEP_FILE. Not in programs that this one
 * starts.
 */
static bool is_now(void)
{
    const char *when = getenv("AT_STEP"), *file = getenv("AT_STEP_FILE");
    int note;

    if (!when || !file || strcmp(program_invocation_short_name, "xl-vchan") != 0 ||
        ++steps != strtoul(when, NULL, 10))
        return false;
    note = open(file, O_WRONLY | O_CREAT, 0600);
    dprintf(note, "reached\n");
    close(note);
    return true;
}

/* Counts a step. Returns false if the call must fail with errno. */
static bool step(void)
{
    const char *what = getenv("AT_STEP_DO");
    char *end;
    long error;

    if (!is_now() || !what)
        return true;
    error = strtol(what, &end, 10);
    if (*end != '\0') {
        run(what);
        return true;
    }
    errno = (int)error;
    return false;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned int len)
{
    return (is_inner(t) || step()) && REAL(xs_write)(h, t, path, data, len);
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return (is_inner(t) || step()) && REAL(xs_mkdir)(h, t, path);
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return (is_inner(t) || step()) && REAL(xs_rm)(h, t, path);
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
                        struct xs_permissions *perms, unsigned int count)
{
    return (is_inner(t) || step()) && REAL(xs_set_permissions)(h, t, path, perms, count);
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    return step() ? REAL(xs_transaction_start)(h) : XBT_NULL;
}

/* A transaction whose end fails has not happened. */
bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    int error;

    if (abort || step())
        return REAL(xs_transaction_end)(h, t, abort);
    error = errno;
    REAL(xs_transaction_end)(h, t, true);
    errno = error;
    return false;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    return step() && REAL(xs_watch)(h, path, token);
}

FILE *fopen(const char *path, const char *mode)
{
    return mode[0] == 'r' || step() ? REAL(fopen)(path, mode) : NULL;
}

int fsync(int fd)
{
    return step() ? REAL(fsync)(fd) : -1;
}

int rename(const char *from, const char *to)
{
    return step() ? REAL(rename)(from, to) : -1;
}
