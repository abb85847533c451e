/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STATE_NOTIFY_H
#define STATE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Sends a state such as "READY=1" or "STOPPING=1" to the service manager that started us, if it
 * asked for that (sd_notify(3), "Standalone Implementations").
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

#endif
