/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan cat: copies standard input to the channel and the channel to standard output at the same
 * time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/flow.h"
#include "cli/stdio.h"
#include "cli/stop.h"
#include "cli/command.h"
#include "state/clock.h"

/*
 * Without --linger: how long, after the end of input, a plain vchan's peer may be silent; depends
 * on whether it has answered what was sent last.
 */
#define ANSWERED_SECONDS   0.5
#define UNANSWERED_SECONDS 10

/* The value of cat_result() before the end. */
#define NOT_YET (-1)

struct cat {
    struct pvchan *channel;
    const struct options *options;
    struct stdio input;
    struct stdio output;
    struct flow sending;
    struct flow receiving;
    bool shut;     /* the end of input was passed on */
    bool met;      /* the peer has come */
    bool heard;    /* the peer has sent something */
    bool answered; /* it has done so since we last sent */
    int64_t since; /* start time, or when something last came after the end of input */
};

static ssize_t take_input(void *arg, void *data, size_t size)
{
    struct cat *cat = arg;

    return stdio_read(&cat->input, data, size);
}

static ssize_t give_output(void *arg, const void *data, size_t size)
{
    struct cat *cat = arg;

    return stdio_write(&cat->output, data, size);
}

static ssize_t take_channel(void *arg, void *data, size_t size)
{
    struct cat *cat = arg;

    return pvchan_read(cat->channel, data, size);
}

static ssize_t give_channel(void *arg, const void *data, size_t size)
{
    struct cat *cat = arg;

    return pvchan_write(cat->channel, data, size);
}

/* ---- ends ---- */

static bool cat_is_plain(const struct cat *cat)
{
    return cat->options->target != TARGET_NAMED;
}

/* A plain vchan after the end of input continues while bytes come. */
static bool cat_lingers(const struct cat *cat)
{
    return cat_is_plain(cat) && cat->met && flow_is_over(&cat->sending) &&
           !flow_is_loaded(&cat->receiving);
}

static int cat_linger_ms(const struct cat *cat)
{
    if (cat->options->linger_ms != LINGER_DEFAULT)
        return cat->options->linger_ms;
    return (int)(1000 * (cat->answered ? ANSWERED_SECONDS : UNANSWERED_SECONDS));
}

/* How long to wait for the peer to come, or to send something, in milliseconds; -1: for ever. */
static int cat_timeout(const struct cat *cat)
{
    int ms = cat_lingers(cat) ? cat_linger_ms(cat) : cat->met ? -1 : cat->options->timeout_ms;
    int64_t left = cat->since + ms - clock_ms();

    if (ms < 0)
        return -1;
    return left < 0 ? 0 : (int)left;
}

static void cat_pass_ends(struct cat *cat)
{
    if (flow_is_over(&cat->sending) && !cat->shut) {
        cat->shut = true;
        if (!cat_is_plain(cat))
            pvchan_shutdown(cat->channel);
    }
    if (flow_is_over(&cat->receiving))
        stdio_close(&cat->output);
}

/* The peer has ended and its bytes are written. Does it still take ours? */
static int cat_received_all(struct cat *cat)
{
    bool gone = cat_is_plain(cat) || cat->sending.give_error ||
                pvchan_state(cat->channel) == PVCHAN_STATE_ENDED;

    if (cat->receiving.take_error)
        return channel_complain(NULL, cat->receiving.take_error);
    if (gone && flow_is_loaded(&cat->sending))
        return channel_complain(NULL, -EPIPE);
    return gone || flow_is_over(&cat->sending) ? EXIT_DONE : NOT_YET;
}

/*
 * The peer was silent for long enough. A peer that only takes bytes looks the same, so it is no
 * error.
 */
static int cat_end_silence(const struct cat *cat)
{
    if (cat->heard || cat->options->linger_ms != LINGER_DEFAULT)
        return EXIT_DONE;
    return complain(EXIT_DONE, "no answer within %d seconds after the end of input (see --linger)",
                    UNANSWERED_SECONDS);
}

