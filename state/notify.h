/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STATE_NOTIFY_H
#define STATE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Tells the service manager that started us, if it asked for that (sd_notify(3), "Standalone
 * Implementations"): "READY=1", "STOPPING=1". It never blocks: what the manager has no room for
 * waits in this process, in order, with a duplicate of its descriptor, until notify_flush() or the
 * next call. For one thread.
 */
void notify_manager(const char *state);

/* Whether a manager asked for notifications. */
bool notify_is_wanted(void);

/* The interval in microseconds within which the manager expects WATCHDOG=1, or 0 if it does not. */
uint64_t notify_watchdog(void);

/*
 * The same with a descriptor, of which the manager gets a duplicate ("FDSTORE=1…"); -1: without
 * one.
 */
void notify_manager_with(const char *state, int fd);

/* Sends what waits, as far as there is room. Whether nothing waits any more. */
bool notify_flush(void);

/* Has waits(arg) called when something begins to wait, and now if something does. NULL: no more. */
void notify_on_wait(void (*waits)(void *arg), void *arg);

/* Writable when there is room for what waits. -1 before the first message; then always the same. */
int notify_fd(void);

/* Before the process ends: as notify_flush(), but blocks until all is sent, so long at most. */
void notify_finish(int milliseconds);

#endif
