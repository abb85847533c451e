/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channels that our xl config declares: each is a frontend that echoes (doc/protocol.md). */
#ifndef UNIKERNEL_DEVICE_H
#define UNIKERNEL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

/* Watches for them, those plugged later too. Returns 0 or a negative errno. */
int devices_init(domid_t self);

/* Takes note of a watch event. Returns whether it was one of the devices'. */
bool devices_changed(const char *path, const char *token);

/* Does all that is to be done now. tick: a tick passed. Returns whether there is more at once. */
bool devices_run(bool tick);

/* Whether one waits before it starts over, and so needs ticks. */
bool devices_wait(void);

/* Ends them in order. */
void devices_close(void);

#endif