/* Returns the exit code, or NOT_YET. */
static int cat_result(struct cat *cat)
{
    if (cat->receiving.give_error)
        return complain(EXIT_LOCAL, "cannot write to standard output: %s",
                        strerror(-cat->receiving.give_error));
    if (cat->sending.take_error)
        return complain(EXIT_LOCAL, "cannot read standard input: %s",
                        strerror(-cat->sending.take_error));
    if (flow_is_over(&cat->receiving))
        return cat_received_all(cat);
    if (cat_timeout(cat) != 0)
        return NOT_YET;
    return cat_lingers(cat) ? cat_end_silence(cat) : channel_complain(NULL, -ETIMEDOUT);
}

/* ---- moving ---- */

/* Moves what can be moved now. Returns whether anything changed. */
static bool cat_move(struct cat *cat)
{
    bool took = flow_take(&cat->sending), gave = flow_give(&cat->sending);
    bool heard = flow_take(&cat->receiving), sent = took || gave;
    bool received = flow_give(&cat->receiving) || heard;
    bool came =
        !cat->met && (received || pvchan_state(cat->channel) == PVCHAN_STATE_CONNECTED);

    cat->met |= came;
    cat->heard |= heard;
    cat->answered = heard || (cat->answered && !gave);
    if (sent || received || came)
        cat->since = cat->met ? clock_ms() : cat->since;
    cat_pass_ends(cat);
    return sent || received || came;
}

/* Waits for the channel and for the flows. Returns 0, or a negative errno. */
static int cat_wait(struct cat *cat)
{
    bool hungry = !cat->sending.ended && !flow_is_loaded(&cat->sending) && !cat->sending.give_error;
    struct pollfd fds[] = {
        {.fd = pvchan_fd(cat->channel), .events = POLLIN},
        {.fd = hungry ? cat->input.fd : -1, .events = POLLIN},
        {.fd = flow_is_loaded(&cat->receiving) ? cat->output.fd : -1, .events = POLLOUT},
    };
    int rc = stop_poll(fds, 3, cat_timeout(cat));

    if (rc == -EINTR)
        return 0;
    return rc > 0 && fds[0].revents ? pvchan_dispatch(cat->channel) : rc < 0 ? rc : 0;
}

static int cat_until_over(struct cat *cat)
{
    while (!stop_came()) {
        bool moved = cat_move(cat);
        int result = cat_result(cat);
        int rc = result == NOT_YET && !moved ? cat_wait(cat) : 0;

        if (rc < 0)
            return channel_complain(NULL, rc);
        if (result != NOT_YET)
            return result;
    }
    return EXIT_LOCAL;
}

static struct cat *cat_make(const struct options *options, struct pvchan *channel)
{
    struct cat *cat = calloc(1, sizeof(*cat));

    if (!cat)
        return NULL;
    cat->channel = channel;
    cat->options = options;
    cat->input = stdio_open(STDIN_FILENO, O_RDONLY);
    cat->output = stdio_open(STDOUT_FILENO, O_WRONLY);
    cat->sending.take = take_input;
    cat->sending.give = give_channel;
    cat->receiving.take = take_channel;
    cat->receiving.give = give_output;
    cat->sending.arg = cat->receiving.arg = cat;
    cat->since = clock_ms();
    return cat;
}

int cat_run(const struct options *options, int argc, char **argv)
{
    struct pvchan *channel;
    struct cat *cat;
    int code;

    stop_catch();
    code = target_open(options, argc, argv, &channel);
    if (code == EXIT_DONE) {
        cat = cat_make(options, channel);
        code = cat ? cat_until_over(cat) : complain(EXIT_LOCAL, "out of memory");
        free(cat);
        pvchan_close(channel);
    }
    stop_die();
    return code;
}
