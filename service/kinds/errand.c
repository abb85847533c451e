/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/errand.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/clock.h"

#define ANSWER_MS ((int64_t)ERRAND_SECONDS * 1000)

struct errand {
    errand_work *work;
    void *arg;
    size_t size;
    int fd;
};

struct answer {
    int rc;
    char arg[ERRAND_BYTES];
};

_Static_assert(sizeof(struct answer) <= PIPE_BUF, "an answer is written in one piece");

/* ---- in the short-lived process ---- */

static void close_between(unsigned int first, unsigned int last)
{
    if (first <= last)
        close_range(first, last, 0);
}

/* Sockets and rings of the service must not stay open as long as the work takes. */
static void close_all_but(int one, int other)
{
    unsigned int low = (unsigned int)(one < other ? one : other);
    unsigned int high = (unsigned int)(one < other ? other : one);

    if (one < 0 || other < 0)
        low = high;
    close_between(STDERR_FILENO + 1, low - 1);
    close_between(low + 1, high - 1);
    close_between(high + 1, ~0U);
}

static void do_errand(const struct errand *errand, int answer_fd)
{
    struct answer answer = {0};

    answer.rc = errand->work(errand->arg);
    memcpy(answer.arg, errand->arg, errand->size);
    _exit(write(answer_fd, &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
}

/* ---- in the service ---- */

/* Signals stay blocked in the new process: the handlers are the service's, and use its loop. */
static pid_t errand_spawn(const struct errand *errand, int answer_fd)
{
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        close_all_but(answer_fd, errand->fd);
        do_errand(errand, answer_fd);
    }
    if (pid < 0)
        pid = -errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static int await_answer(int fd)
{
    const int64_t end = clock_ms() + ANSWER_MS;
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    int64_t left = ANSWER_MS;
    int rc;

    do {
        rc = poll(&pollfd, 1, (int)left);
        left = end - clock_ms();
    } while (rc < 0 && errno == EINTR && left > 0);
    return rc > 0 ? 0 : -ETIMEDOUT;
}

static int read_answer(const struct errand *errand, int fd)
{
    struct answer answer;
    int rc = await_answer(fd);

    if (rc < 0)
        return rc;
    if (read(fd, &answer, sizeof(answer)) != sizeof(answer))
        return -EIO; /* something killed the process */
    memcpy(errand->arg, answer.arg, errand->size);
    return answer.rc;
}

bool errand_ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) != 0;
}

/*
 * Kills the process, since a stopped one would never exit. After a timeout it may hang in the
 * kernel, so does not wait for it then.
 */
static void errand_kill(pid_t pid, int rc, pid_t *left)
{
    kill(pid, SIGKILL);
    if (rc != -ETIMEDOUT)
        waitpid(pid, NULL, 0);
    else if (!errand_ended(pid))
        *left = pid;
}

static int run_errand_process(const struct errand *errand, const int ends[2], pid_t *left)
{
    pid_t pid = errand_spawn(errand, ends[1]);
    int rc;

    close(ends[1]);
    if (pid < 0)
        return pid;
    rc = read_answer(errand, ends[0]);
    errand_kill(pid, rc, left);
    return rc;
}

int errand_run(errand_work *work, void *arg, size_t size, int fd, pid_t *left)
{
    const struct errand errand = {.work = work, .arg = arg, .size = size, .fd = fd};
    int ends[2], rc;

    *left = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    rc = run_errand_process(&errand, ends, left);
    close(ends[0]);
    return rc;
}
