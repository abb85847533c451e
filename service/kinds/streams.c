/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/streams.h"

#include <errno.h>
#include <stdlib.h>

#include "service/log.h"

/* ---- what went wrong ---- */

static const char *reason_text(enum stream_reason reason)
{
    static const char *const texts[STREAM_REASONS] = {
        [STREAM_UNSERVED] = "nobody serves the other end",
        [STREAM_LIMIT] = "too many streams",
        [STREAM_FAILED] = "the connection at the other end failed",
        [STREAM_LEFT] = "a program left without taking all bytes",
        [STREAM_BROKEN] = "a rule of the protocol was broken",
        [STREAM_ENDING] = "the channel is ending",
        [STREAM_DENIED] = "the other end may not be opened",
    };

    return texts[reason] ? texts[reason] : "no reason was given";
}

/* Programs that leave are an everyday matter, and so are channels that end. */
static enum log_level reason_level(enum stream_reason reason)
{
    return reason == STREAM_LEFT || reason == STREAM_ENDING ? LOG_DETAILS : LOG_ERRORS;
}

/* A new worker counts from 0. An earlier broker has logged what its worker had counted. */
static void log_failures(struct kind_streams *streams, const struct worker_status *status)
{
    uint32_t before = streams->failures_known ? streams->failures : status->failures;
    uint32_t more = status->failures < before ? status->failures : status->failures - before;
    enum stream_reason reason = (enum stream_reason)status->last_reason;

    streams->failures = status->failures;
    streams->failures_known = true;
    if (more == 1)
        connection_log(streams->connection, reason_level(reason),
                       "a stream ended with an error: %s", reason_text(reason));
    else if (more > 1)
        connection_log(streams->connection, reason_level(reason),
                       "%u streams ended with an error, the last one: %s", more,
                       reason_text(reason));
}

static enum stream_reason reason_of_error(int rc)
{
    switch (rc) {
    case -EDQUOT:
        return STREAM_LIMIT;
    case -ECONNREFUSED:
    case -ENOENT:
    case -EAGAIN:
        return STREAM_UNSERVED;
    case -EACCES:
    case -EPERM:
    case -ENOKEY:
    case -EUSERS:
        return STREAM_DENIED;
    default:
        return STREAM_FAILED;
    }
}

/* ---- the peer's streams ---- */

static void free_answer(struct stream_answer *answer)
{
    TAILQ_REMOVE(&answer->streams->answers, answer, next);
    free(answer);
}

static void cancel_answer(struct stream_answer *answer)
{
    struct kind_streams *streams = answer->streams;

    if (!answer->done && streams->ops->cancel)
        streams->ops->cancel(streams->arg, answer);
    free_answer(answer);
}

static bool is_still_asked(const struct worker_status *status, uint32_t stream)
{
    for (unsigned int i = 0; i < WORKER_ASKED_MAX; i++)
        if (status->asked[i] == stream)
            return true;
    return false;
}

static bool has_answer(const struct kind_streams *streams, uint32_t stream)
{
    const struct stream_answer *answer;

    TAILQ_FOREACH (answer, &streams->answers, next)
        if (answer->stream == stream)
            return true;
    return false;
}

/* An answer stays until the worker no longer asks for it, so that none is given twice. */
void stream_answer_done(struct stream_answer *answer, int fd, const char *why)
{
    struct kind_streams *streams = answer->streams;

    answer->done = true;
    answer->attempt = NULL;
    if (fd >= 0) {
        carrier_accept(&streams->carrier, answer->stream, fd);
        return;
    }
    connection_log(streams->connection, LOG_ERRORS, "refused a stream: %s", why);
    carrier_refuse(&streams->carrier, answer->stream, reason_of_error(fd));
}

static void refuse_answer(struct stream_answer *answer, enum stream_reason reason)
{
    answer->done = true;
    connection_log(answer->streams->connection, LOG_ERRORS, "refused a stream: %s",
                   reason_text(reason));
    carrier_refuse(&answer->streams->carrier, answer->stream, reason);
}

static void answer_stream(struct kind_streams *streams, uint32_t stream)
{
    struct stream_answer *answer = calloc(1, sizeof(*answer));

    if (!answer) {
        carrier_refuse(&streams->carrier, stream, STREAM_FAILED);
        return;
    }
    answer->streams = streams;
    answer->stream = stream;
    answer->start = streams->carrier.starts;
    TAILQ_INSERT_TAIL(&streams->answers, answer, next);
    if (!streams->ops->connect) /* a worker that an earlier broker started */
        refuse_answer(answer, STREAM_UNSERVED);
    else if (quota_try_stream(streams->connection->quota) > 0)
        refuse_answer(answer, STREAM_LIMIT);
    else
        streams->ops->connect(streams->arg, answer);
}

static void drop_answers(struct kind_streams *streams, const struct worker_status *status)
{
    struct stream_answer *answer, *next;

    for (answer = TAILQ_FIRST(&streams->answers); answer; answer = next) {
        next = TAILQ_NEXT(answer, next);
        if (answer->start != streams->carrier.starts || !is_still_asked(status, answer->stream))
            cancel_answer(answer);
    }
}

/* The status is copied, since an answer may change what it points to. */
static void on_streams_changed(void *arg)
{
    struct kind_streams *streams = arg;
    const struct worker_status *last = carrier_streams(&streams->carrier);
    struct worker_status status;

    if (!last)
        return;
    status = *last;
    log_failures(streams, &status);
    drop_answers(streams, &status);
    for (unsigned int i = 0; i < WORKER_ASKED_MAX; i++)
        if (status.asked[i] && !has_answer(streams, status.asked[i]))
            answer_stream(streams, status.asked[i]);
    if (streams->ops->has_room && carrier_can_connect(&streams->carrier))
        streams->ops->has_room(streams->arg);
}

/* ---- the channel ---- */

void kind_streams_end(struct connection *connection, const struct carrier_ends *ends)
{
    if (ends->ring_error == -EPROTO) {
        endpoint_fail_corrupt(connection->endpoint);
    } else if (ends->source_done && ends->sink_done) {
        endpoint_set_finished(connection->endpoint);
        endpoint_set_drained(connection->endpoint);
    }
}

static void on_streams_ended(void *arg)
{
    struct kind_streams *streams = arg;

    kind_streams_end(streams->connection, &streams->carrier.ends);
}

void kind_streams_init(struct kind_streams *streams, struct connection *connection,
                       const struct kind_streams_ops *ops, void *arg)
{
    *streams = (struct kind_streams){.connection = connection, .ops = ops, .arg = arg};
    TAILQ_INIT(&streams->answers);
    carrier_init(&streams->carrier, connection);
}

void kind_streams_start(struct kind_streams *streams)
{
    streams->failures_known = !endpoint_resumed(streams->connection->endpoint);
    streams->failures = 0;
    carrier_start_streams(&streams->carrier, endpoint_streams(streams->connection->endpoint),
                          streams->ops->connect ? CARRIER_ASKS : CARRIER_REFUSES,
                          on_streams_ended, on_streams_changed, streams);
}

bool kind_streams_is_on(const struct kind_streams *streams)
{
    return carrier_is_on(&streams->carrier);
}

void kind_streams_stop(struct kind_streams *streams)
{
    struct stream_answer *answer;

    while ((answer = TAILQ_FIRST(&streams->answers)))
        cancel_answer(answer);
    if (kind_streams_is_on(streams))
        carrier_stop(&streams->carrier);
}
