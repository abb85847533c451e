/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The states of all channels of this host as they change, by xenstore watches. xenstore keeps no
 * history: a state that lasts only briefly may never be seen.
 */
#ifndef TOOLSTACK_MONITOR_H
#define TOOLSTACK_MONITOR_H

#include <stdint.h>
#include <time.h>

#include "toolstack/devices.h"
#include "toolstack/tool.h"
#include "toolstack/traffic.h"

enum monitor_side { MONITOR_FRONTEND, MONITOR_BACKEND, MONITOR_SIDES };

/* A channel. Its names are kept when its domains are gone. */
struct monitored {
    struct device_id id;
    char name[DEVICE_NAME_MAX + 1]; /* "" if it has none */
    char domain[TOOL_NAME_MAX];
    char backend[TOOL_NAME_MAX];
    char key[TOOL_NAME_MAX];   /* the frontend's name, unprintable characters included */
    char first[TOOL_NAME_MAX]; /* the name when the channel was first seen */
    enum xenbus_state states[MONITOR_SIDES]; /* XenbusStateUnknown: no node, or invalid */
    int64_t since;                           /* clock_ms() of the last change */
    unsigned int changes;                    /* changes from one state to another */
    struct traffic traffic;                  /* if the monitor was opened with traffic */
    int64_t sampled;                         /* clock_ms() of that; 0: not read yet */
    uint64_t rates[2];                       /* bytes a second: TRAFFIC_RECEIVED and TRAFFIC_SENT */
    bool unserved;                           /* for the display: service_serves() returns no */
    bool trouble;                            /* for the display: something is wrong */
    bool found;                              /* by the current scan */
};

/* A side's state changed; from XenbusStateUnknown: it appeared, to it: it went. */
struct monitor_change {
    const struct monitored *channel;
    enum monitor_side side;
    enum xenbus_state from;
    struct timespec when; /* when it was noticed, CLOCK_REALTIME */
};

/* Selects channels. NULL: any. */
struct monitor_filter {
    const char *domain; /* the frontend's name (now or at first) or id; it need not exist yet */
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
    int failed; /* set by changed() or a look: monitor_run() returns this negative errno */
};

/* What to wait for: a state that both or certain sides reach, or that there is no such channel. */
struct monitor_goal {
    enum xenbus_state state; /* XenbusStateUnknown: gone */
};

/*
 * Begins to watch, also the channels' statistics if with_traffic is set. Reports every existing
 * state as a change from XenbusStateUnknown. Returns 0 or a negative errno; call monitor_close() in
 * either case. The tool stays the caller's, but only the monitor may use its store until then.
 */
int monitor_open(struct monitor *monitor, struct tool *tool, bool with_traffic,
                 void (*changed)(const struct monitor_change *change, void *arg), void *arg);
void monitor_close(struct monitor *monitor);

/* Takes all events of store_fd(tool->store). Never waits. Returns 0 or a negative errno. */
int monitor_update(struct monitor *monitor);

/* Bytes a second, received or sent; 0 if the statistics are old or the channel is not served. */
uint64_t monitor_rate(const struct monitored *channel, enum traffic_count direction);

/* Whether the filter selects a channel. */
bool monitor_matches(const struct monitored *channel, const struct monitor_filter *filter);

/* Parses "Connected" or "gone", in any case. Returns false if text is neither a state nor that. */
bool monitor_goal_parse(const char *text, struct monitor_goal *goal);

/*
 * Whether the filter selects at least one channel and all selected ones have the state: on both
 * sides; InitWait and Reconfiguring at the backend only, Initialised at the frontend only. For
 * "gone": whether it selects none. An unserved channel does not count as Connected, whatever its
 * states are.
 */
bool monitor_reached(const struct monitor *monitor, const struct monitor_filter *filter,
                     const struct monitor_goal *goal);

/*
 * Updates until the goal (NULL: none) is reached. Returns 1 when it is; -ETIMEDOUT after ms
 * milliseconds (-1: no limit); -EINTR: tool_interrupted(); or another negative errno, such as
 * monitor->failed.
 */
int monitor_run(struct monitor *monitor, const struct monitor_filter *filter,
                const struct monitor_goal *goal, int64_t milliseconds);

#endif
