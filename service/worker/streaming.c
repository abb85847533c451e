/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/streaming.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <unistd.h>

/* A stream of ours: its descriptor and event, or what the peer has asked for. */
struct stream_plug {
    TAILQ_ENTRY(stream_plug) next; /* while asked for */
    struct streaming *streaming;
    struct stream_end *end;
    bool asked;
    int fd; /* -1: none yet */
    struct event event;
};

static void on_plug_event(evutil_socket_t fd, short what, void *arg)
{
    struct stream_plug *plug = arg;
    struct streaming *streaming = plug->streaming;

    (void)fd;
    if (what & EV_READ)
        stream_relay_readable(&streaming->relay, plug->end);
    if (what & EV_WRITE)
        stream_relay_writable(&streaming->relay, plug->end); /* may free plug */
    streaming_step(streaming);
}

static struct stream_plug *make_plug(struct streaming *streaming, struct stream_end *end)
{
    struct stream_plug *plug = calloc(1, sizeof(*plug));

    if (!plug)
        return NULL;
    plug->streaming = streaming;
    plug->end = end;
    plug->fd = -1;
    end->user = plug;
    return plug;
}

static int watch_plug(struct stream_plug *plug, int fd)
{
    event_assign(&plug->event, plug->streaming->base, fd, EV_READ | EV_WRITE | EV_PERSIST | EV_ET,
                 on_plug_event, plug);
    if (event_add(&plug->event, NULL) < 0)
        return -ENOMEM;
    plug->fd = fd;
    return 0;
}

static void forget_asked(struct stream_plug *plug)
{
    if (plug->asked)
        TAILQ_REMOVE(&plug->streaming->asked, plug, next);
    plug->asked = false;
}

static void free_plug(struct stream_plug *plug)
{
    forget_asked(plug);
    if (plug->fd >= 0) {
        event_del(&plug->event);
        close(plug->fd);
    }
    free(plug);
}

/* ---- for the relay ---- */

static void stream_asked(void *arg, struct stream_end *end)
{
    struct streaming *streaming = arg;
    struct stream_plug *plug;

    if (streaming->echoes) {
        stream_relay_echo(&streaming->relay, end);
        return;
    }
    if (streaming->refuses) {
        stream_relay_refuse(&streaming->relay, end, STREAM_UNSERVED);
        return;
    }
    plug = make_plug(streaming, end);
    if (!plug) {
        stream_relay_refuse(&streaming->relay, end, STREAM_FAILED);
        return;
    }
    streaming->last_id += streaming->last_id == UINT32_MAX ? 2 : 1; /* 0 means none */
    end->id = streaming->last_id;
    plug->asked = true;
    TAILQ_INSERT_TAIL(&streaming->asked, plug, next);
}

static void stream_ended(void *arg, struct stream_end *end)
{
    struct streaming *streaming = arg;

    if (end->reason) {
        streaming->failures++;
        streaming->last_reason = end->reason;
    }
    if (end->user)
        free_plug(end->user);
}

static const struct stream_relay_ops streaming_ops = {
    .asked = stream_asked,
    .ended = stream_ended,
};

/* ---- streams for descriptors ---- */

/* Returns 0, with fd watched, or a negative errno. */
static int connect_fd(struct streaming *streaming, int fd)
{
    struct stream_end *end;
    struct stream_plug *plug;
    int rc = stream_relay_connect(&streaming->relay, fd, fd, &end);

    if (rc < 0)
        return rc;
    plug = make_plug(streaming, end);
    if (plug && watch_plug(plug, fd) == 0)
        return 0;
    stream_relay_abort(&streaming->relay, end); /* frees plug */
    return -ENOMEM;
}

