/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STATE_NOTIFY_H
#define STATE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Tells the service manager that started us, if it asked for that (sd_notify(3), "Standalone
 * Implementations"): "READY=1", "STOPPING=1".
 */
void notify_manager(const char *state);

/* Whether there is one to tell. */
bool notify_is_wanted(void);

/* Within how many microseconds it wants to hear WATCHDOG=1 again, or 0: it does not. */
uint64_t notify_watchdog(void);

/*
 * The same with a descriptor, which the manager gets a duplicate of ("FDSTORE=1…"); -1: with none.
 */
void notify_manager_with(const char *state, int fd);

#endif
