/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t came;

/* A call that is just about to wait would miss the signal, so the alarm repeats it. */
static void note_signal(int number)
{
    if (number != SIGALRM)
        came = number;
    alarm(1);
}

/* A signal that was ignored at the start (nohup) stays ignored. */
void stop_catch(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    struct sigaction action = {.sa_handler = note_signal}, before;

    sigaction(SIGALRM, &action, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
}

bool stop_came(void)
{
    return came != 0;
}

int stop_poll(struct pollfd *fds, unsigned int count, int timeout_ms)
{
    int rc = came ? -EINTR : poll(fds, count, timeout_ms);

    return rc == -1 ? -errno : rc;
}

void stop_die(void)
{
    if (!came)
        return;
    signal(came, SIG_DFL);
    raise(came);
}
