/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is inside the library's opaque handle, for the parts of the library that open one.
 */
#ifndef VCHAN_HANDLE_H
#define VCHAN_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "vchan/endpoint.h"
#include "vchan/pvchan.h"

/*
 * Three kinds: named (endpoint), plain server (channel and keys_dir), plain client (channel). A named
 * one's channel belongs to its endpoint, and may go away before the handle does.
 */
struct pvchan {
    struct store *store;
    struct xen *xen;
    int poll_fd; /* what pvchan_fd() gives: an epoll over the event channel and xenstore */
    bool nonblock;
    bool watches; /* there are some: xenstore may have something to say */
    unsigned int peer;

    struct endpoint *endpoint;
    struct channel *plain;
    char *keys_dir;
    size_t keys_above; /* so much of keys_dir was there before: we made what is below that */
    uint32_t read_size; /* kept, since the channel may be gone */
    uint32_t write_size;

    bool over;         /* the end was read: what follows is end */
    ssize_t end;       /* 0 or a negative errno */
    bool shut;         /* we said that we write no more */
};

/* Makes a handle with nothing in it but its connections; pvchan_close() disposes of any such. */
int handle_make(unsigned int flags, struct pvchan **channel);

/* A time by which something must have happened; negative: no such time. Milliseconds, monotonic. */
int64_t handle_deadline(int timeout_ms);

/*
 * Waits until the handle's fd is readable, and dispatches. 0,
 * -ETIMEDOUT, -EINTR, or another negative errno.
 */
int handle_wait(struct pvchan *channel, int64_t deadline);

/* Watches a node for this handle: then pvchan_fd() is readable when it changes. */
int handle_watch(struct pvchan *channel, const char *path);

/* Notes the ring sizes of the channel that the handle has now. */
void handle_take_sizes(struct pvchan *channel);

#endif
