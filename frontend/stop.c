/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "frontend/stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static const int signals[] = {SIGHUP, SIGINT, SIGTERM};

static volatile sig_atomic_t came;

/* A signal just before a call begins to wait would be missed by it: the alarm comes again. */
static void note(int number)
{
    if (number != SIGALRM)
        came = number;
    alarm(1);
}

/* A signal that was ignored (nohup) stays so. */
static void catch (int number)
{
    struct sigaction action = {.sa_handler = note}, before;

    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

void stop_catch(void)
{
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        catch (signals[i]);
    catch (SIGALRM);
}

bool stop_came(void)
{
    return came != 0;
}

int stop_poll(struct pollfd *fds, unsigned int count, int timeout_ms)
{
    struct timespec time = {.tv_sec = timeout_ms / 1000,
                            .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    sigset_t caught, outside;
    int rc;

    sigemptyset(&caught);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaddset(&caught, signals[i]);
    sigprocmask(SIG_BLOCK, &caught, &outside);
    rc = came ? -EINTR : ppoll(fds, count, timeout_ms < 0 ? NULL : &time, &outside);
    if (rc == -1)
        rc = -errno;
    sigprocmask(SIG_SETMASK, &outside, NULL);
    return rc;
}

void stop_die(void)
{
    if (!came)
        return;
    signal(came, SIG_DFL);
    raise(came);
}

int64_t clock_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}
