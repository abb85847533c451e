/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's opaque handles from the inside, for those of its files that open one.
 *
 * Every channel is in a group: one that the program made for many, or one of its own.
 */
#ifndef LIBPVCHAN_HANDLE_H
#define LIBPVCHAN_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "libpvchan/pvchan.h"
#include "state/endpoint.h"
#include "state/watches.h"
#include "vchan/rings.h"

/* Marks what programs may call; all else is hidden. */
#define EXPORT __attribute__((visibility("default")))

struct channel_name;

struct pvchan_group {
    struct store *store;
    struct xen *xen;
    int poll_fd;   /* for the program to poll: an epoll over event channels, xenstore, timer_fd */
    bool polled;   /* poll_fd includes the event channels */
    int timer_fd;  /* for deadlines; -1: not needed yet */
    int64_t alarm; /* when timer_fd expires, by clock_ms(); negative: never */
    bool store_lost; /* the connection to xenstored broke */
    bool loss_unreported; /* the program does not know yet */
    bool alone;    /* it belongs to its only channel, and is freed with it */
    struct watches watches;
    TAILQ_HEAD(, pvchan) channels;
    TAILQ_HEAD(, pvchan) queue; /* handles to serve */
    unsigned int queued;
    unsigned int turns; /* handles left to serve in this round */

    /* libpvchan/open.c: the names listed last, until the program waits. */
    struct channel_name *names;
    size_t names_count;
};

/*
 * There are three kinds: named (endpoint), plain server (plain, withdraw), plain client (plain). A
 * named handle's channel comes and goes with its endpoint's rings, and may go before the handle
 * does.
 */
struct pvchan {
    struct pvchan_group *group;
    TAILQ_ENTRY(pvchan) member;
    TAILQ_ENTRY(pvchan) turn;
    struct watched_place places[2];
    bool queued;
    bool look;     /* xenstore may have changed for it */
    bool news;     /* the program may have to be told of an event */
    bool requeued; /* the program called pvchan_requeue() */

    /* What was reported to the program last; anything new is an event. */
    enum pvchan_state reported_state;
    bool reported_open;
    bool lacks_room; /* a write returned -EAGAIN, and PVCHAN_WRITABLE has not been reported since */

    /*
     * While opening: proceeds as far as is possible now. Returns 0 when open, -EINPROGRESS, or
     * another negative errno if opening failed.
     */
    int (*advance)(struct pvchan *channel);
    int64_t deadline;
    int opened; /* 0, -EINPROGRESS, or why opening failed */
    char *reason; /* why opening failed or the channel ended; NULL: the errno says all */

    unsigned int flags;
    bool nonblock; /* by flags, or because it is in a group */
    int timeout_ms; /* for calls that read or write; -1: no limit */
    unsigned int peer;
    void *data; /* the program's */

    struct endpoint *endpoint;
    struct channel_rings rings; /* of a named channel */
    enum machine_role role;
    struct channel *plain;
    void (*withdraw)(struct pvchan *channel); /* plain server: removes its keys at path */
    char *path;        /* of a plain channel */
    size_t path_above; /* length of the part of path that existed before; we made the rest */
    uint32_t read_size; /* copied here, since the channel may go before the handle */
    uint32_t write_size;

    bool over;         /* the end was read; end is the result of further reads */
    ssize_t end;       /* 0 or a negative errno */
    bool shut;         /* our side has ended writing */
};

/*
 * Makes an empty handle, which pvchan_close() frees in any state. group: calls on the handle never
 * wait, whatever the flags; NULL: it gets a group of its own. -EINVAL: unknown flags.
 */
int handle_make(struct pvchan_group *group, unsigned int flags, struct pvchan **channel);

/*
 * Finishes every call that opens. rc is the result so far; if it is 0, handle->advance does the
 * rest, or is NULL if nothing is left. Waits for that, or, in a group, returns at once. On failure
 * frees the handle, and *out is not set.
 */
int handle_open(struct pvchan *channel, int rc, int timeout_ms, struct pvchan **out);

/* The deadline that lies timeout_ms ahead, by clock_ms(); negative: none. */
int64_t handle_deadline(int timeout_ms);

/*
 * Waits until the handle's fd is readable, and dispatches. Only for a handle in a group of its own.
 * Returns 0, -ETIMEDOUT, -EINTR, or another negative errno.
 */
int handle_wait(struct pvchan *channel, int64_t deadline);

/*
 * Bytes that can be read, or room to write: at least enough, or the results of pvchan_peek() and
 * pvchan_reserve() on a handle that does not wait. With -EAGAIN the peer has been asked to signal.
 */
ssize_t handle_readable(struct pvchan *handle, size_t enough);
ssize_t handle_writable(struct pvchan *handle, size_t enough);

/*
 * The result of reading or writing a handle without a channel: -EAGAIN if it is not open yet, the
 * error of a failed opening, or end.
 */
int handle_lacks_channel(const struct pvchan *handle, int end);

/*
 * Records that the channel ended for good, with 0 or -EPROTO. Returns what the program gets
 * instead: a named handle knows from xenstore whether the end was a clean one.
 */
ssize_t handle_reach_end(struct pvchan *handle, ssize_t end);

/* Polls for a short while until enough comes, unless the handle has PVCHAN_NOSPIN. */
void handle_spin(struct pvchan *handle, enum channel_wait wait, size_t enough);

/* The enum pvchan_events that hold now. If none does, the peer has been asked to signal. */
unsigned int handle_events(struct pvchan *handle);

/* Records that these events were reported to the program. */
void handle_set_reported(struct pvchan *handle, unsigned int events);

/* ---- reasons: libpvchan/reason.c ---- */

/* Sets why the handle could not be opened, or ended. If memory is short, only the errno remains. */
void handle_explain(struct pvchan *handle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets this thread's pvchan_open_reason() for a failure without a handle. Returns rc. */
int open_failed(int rc, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets it to the reason of a handle about to be closed, or else to the text of rc. */
void open_failed_with(const struct pvchan *handle, int rc);

/*
 * Watches a directory for this handle. When it changes, the endpoint looks and advance() is called.
 */
int handle_watch(struct pvchan *channel, const char *dir);
void handle_unwatch(struct pvchan *channel);

/*
 * Queues the handle, since the program may have to be told of an event. May be called from
 * xen_dispatch().
 */
void handle_queue(struct pvchan *channel);

/* The handle's current channel, or NULL. */
static inline struct channel *handle_channel(const struct pvchan *handle)
{
    if (handle->opened < 0)
        return NULL; /* not open yet, or never opened */
    if (!handle->endpoint)
        return handle->plain;
    return endpoint_is_connected(handle->endpoint) ? handle->rings.channel : NULL;
}

#endif
