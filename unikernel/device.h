/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channels that our xl config declares. Each is a frontend that echoes (doc/protocol.md). */
#ifndef UNIKERNEL_DEVICE_H
#define UNIKERNEL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

/* Watches for them, including those plugged later. Returns 0 or a negative errno. */
int devices_init(domid_t self);

/* Takes a watch event. Returns whether it was for the devices. */
bool devices_changed(const char *path, const char *token);

/*
 * Does all that is to be done now. tick: a tick has passed. Returns whether there is more to do at
 * once.
 */
bool devices_run(bool tick);

/* Whether a device waits before it starts over, and so needs ticks. */
bool devices_wait(void);

/* Closes them cleanly. */
void devices_close(void);

#endif
