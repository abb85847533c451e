/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One direction of bytes through a buffer. */
#ifndef CLI_FLOW_H
#define CLI_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FLOW_BYTES (64 * 1024)

struct flow {
    char data[FLOW_BYTES];
    size_t start; /* start and end of the bytes in the buffer */
    size_t end;
    bool ended;     /* no more input will come */
    int take_error; /* the negative errno that ended the input, or 0 */
    int give_error; /* the negative errno that ended the output, or 0 */
    /* Like read() and write(), but return a negative errno; -EAGAIN instead of waiting. */
    ssize_t (*take)(void *arg, void *data, size_t size);
    ssize_t (*give)(void *arg, const void *data, size_t size);
    void *arg;
};

/* Whether there are bytes in the buffer. */
static inline bool flow_is_loaded(const struct flow *flow)
{
    return flow->start < flow->end;
}

/* Whether nothing more will be output. */
static inline bool flow_is_over(const struct flow *flow)
{
    return flow->give_error || (flow->ended && !flow_is_loaded(flow));
}

/* Fills the buffer if it is empty. Returns whether anything changed. */
bool flow_take(struct flow *flow);

/* Outputs from the buffer. Returns whether anything changed. */
bool flow_give(struct flow *flow);

#endif
