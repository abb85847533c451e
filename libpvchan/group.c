/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "libpvchan/handle.h"
#include "state/clock.h"
#include "state/descriptor.h"
#include "state/error.h"

/* xenstore events taken in one go, so that a peer that writes in a loop does not delay others. */
#define BATCH 256

/* ---- time, in milliseconds ---- */

int64_t handle_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
}

static int time_left(int64_t deadline)
{
    int64_t left = deadline < 0 ? -1 : deadline - clock_ms();

    if (deadline < 0)
        return -1;
    return left < 0 ? 0 : (int)left;
}

/* ---- groups ---- */

/* Which descriptors are readable. */
enum { READY_XEN, READY_STORE, READY_TIMER, READY_COUNT };

static int poll_also(struct pvchan_group *group, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

    if (epoll_ctl(group->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST)
        return 0;
    return -errno;
}

EXPORT void pvchan_group_close(struct pvchan_group *group)
{
    struct pvchan *handle, *next;

    if (!group)
        return;
    group->alone = false; /* so that closing its handle does not close it again */
    for (handle = TAILQ_FIRST(&group->channels); handle; handle = next) {
        next = TAILQ_NEXT(handle, member);
        pvchan_close(handle);
    }
    free(group->names);
    xen_close(group->xen);
    store_close(group->store);
    if (group->timer_fd >= 0)
        close(group->timer_fd);
    if (group->poll_fd >= 0)
        close(group->poll_fd);
    free(group);
}

static int open_descriptors(struct pvchan_group *group)
{
    int rc;

    group->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (group->poll_fd < 0)
        return open_failed(-errno, "cannot make an epoll descriptor: %m");
    rc = store_open(&group->store);
    if (rc < 0)
        return open_failed(rc, "cannot connect to xenstored: %s", error_text(rc));
    rc = xen_open(&group->xen);
    return rc < 0 ? open_failed(rc, "cannot open /dev/xen/evtchn: %s", error_text(rc)) : 0;
}

EXPORT int pvchan_group_open(unsigned int flags, struct pvchan_group **out)
{
    struct pvchan_group *group;
    int rc;

    *out = NULL;
    if (flags)
        return open_failed(-EINVAL, "a group has no flags: %#x", flags);
    group = calloc(1, sizeof(*group));
    if (!group)
        return open_failed(-ENOMEM, "out of memory");
    TAILQ_INIT(&group->channels);
    TAILQ_INIT(&group->queue);
    group->timer_fd = -1;
    group->alarm = -1;
    descriptor_guard();
    rc = open_descriptors(group);
    descriptor_unguard();
    group->watches.store = group->store;
    if (rc < 0) {
        pvchan_group_close(group);
        return rc;
    }
    *out = group;
    return 0;
}

/*
 * Event channels join the epoll only when the program asks for the fd: each signal makes an epoll
 * slower, and a read or write that waits does not need it.
 */
static int poll_events(struct pvchan_group *group)
{
    int rc = group->polled ? 0 : poll_also(group, xen_fd(group->xen), READY_XEN);

    group->polled |= rc == 0;
    return rc;
}

EXPORT int pvchan_group_fd(struct pvchan_group *group)
{
    int rc = poll_events(group);

    return rc < 0 ? rc : group->poll_fd;
}

/* ---- the queue ---- */

static void queue_add(struct pvchan *handle)
{
    struct pvchan_group *group = handle->group;

    if (handle->queued)
        return;
    handle->queued = true;
    group->queued++;
    TAILQ_INSERT_TAIL(&group->queue, handle, turn);
}

static void queue_remove(struct pvchan *handle)
{
    struct pvchan_group *group = handle->group;

    if (!handle->queued)
        return;
    handle->queued = false;
    group->queued--;
    if (group->turns > group->queued)
        group->turns = group->queued; /* otherwise a handle could be served twice in a round */
    TAILQ_REMOVE(&group->queue, handle, turn);
}

void handle_queue(struct pvchan *handle)
{
    handle->news = true;
    queue_add(handle);
}

EXPORT void pvchan_requeue(struct pvchan *handle)
{
    if (handle->group->alone)
        return;
    handle->requeued = true;
    handle_queue(handle);
}

/* ---- opening ---- */

static void explain_late(struct pvchan *handle)
{
    if (handle->endpoint)
        handle_explain(handle, "timed out while the %s, domain %u, is %s",
                       handle->role == MACHINE_FRONTEND ? "backend" : "frontend", handle->peer,
                       xenbus_state_name(endpoint_peer_state(handle->endpoint)));
    else
        handle_explain(handle, "timed out: domain %u offers nothing to this domain at %s",
                       handle->peer, handle->path);
}

/* Releases everything but the handle itself. */
static void drop(struct pvchan *handle)
{
    handle_unwatch(handle);
    endpoint_close(handle->endpoint);
    handle->endpoint = NULL;
    if (handle->withdraw)
        handle->withdraw(handle);
    free(handle->path);
    handle->path = NULL;
    channel_close(handle->plain);
    handle->plain = NULL;
}

/* Opening has succeeded or failed. */
static void opened(struct pvchan *handle, int rc)
{
    handle->advance = NULL;
    handle->opened = rc;
    if (rc == -ETIMEDOUT)
        explain_late(handle);
    if (rc < 0) {
        drop(handle);
    } else {
        handle->read_size = channel_read_size(handle_channel(handle));
        handle->write_size = channel_write_size(handle_channel(handle));
    }
    handle_queue(handle);
}

static void advance(struct pvchan *handle)
{
    int rc = handle->advance ? handle->advance(handle) : 0;

    if (rc != -EINPROGRESS)
        opened(handle, rc);
}

/* ---- serving the queue ---- */

/* Serves a handle from the queue. Returns whether it may have an event for the program. */
static bool serve_handle(struct pvchan *handle)
{
    bool look = handle->look, news;

    handle->look = false; /* endpoint_look() may set it again */
    if (look && handle->endpoint)
        endpoint_look(handle->endpoint);
    if (handle->advance)
        advance(handle);
    queue_remove(handle);
    news = handle->news && !handle->advance;
    handle->news = false;
    if (handle->look)
        queue_add(handle);
    return news;
}

/* Room alone is an event only if the program has lacked it. */
static bool is_due(const struct pvchan *handle, unsigned int events)
{
    if (events & ~(unsigned int)PVCHAN_WRITABLE)
        return true;
    return handle->requeued || (events && handle->lacks_room);
}

/* Makes the handle's event. Returns false if there is none. */
static bool make_report(struct pvchan *handle, struct pvchan_event *event)
{
    unsigned int events = handle_events(handle);

    if (!is_due(handle, events))
        return false;
    handle->requeued = false;
    handle_set_reported(handle, events);
    *event = (struct pvchan_event){.handle = handle, .events = events};
    return true;
}

/* The next handle with an event in this round. Returns false if there is none. */
static bool next_reported(struct pvchan_group *group, struct pvchan_event *event)
{
    while (group->turns > 0 && !TAILQ_EMPTY(&group->queue)) {
        struct pvchan *handle = TAILQ_FIRST(&group->queue);

        group->turns--;
        if (serve_handle(handle) && make_report(handle, event))
            return true;
    }
    group->turns = 0;
    return false;
}

/* Returns the number of events. */
static int take_reported(struct pvchan_group *group, struct pvchan_event *events, int count)
{
    int found = 0;

    while (found < count && next_reported(group, &events[found]))
        found++;
    return found;
}

/* ---- events ---- */

static void heed_change(void *owner)
{
    struct pvchan *handle = owner;

    handle->look = true;
    queue_add(handle);
}

/* The channels continue to work. The program is told once, so later waits must not fail again. */
static void lose_store(struct pvchan_group *group)
{
    group->store_lost = group->loss_unreported = true;
    epoll_ctl(group->poll_fd, EPOLL_CTL_DEL, store_fd(group->store), NULL);
}

static int heed_store(struct pvchan_group *group)
{
    struct store_event event;
    int rc = 0;

    if (group->store_lost)
        return 0;
    for (int i = 0; i < BATCH && watches_any(&group->watches); i++) {
        rc = store_next_event(group->store, &event);
        if (rc <= 0)
            break;
        watches_heed(&group->watches, event.path, heed_change);
    }
    if (rc == -EIO && !group->alone) {
        lose_store(group);
        return 0;
    }
    return rc < 0 ? rc : 0;
}

/*
 * Reports the loss once and at once: in a busy group, waiting for an idle moment could take for
 * ever.
 */
static int report_loss(struct pvchan_group *group)
{
    bool news = group->loss_unreported;

    group->loss_unreported = false;
    return news ? -EIO : 0;
}

static void set_alarm(struct pvchan_group *group, int64_t deadline)
{
    struct itimerspec time = {.it_value = {.tv_sec = deadline / 1000,
                                           .tv_nsec = deadline % 1000 * 1000000}};

    if (deadline < 0 || (group->alarm >= 0 && group->alarm <= deadline))
        return;
    group->alarm = deadline;
    timerfd_settime(group->timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
}

/* Deadlines need a timer in the epoll. */
static int need_alarm(struct pvchan_group *group, int64_t deadline)
{
    if (deadline < 0 || group->timer_fd >= 0)
        return 0;
    descriptor_guard();
    group->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    descriptor_unguard();
    return group->timer_fd < 0 ? -errno : poll_also(group, group->timer_fd, READY_TIMER);
}

static void ring_alarm(struct pvchan_group *group)
{
    int64_t time = clock_ms();
    struct pvchan *handle;
    uint64_t times;

    if (read(group->timer_fd, &times, sizeof(times)) < 0)
        return;
    group->alarm = -1;
    TAILQ_FOREACH (handle, &group->channels, member) {
        if (handle->advance && handle->deadline >= 0 && handle->deadline <= time)
            opened(handle, -ETIMEDOUT);
        else if (handle->advance)
            set_alarm(group, handle->deadline);
    }
}

/*
 * Waits up to timeout_ms for events, and queues their handles. Always reads from xenstore, too,
 * since only that shows that it has gone. Returns 0, or a negative errno.
 */
static int collect(struct pvchan_group *group, int timeout_ms)
{
    struct epoll_event events[READY_COUNT];
    int count, rc = poll_events(group);

    if (rc < 0)
        return rc;
    count = epoll_wait(group->poll_fd, events, READY_COUNT, timeout_ms);
    if (count < 0)
        return -errno;
    for (int i = 0; i < count && rc >= 0; i++) {
        if (events[i].data.u32 == READY_XEN)
            rc = xen_dispatch(group->xen);
        else if (events[i].data.u32 == READY_TIMER)
            ring_alarm(group);
    }
    return rc < 0 ? rc : heed_store(group);
}

static void forget_names(struct pvchan_group *group)
{
    free(group->names);
    group->names = NULL;
    group->names_count = 0;
}

EXPORT int pvchan_group_wait(struct pvchan_group *group, struct pvchan_event *events, int count,
                             int timeout_ms)
{
    int64_t deadline = handle_deadline(timeout_ms);
    bool last = false;

    if (count < 1)
        return -EINVAL;
    forget_names(group);
    for (;;) {
        int found, left, rc = report_loss(group);

        if (rc < 0)
            return rc;
        found = take_reported(group, events, count);
        if (found > 0 || last)
            return found;
        left = time_left(deadline);
        rc = collect(group, TAILQ_EMPTY(&group->queue) ? left : 0);
        group->turns = group->queued;
        last = left == 0; /* even if events never cease: a peer can cause that */
        if (rc < 0) {
            found = take_reported(group, events, count);
            return found > 0 ? found : rc;
        }
    }
}

EXPORT int pvchan_dispatch(struct pvchan *handle)
{
    struct pvchan_group *group = handle->group;
    int rc;

    if (!group->alone)
        return -EINVAL;
    rc = xen_dispatch(group->xen);
    if (rc >= 0)
        rc = heed_store(group);
    if (handle->queued)
        serve_handle(handle);
    if (handle_channel(handle)) /* the program is about to wait, perhaps elsewhere */
        channel_publish(handle_channel(handle));
    return rc < 0 ? rc : 0;
}

int handle_wait(struct pvchan *handle, int64_t deadline)
{
    struct pvchan_group *group = handle->group;
    bool watches = watches_any(&group->watches);
    /* Not poll_fd: an epoll inside a poll costs twice as much. */
    struct pollfd pollfds[] = {
        {.fd = xen_fd(group->xen), .events = POLLIN},
        {.fd = watches ? store_fd(group->store) : -1, .events = POLLIN},
    };
    int rc;

    if (deadline >= 0 && clock_ms() > deadline)
        return -ETIMEDOUT; /* even if events never cease: a peer can cause that */
    if (handle->look)
        return pvchan_dispatch(handle);
    if (deadline < 0 && !watches)
        return xen_await(group->xen);
    rc = poll(pollfds, 2, time_left(deadline));
    if (rc < 0)
        return -errno;
    return rc == 0 ? -ETIMEDOUT : pvchan_dispatch(handle);
}

/* ---- handles ---- */

static bool are_flags(unsigned int flags)
{
    return !(flags & ~(unsigned int)(PVCHAN_NONBLOCK | PVCHAN_NOSPIN));
}

/* Makes a group for one handle. */
static int group_open_alone(struct pvchan_group **group)
{
    int rc = pvchan_group_open(0, group);

    if (rc == 0)
        (*group)->alone = true;
    return rc;
}

static int handle_add(struct pvchan_group *group, unsigned int flags, struct pvchan **out)
{
    struct pvchan *handle = *out = calloc(1, sizeof(*handle));

    if (!handle)
        return open_failed(-ENOMEM, "out of memory");
    handle->group = group;
    handle->timeout_ms = -1;
    handle->opened = -EINPROGRESS;
    handle->reported_state = PVCHAN_STATE_OPENING;
    TAILQ_INSERT_TAIL(&group->channels, handle, member);
    return pvchan_set_flags(handle, flags);
}

int handle_make(struct pvchan_group *group, unsigned int flags, struct pvchan **out)
{
    bool alone = !group;
    int rc;

    *out = NULL;
    if (!are_flags(flags))
        return open_failed(-EINVAL, "unknown flags: %#x", flags);
    rc = alone ? group_open_alone(&group) : 0;
    if (rc < 0)
        return rc;
    rc = handle_add(group, flags, out);
    if (rc < 0 && alone)
        pvchan_group_close(group);
    return rc;
}

EXPORT int pvchan_set_flags(struct pvchan *handle, unsigned int flags)
{
    if (!are_flags(flags))
        return -EINVAL;
    handle->flags = flags;
    handle->nonblock = !handle->group->alone || (flags & PVCHAN_NONBLOCK);
    return 0;
}

/* Waits until the handle is open. */
static int open_alone(struct pvchan *handle)
{
    int rc = 0;

    while (rc == 0 && handle->advance)
        rc = handle_wait(handle, handle->deadline);
    if (rc == -ETIMEDOUT)
        explain_late(handle);
    if (rc == 0 && handle->opened == 0)
        handle_set_reported(handle, PVCHAN_OPENED | PVCHAN_STATE_CHANGED);
    return rc < 0 ? rc : handle->opened;
}

int handle_open(struct pvchan *handle, int rc, int timeout_ms, struct pvchan **out)
{
    struct pvchan_group *group = handle->group;

    handle->deadline = handle_deadline(timeout_ms);
    if (rc == 0)
        rc = group->alone ? 0 : need_alarm(group, handle->deadline);
    if (rc == 0)
        advance(handle);
    if (rc == 0 && group->alone)
        rc = open_alone(handle);
    else if (rc == 0 && handle->advance)
        set_alarm(group, handle->deadline);
    if (rc < 0) {
        open_failed_with(handle, rc);
        pvchan_close(handle);
    } else {
        *out = handle;
    }
    return rc;
}

int handle_watch(struct pvchan *handle, const char *dir)
{
    struct pvchan_group *group = handle->group;
    struct watched_place *place = &handle->places[handle->places[0].parent ? 1 : 0];
    int rc = watches_add(&group->watches, place, dir, handle);

    return rc < 0 ? rc : poll_also(group, store_fd(group->store), READY_STORE);
}

void handle_unwatch(struct pvchan *handle)
{
    struct pvchan_group *group = handle->group;
    bool any = watches_any(&group->watches);

    for (size_t i = 0; i < 2; i++)
        watches_remove(&handle->places[i]);
    if (any && !watches_any(&group->watches)) /* no more xenstore events are needed */
        epoll_ctl(group->poll_fd, EPOLL_CTL_DEL, store_fd(group->store), NULL);
}

EXPORT void pvchan_close(struct pvchan *handle)
{
    struct pvchan_group *group;

    if (!handle)
        return;
    group = handle->group;
    drop(handle);
    queue_remove(handle);
    TAILQ_REMOVE(&group->channels, handle, member);
    free(handle->reason);
    free(handle);
    if (group->alone)
        pvchan_group_close(group);
}

EXPORT int pvchan_fd(const struct pvchan *handle)
{
    return handle->group->alone ? pvchan_group_fd(handle->group) : -EINVAL;
}
