/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is inside the library's opaque handles, for the parts of the library that open one.
 *
 * Every channel is in a group: one that its program made, for any number, or one of its own.
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

/* What programs may call: all else is hidden. */
#define EXPORT __attribute__((visibility("default")))

struct channel_name;

struct pvchan_group {
    struct store *store;
    struct xen *xen;
    int poll_fd;   /* what the program polls: an epoll over event channels, xenstore, timer_fd */
    bool polled;   /* the event channels, too, are in it */
    int timer_fd;  /* for deadlines; -1: none was needed yet */
    int64_t alarm; /* when it goes off; negative: it does not */
    bool store_lost;   /* xenstored went away */
    bool loss_untold;  /* and the program does not know yet */
    bool alone;    /* it is its only channel's, and goes with it */
    struct watches watches;
    TAILQ_HEAD(, pvchan) channels;
    TAILQ_HEAD(, pvchan) queue; /* those whose turn comes */
    unsigned int queued;
    unsigned int turns; /* so many, before it looks for events again */

    /* libpvchan/open.c: the names that there were when it looked, until something is waited for. */
    struct channel_name *names;
    size_t names_count;
};

/*
 * Three kinds: named (endpoint), plain server (plain, withdraw), plain client (plain). A named
 * one's channel comes and goes with its endpoint's rings, and may go away before the handle does.
 */
struct pvchan {
    struct pvchan_group *group;
    TAILQ_ENTRY(pvchan) member;
    TAILQ_ENTRY(pvchan) turn;
    struct watched_place places[2];
    bool queued;
    bool look;     /* xenstore has something for it */
    bool news;     /* its program may have to hear of it */
    bool requeued; /* its program asked for another turn */

    /* What its program was told last: what is new beside that is an event. */
    enum pvchan_state told_state;
    bool told_open;
    bool lacks_room; /* a call that writes returned -EAGAIN, and room was not told of since */

    /*
     * While it is being opened: goes on with that, as far as is possible now. Returns 0 when it is
     * open, -EINPROGRESS, or another negative errno when it cannot be.
     */
    int (*advance)(struct pvchan *channel);
    int64_t deadline;
    int opened; /* 0, -EINPROGRESS, or why it is not */
    char *reason; /* a line on that, or on the end; NULL: nothing more than the errno */

    unsigned int flags;
    bool nonblock; /* by its flags, or since it is in a group */
    int timeout_ms; /* for calls that read or write; -1: none */
    unsigned int peer;
    void *data; /* the program's */

    struct endpoint *endpoint;
    struct channel_rings rings; /* a named one's */
    enum machine_role role;
    struct channel *plain;
    void (*withdraw)(struct pvchan *channel); /* a plain server's, whose keys are at path: they go */
    char *path;        /* a plain one's */
    size_t path_above; /* so much of path was there before: we made what is below that */
    uint32_t read_size; /* kept, since the channel may be gone */
    uint32_t write_size;

    bool over;         /* the end was read: what follows is end */
    ssize_t end;       /* 0 or a negative errno */
    bool shut;         /* we said that we write no more */
};

/*
 * Makes a handle with nothing in it; pvchan_close() disposes of any such. group: calls on the
 * handle never wait, whatever the flags; NULL: it gets a group of its own. -EINVAL: unknown flags.
 */
int handle_make(struct pvchan_group *group, unsigned int flags, struct pvchan **channel);

/*
 * The end of every call that opens: rc is how it began. 0: handle->advance says how to go on, and
 * if it is NULL all is done. Waits until that is over, or, in a group, leaves it to that. On
 * failure the handle is disposed of, and *channel not set.
 */
int handle_open(struct pvchan *channel, int rc, int timeout_ms, struct pvchan **out);

/* A time by which something must have happened, by clock_ms(); negative: no such time. */
int64_t handle_deadline(int timeout_ms);

/*
 * Waits until the handle's fd is readable, and dispatches. For a handle in a group of its own. 0,
 * -ETIMEDOUT, -EINTR, or another negative errno.
 */
int handle_wait(struct pvchan *channel, int64_t deadline);

/*
 * Bytes that can be read, or room to write: at least enough, or as pvchan_peek() and
 * pvchan_reserve() of a handle that does not wait. With -EAGAIN the peer was asked to signal.
 */
ssize_t handle_readable(struct pvchan *handle, size_t enough);
ssize_t handle_writable(struct pvchan *handle, size_t enough);

/*
 * Why there is nothing to read from or write to: it is not open yet (-EAGAIN), could not be opened,
 * or has come to its end, which is then the answer.
 */
int handle_lacks_channel(const struct pvchan *handle, int end);

/*
 * The channel came to its end, 0 or -EPROTO: for good, so it is remembered. Returns what that is
 * for its program. A named one knows from xenstore whether the end was meant.
 */
ssize_t handle_reach_end(struct pvchan *handle, ssize_t end);

/* Looks for a short while whether so much comes, unless the handle has PVCHAN_NOSPIN. */
void handle_spin(struct pvchan *handle, enum channel_wait wait, size_t enough);

/* What is the case now, of enum pvchan_events. The peer was asked to signal where nothing is. */
unsigned int handle_events(struct pvchan *handle);

/* Notes that its program has been told of these events. */
void handle_set_told(struct pvchan *handle, unsigned int events);

/* ---- reasons: libpvchan/reason.c ---- */

/* Says why the handle could not be opened, or ended. Without memory the errno has to do. */
void handle_explain(struct pvchan *handle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets pvchan_open_reason() of this thread, for a failure that no handle explains. Returns rc. */
int open_failed(int rc, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets it to the reason of a handle that is about to be closed, or else to the errno's text. */
void open_failed_with(const struct pvchan *handle, int rc);

/*
 * Watches a directory for this handle: when it changes, the endpoint looks, and advance() is
 * called.
 */
int handle_watch(struct pvchan *channel, const char *dir);
void handle_unwatch(struct pvchan *channel);

/* There is something for its program to look at. May be called by what xen_dispatch() calls. */
void handle_tell(struct pvchan *channel);

/* The channel that the handle has now, or NULL. */
static inline struct channel *handle_channel(const struct pvchan *handle)
{
    if (handle->opened < 0)
        return NULL; /* not yet, or never */
    if (!handle->endpoint)
        return handle->plain;
    return endpoint_is_connected(handle->endpoint) ? handle->rings.channel : NULL;
}

#endif
