/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vchan echo: sends back what comes, on any number of channels. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "cli/stop.h"
#include "cli/command.h"
#include "state/clock.h"

/*
 * Copies before another channel is served: enough for a full ring that wraps around. Without a
 * limit a peer that answers at once would keep it for ever.
 */
#define TURN_COPIES 4

/* Events requested at a time. */
#define EVENTS_MAX 64

struct echo {
    const struct options *options;
    const struct target_words *words;
    struct pvchan_group *group;
    struct line *lines;
    int open; /* channels that are open */
    int code; /* exit code of the first that failed */
};

/* One channel. */
struct line {
    struct echo *echo;
    int index; /* its position in the arguments */
    struct pvchan *channel;
    int64_t deadline; /* when a server's client must have come; negative: no limit, or it came */
};

/* ---- bytes ---- */

/* Copies what is contiguous in both rings. Returns the number of bytes, or as pvchan_peek(). */
static ssize_t copy_span(struct pvchan *channel)
{
    struct iovec in[2], out[2];
    ssize_t bytes = pvchan_peek(channel, 1, in);
    ssize_t room = bytes > 0 ? pvchan_reserve(channel, 1, out) : 0;
    int rc;

    if (bytes <= 0 || room < 0)
        return bytes <= 0 ? bytes : room;
    bytes = (ssize_t)MIN(in[0].iov_len, out[0].iov_len);
    memcpy(out[0].iov_base, in[0].iov_base, (size_t)bytes);
    pvchan_consume(channel, (size_t)bytes);
    rc = pvchan_commit(channel, (size_t)bytes);
    return rc < 0 ? rc : bytes;
}

/* Copies one share. Returns -EAGAIN: more may come; 0: the peer ended; or the channel's error. */
static ssize_t copy_turn(struct pvchan *channel)
{
    for (int i = 0; i < TURN_COPIES; i++) {
        ssize_t bytes = copy_span(channel);

        if (bytes <= 0)
            return bytes;
    }
    pvchan_requeue(channel);
    return -EAGAIN;
}

/* ---- lines ---- */

static void note(struct echo *echo, int code)
{
    if (echo->code == EXIT_DONE)
        echo->code = code;
}

static void line_open(struct line *line)
{
    struct echo *echo = line->echo;
    const struct options *options = echo->options;
    int rc = target_open_in(options, echo->words, line->index, echo->group, &line->channel);

    if (rc < 0) {
        note(echo, target_complain(options, echo->words, line->index, rc));
        return;
    }
    pvchan_set_user_data(line->channel, line);
    line->deadline = options->target == TARGET_SERVER && options->timeout_ms >= 0
                         ? clock_ms() + options->timeout_ms
                         : -1;
    echo->open++;
}

/* A server survives clients that fail; each client gets fresh rings. */
static bool goes_on(const struct options *options, int code)
{
    return options->target == TARGET_SERVER && !options->once &&
           (code == EXIT_DONE || code == EXIT_PEER || code == EXIT_CORRUPT);
}

static void line_end(struct line *line, ssize_t error)
{
    struct echo *echo = line->echo;
    const char *which = echo->words->count > 1 ? echo->words->paths[line->index] : NULL;
    bool failed = pvchan_state(line->channel) == PVCHAN_STATE_FAILED;
    int opened = failed ? pvchan_error(line->channel) : 0, code = EXIT_DONE;

    pvchan_close(line->channel);
    line->channel = NULL;
    echo->open--;
    if (opened < 0)
        code = target_complain(echo->options, echo->words, line->index, opened);
    else if (error < 0)
        code = channel_complain(which, (int)error);
    if (goes_on(echo->options, code))
        line_open(line);
    else
        note(echo, code);
}

static void line_serve(struct line *line)
{
    ssize_t rc;

    if (pvchan_state(line->channel) == PVCHAN_STATE_CONNECTED)
        line->deadline = -1;
    rc = copy_turn(line->channel);
    if (rc != -EAGAIN)
        line_end(line, rc);
}

/* ---- all of them ---- */

/*
 * Ends the channels whose deadline has passed. Returns the milliseconds until the next deadline, or
 * -1.
 */
static int check_deadlines(struct echo *echo)
{
    int64_t now, next = -1;

    if (echo->options->target != TARGET_SERVER || echo->options->timeout_ms < 0)
        return -1;
    now = clock_ms();
    for (int i = 0; i < echo->words->count; i++) {
        struct line *line = &echo->lines[i];

        if (!line->channel || line->deadline < 0)
            continue;
        if (line->deadline <= now)
            line_end(line, -ETIMEDOUT);
        else if (next < 0 || line->deadline - now < next)
            next = line->deadline - now;
    }
    return (int)next;
}

/* Waits for events or the next deadline. Returns 0, or a negative errno. */
static int echo_sleep(struct echo *echo)
{
    struct pollfd pollfd = {.fd = pvchan_group_fd(echo->group), .events = POLLIN};
    int timeout_ms = check_deadlines(echo);
    int rc = echo->open > 0 ? stop_poll(&pollfd, 1, timeout_ms) : 0;

    return rc < 0 && rc != -EINTR ? rc : 0;
}

static int echo_all(struct echo *echo)
{
    for (int i = 0; i < echo->words->count; i++) {
        echo->lines[i] = (struct line){.echo = echo, .index = i};
        line_open(&echo->lines[i]);
    }
    while (echo->open > 0 && !stop_came()) {
        struct pvchan_event events[EVENTS_MAX];
        int rc = pvchan_group_wait(echo->group, events, EVENTS_MAX, 0);

        for (int i = 0; i < rc; i++) /* each handler closes only its own channel */
            line_serve(pvchan_user_data(events[i].handle));
        if (rc == 0)
            rc = echo_sleep(echo);
        if (rc < 0 && rc != -EINTR)
            return channel_complain(NULL, rc);
    }
    return echo->code;
}

int echo_run(const struct options *options, int argc, char **argv)
{
    struct target_words words;
    struct echo echo = {.options = options, .words = &words};
    int code = target_parse(options, argc, argv, &words);
    int rc = code == EXIT_DONE ? pvchan_group_open(0, &echo.group) : 0;

    if (code != EXIT_DONE)
        return code;
    if (rc < 0)
        return target_complain(options, &words, 0, rc);
    stop_catch();
    echo.lines = calloc((size_t)words.count, sizeof(*echo.lines));
    code = echo.lines ? echo_all(&echo) : complain(EXIT_LOCAL, "out of memory");
    pvchan_group_close(echo.group);
    free(echo.lines);
    if (stop_came() && options->target == TARGET_SERVER)
        return EXIT_DONE;
    stop_die();
    return code;
}