/* Returns whether it opened a stream. */
static bool connect_waiting(struct streaming *streaming)
{
    unsigned int done = 0;
    int rc = 0;

    while (done < streaming->waiting_count && rc != -EAGAIN) {
        rc = connect_fd(streaming, streaming->waiting[done]);
        if (rc < 0 && rc != -EAGAIN)
            close(streaming->waiting[done]);
        done += rc != -EAGAIN;
    }
    streaming->waiting_count -= done;
    for (unsigned int i = 0; i < streaming->waiting_count; i++)
        streaming->waiting[i] = streaming->waiting[i + done];
    return done > 0;
}

static void streaming_step_later(struct streaming *streaming)
{
    static const struct timeval at_once = {0};

    event_add(streaming->again, &at_once);
}

void streaming_connect(struct streaming *streaming, int fd)
{
    if (!streaming_is_on(streaming) || streaming->waiting_count == WORKER_WAITING_MAX) {
        close(fd);
        return;
    }
    streaming->waiting[streaming->waiting_count++] = fd;
    connect_waiting(streaming);
    streaming_step_later(streaming);
}

static struct stream_plug *find_asked(const struct streaming *streaming, uint32_t id)
{
    struct stream_plug *plug;

    if (!streaming_is_on(streaming))
        return NULL;
    TAILQ_FOREACH (plug, &streaming->asked, next)
        if (plug->end->id == id)
            return plug;
    return NULL;
}

void streaming_accept(struct streaming *streaming, uint32_t id, int fd)
{
    struct stream_plug *plug = find_asked(streaming, id);

    if (!plug) {
        close(fd);
        return;
    }
    if (watch_plug(plug, fd) < 0) {
        close(fd);
        streaming_refuse(streaming, id, STREAM_FAILED);
        return;
    }
    forget_asked(plug);
    stream_relay_accept(&streaming->relay, plug->end, fd, fd);
    streaming_step_later(streaming);
}

void streaming_refuse(struct streaming *streaming, uint32_t id, enum stream_reason reason)
{
    struct stream_plug *plug = find_asked(streaming, id);

    if (!plug)
        return;
    stream_relay_refuse(&streaming->relay, plug->end, reason);
    free_plug(plug);
    streaming_step_later(streaming);
}

void streaming_list_asked(const struct streaming *streaming, uint32_t ids[WORKER_ASKED_MAX])
{
    const struct stream_plug *plug =
        streaming_is_on(streaming) ? TAILQ_FIRST(&streaming->asked) : NULL;

    for (unsigned int i = 0; i < WORKER_ASKED_MAX; i++) {
        ids[i] = plug ? plug->end->id : 0;
        plug = plug ? TAILQ_NEXT(plug, next) : NULL;
    }
}

/* ---- on and off ---- */

void streaming_step(struct streaming *streaming)
{
    if (!streaming_is_on(streaming))
        return;
    if (stream_relay_step(&streaming->relay))
        streaming_step_later(streaming);
    if (streaming->waiting_count > 0 && connect_waiting(streaming))
        streaming_step_later(streaming);
    streaming->stepped(streaming->arg);
}

static void on_streaming_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    streaming_step(arg);
}

int streaming_start(struct streaming *streaming, struct event_base *base, struct channel *channel,
                    uint32_t most, bool backend, bool restarts, void (*stepped)(void *arg),
                    void *arg)
{
    *streaming = (struct streaming){.base = base, .stepped = stepped, .arg = arg};
    TAILQ_INIT(&streaming->asked);
    streaming->again = evtimer_new(base, on_streaming_again, streaming);
    if (!streaming->again || stream_relay_open(&streaming->relay, channel, most, backend, restarts,
                                               &streaming_ops, streaming) < 0) {
        streaming_stop(streaming);
        return -ENOMEM;
    }
    streaming_step_later(streaming);
    return 0;
}

bool streaming_is_on(const struct streaming *streaming)
{
    return streaming->again != NULL;
}

void streaming_stop(struct streaming *streaming)
{
    stream_relay_close(&streaming->relay);
    for (unsigned int i = 0; i < streaming->waiting_count; i++)
        close(streaming->waiting[i]);
    streaming->waiting_count = 0;
    if (streaming->again)
        event_free(streaming->again);
    streaming->again = NULL;
}
