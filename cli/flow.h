/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One direction of bytes on its way through a buffer.
 */
#ifndef CLI_FLOW_H
#define CLI_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FLOW_BYTES (64 * 1024)

struct flow {
    char data[FLOW_BYTES];
    size_t start; /* the bytes in the buffer */
    size_t end;
    bool ended;     /* nothing more comes in */
    int take_error; /* the negative errno that ended it, or 0 */
    int give_error; /* the negative errno after which nothing more goes out, or 0 */
    /* Both return as read() and write(), or a negative errno, -EAGAIN if they would wait. */
    ssize_t (*take)(void *arg, void *data, size_t size);
    ssize_t (*give)(void *arg, const void *data, size_t size);
    void *arg;
};

/* Whether there are bytes in the buffer. */
static inline bool flow_is_loaded(const struct flow *flow)
{
    return flow->start < flow->end;
}

/* Whether nothing more will go out. */
static inline bool flow_is_over(const struct flow *flow)
{
    return flow->give_error || (flow->ended && !flow_is_loaded(flow));
}

/* Takes bytes if the buffer is empty. Whether anything changed. */
bool flow_take(struct flow *flow);

/* Gives what is in the buffer. Whether anything changed. */
bool flow_give(struct flow *flow);

#endif
