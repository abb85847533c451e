/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The states of all channels of this host as they change, from xenstore watches. xenstore keeps no
 * history: a state that its owner leaves at once may never be seen.
 */
#ifndef TOOLSTACK_MONITOR_H
#define TOOLSTACK_MONITOR_H

#include <stdint.h>
#include <time.h>

#include "toolstack/devices.h"
#include "toolstack/tool.h"
#include "toolstack/traffic.h"

enum monitor_side { MONITOR_FRONTEND, MONITOR_BACKEND, MONITOR_SIDES };

/* A channel. Its names stay when its domains are gone. */
struct monitored {
    struct device_id id;
    char name[DEVICE_NAME_MAX + 1]; /* "": it has none */
    char domain[TOOL_NAME_MAX];
    char backend[TOOL_NAME_MAX];
    char key[TOOL_NAME_MAX];   /* the frontend's name, not to print, */
    char first[TOOL_NAME_MAX]; /* and what it was when the channel was first seen */
    enum xenbus_state states[MONITOR_SIDES]; /* XenbusStateUnknown: no such node, or nonsense */
    int64_t since;                           /* clock_ms() of the last change */
    unsigned int changes;                    /* how many there were, from one state to another */
    struct traffic traffic;                  /* if the monitor is one with traffic */
    int64_t sampled;                         /* clock_ms() when that came; 0: not looked so far */
    uint64_t rates[2];                       /* of TRAFFIC_RECEIVED and TRAFFIC_SENT, a second */
    bool unserved;                           /* for who shows it: service_serves() says no */
    bool trouble;                            /* likewise */
    bool found;                              /* by the scan under way */
};

/* One side has another state. To and from XenbusStateUnknown: it came, it went. */
struct monitor_change {
    const struct monitored *channel;
    enum monitor_side side;
    enum xenbus_state from;
    struct timespec when; /* it was noticed, CLOCK_REALTIME */
};

/* Which channels are meant. NULL: any. */
struct monitor_filter {
    const char *domain; /* the frontend's, name (of now or before) or id; need not be there yet */
    const char *name;   /* of the channel, or its devid */
};

struct monitor {
    struct tool *tool;
    struct monitored *channels;
    size_t count;
    uint32_t *watched; /* domains */
    size_t watched_count;
    bool with_traffic;
    void (*changed)(const struct monitor_change *change, void *arg); /* may be NULL */
    void *arg;
    int failed; /* changed(), or a look, sets it: monitor_run() ends with this negative errno */
};

/* What to wait for: a state that counts at some of the sides, or that there is no such channel. */
struct monitor_goal {
    enum xenbus_state state; /* XenbusStateUnknown: gone */
};

/*
 * Begins to watch, with the channels' statistics if wanted; then every state that is there already
 * is a change, from XenbusStateUnknown. 0 or a negative errno; monitor_close() is right in either
 * case. The tool stays the caller's, and its store belongs to the monitor until then.
 */
int monitor_open(struct monitor *monitor, struct tool *tool, bool with_traffic,
                 void (*changed)(const struct monitor_change *change, void *arg), void *arg);
void monitor_close(struct monitor *monitor);

/* Takes what store_fd(tool->store) has. Never waits. 0 or a negative errno. */
int monitor_update(struct monitor *monitor);

/* Bytes a second now: received or sent; 0 if nothing was told for a while, or nobody serves it. */
uint64_t monitor_rate(const struct monitored *channel, enum traffic_count direction);

/* Tells whether a channel is meant. */
bool monitor_matches(const struct monitored *channel, const struct monitor_filter *filter);

/* "Connected", "gone", any case. False: neither a state nor that. */
bool monitor_goal_parse(const char *text, struct monitor_goal *goal);

/*
 * Tells whether there is a channel that is meant and all of them have the state: at both sides, or
 * for InitWait and Reconfiguring at the backend, for Initialised at the frontend. Gone: there is
 * none. What nobody serves is not Connected, whatever its states are.
 */
bool monitor_reached(const struct monitor *monitor, const struct monitor_filter *filter,
                     const struct monitor_goal *goal);

/*
 * Updates until the goal (NULL: none) is reached. 1: it is; -ETIMEDOUT: not within so many
 * milliseconds (-1: no bound); -EINTR: tool_interrupted(); or another negative errno, such as
 * monitor->failed.
 */
int monitor_run(struct monitor *monitor, const struct monitor_filter *filter,
                const struct monitor_goal *goal, int64_t milliseconds);

#endif
