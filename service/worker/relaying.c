/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "service/handover/journal.h"

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;

    (void)fd;
    if (what & EV_READ)
        stream->relay.source_dry = false;
    stream_step(stream);
}

static struct event *make_event(struct event_base *base, int fd, short what, struct stream *stream)
{
    struct event *event =
        event_new(base, fd, (short)(what | EV_PERSIST | EV_ET), on_event, stream);

    if (event && event_add(event, NULL) < 0) {
        event_free(event);
        event = NULL;
    }
    return event;
}

/* A timer of no time: it comes after all others that are ready have had their turn. */
void stream_step_later(struct stream *stream)
{
    static const struct timeval at_once = {0};

    event_add(stream->again, &at_once);
}

int stream_start(struct stream *stream, struct event_base *base, struct channel *channel,
                 int source, int sink, void (*stepped)(void *arg), void *arg)
{
    short both = source == sink ? EV_READ | EV_WRITE : EV_READ;

    relay_init(&stream->relay, channel, source, sink);
    stream->source_told = stream->sink_told = false;
    stream->stepped = stepped;
    stream->arg = arg;
    stream->again = evtimer_new(base, on_event, stream);
    stream->source = make_event(base, source, both, stream);
    if (sink >= 0 && source != sink)
        stream->sink = make_event(base, sink, EV_WRITE, stream);
    if (!stream->again || !stream->source || (sink >= 0 && source != sink && !stream->sink)) {
        stream_stop(stream);
        return -ENOMEM;
    }
    stream_step_later(stream);
    return 0;
}

void stream_adopt(struct stream *stream, const struct connection *connection)
{
    stream->journal = journal_find(connection->fdstore, connection->id);
}

int stream_keep(struct stream *stream, struct connection *connection, const struct stream_end *ends,
                unsigned int count)
{
    struct fdstore *fdstore = connection->fdstore;
    const char *id = connection->id;
    unsigned int anew = (stream->journal ? 0 : JOURNAL_DESCRIPTORS) +
                        (fdstore_is_stored(fdstore, id, ends[count - 1].what) ? 0 : count);
    bool lasting = fdstore_has_room(fdstore, anew);
    int rc = lasting || stream->journal
                 ? journal_open(fdstore, id, stream->relay.channel, &stream->journal)
                 : 0;

    if (rc < 0) {
        stream_stop(stream);
        return rc;
    }
    stream->relay.way = journal_way(stream->journal);
    for (unsigned int i = 0; i < count; i++)
        if (ends[i].fd >= 0)
            fdstore_add(fdstore, id, ends[i].what, ends[i].fd, lasting);
    return 0;
}

bool stream_is_on(const struct stream *stream)
{
    return stream->source != NULL;
}

void stream_step(struct stream *stream)
{
    unsigned int wait;

    if (!stream_is_on(stream))
        return;
    wait = relay_step(&stream->relay);
    stream->relay.source_dry = wait & RELAY_SOURCE;
    if (wait & RELAY_AGAIN)
        stream_step_later(stream);
    stream->stepped(stream->arg);
}

/*
 * What cannot be mended: true if there was such a thing, and the endpoint has failed. An end that
 * takes no more may still have something to say, which is waited for.
 */
static bool pass_failure(const struct relay *relay, struct endpoint *endpoint, const char *peer)
{
    int error = relay->source_error ? relay->source_error : relay->sink_error;

    if (relay->ring_error == -EPROTO)
        endpoint_fail_corrupt(endpoint);
    else if (error && relay->source_done)
        endpoint_fail(endpoint, error, "%s did not take all bytes: %s", peer, strerror(-error));
    else
        return false;
    return true;
}

void stream_pass_ends(struct stream *stream, struct endpoint *endpoint, const char *peer)
{
    const struct relay *relay = &stream->relay;

    if (pass_failure(relay, endpoint, peer))
        return;
    if (relay->sink_done && !stream->sink_told) {
        stream->sink_told = true;
        shutdown(relay->sink, relay->sink_error ? SHUT_RD : SHUT_WR);
        if (relay->sink_error)
            stream_step_later(stream);
        else
            endpoint_set_drained(endpoint);
    }
    if (stream_is_on(stream) && relay->source_done && !stream->source_told) {
        stream->source_told = true;
        endpoint_set_finished(endpoint);
    }
}

static void drop_event(struct event **event)
{
    if (*event)
        event_free(*event);
    *event = NULL;
}

void stream_divert(struct stream *stream, int sink)
{
    drop_event(&stream->sink);
    stream->relay.sink = sink;
    stream->relay.sink_done = false;
    stream->relay.sink_error = 0;
    stream_step_later(stream);
}

static void turn_off(struct stream *stream)
{
    drop_event(&stream->source);
    drop_event(&stream->sink);
    drop_event(&stream->again);
}

void stream_stop(struct stream *stream)
{
    turn_off(stream);
    journal_close(stream->journal);
    stream->journal = NULL;
}

void stream_pause(struct stream *stream)
{
    if (stream_holds(stream) > 0)
        turn_off(stream);
    else
        stream_stop(stream);
}

uint32_t stream_holds(const struct stream *stream)
{
    return journal_holds(stream->journal);
}

uint32_t stream_brings(const struct stream *stream)
{
    return journal_brings(stream->journal);
}
