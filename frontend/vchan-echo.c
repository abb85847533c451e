/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan echo: sends back what comes.
 */
#include <errno.h>
#include <stdlib.h>

#include "frontend/flow.h"
#include "frontend/stop.h"
#include "frontend/vchan.h"

static ssize_t take(void *arg, void *data, size_t size)
{
    return pvchan_read(arg, data, size);
}

static ssize_t give(void *arg, const void *data, size_t size)
{
    return pvchan_write(arg, data, size);
}

/* Waits for the channel, until the peer has come for so long at most. 0, or a negative errno. */
static int echo_wait(struct pvchan *channel, int64_t deadline)
{
    struct pollfd pollfd = {.fd = pvchan_fd(channel), .events = POLLIN};
    int64_t left = deadline - clock_ms();
    int rc;

    if (deadline >= 0 && left <= 0)
        return -ETIMEDOUT;
    rc = stop_poll(&pollfd, 1, deadline < 0 ? -1 : (int)left);
    if (rc <= 0)
        return rc == -EINTR ? 0 : rc;
    return pvchan_dispatch(channel);
}

/* Until the peer ends. 0, or a negative errno. */
static int echo_until_end(struct pvchan *channel, struct flow *flow, int timeout_ms)
{
    int64_t deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;

    *flow = (struct flow){.take = take, .give = give, .arg = channel};
    while (!stop_came() && !flow_is_over(flow)) {
        bool moved = flow_take(flow) | flow_give(flow);
        int rc = moved ? 0 : echo_wait(channel, deadline);

        if (rc < 0)
            return rc;
        if (moved || pvchan_is_connected(channel))
            deadline = -1;
    }
    return flow->give_error ? flow->give_error : flow->take_error;
}

static int echo_once(const struct options *options, int argc, char **argv, struct flow *flow)
{
    struct pvchan *channel;
    int code = target_open(options, argc, argv, &channel);
    int rc;

    if (code != EXIT_DONE)
        return code;
    rc = echo_until_end(channel, flow, options->timeout_ms);
    pvchan_close(channel);
    return rc < 0 ? channel_complain(rc) : EXIT_DONE;
}

/* A server outlives clients that end badly; each gets fresh memory. */
static bool goes_on(const struct options *options, int code)
{
    return options->target == TARGET_SERVER && !options->once && !stop_came() &&
           (code == EXIT_DONE || code == EXIT_PEER || code == EXIT_CORRUPT);
}

int echo_run(const struct options *options, int argc, char **argv)
{
    struct flow *flow = malloc(sizeof(*flow));
    int code;

    if (!flow)
        return complain(EXIT_LOCAL, "no memory");
    stop_catch();
    do
        code = echo_once(options, argc, argv, flow);
    while (goes_on(options, code));
    free(flow);
    if (stop_came() && options->target == TARGET_SERVER)
        return EXIT_DONE;
    stop_die();
    return code;
}
