/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices made and taken away, as libxl does it: doc/protocol.md, "Nodes" and "Unplug". Functions
 * that take a tool say on stderr why they fail, and return a negative errno.
 */
#ifndef TOOLSTACK_PLUG_H
#define TOOLSTACK_PLUG_H

#include "state/spec.h"
#include "state/device.h"
#include "toolstack/roster.h"
#include "toolstack/tool.h"

/*
 * Finds the domain of a channel's backend and refuses one that is not there, or that is the
 * frontend itself.
 */
int plug_find_backend(struct tool *tool, const struct spec *channel, domid_t frontend,
                      domid_t *backend);

/* Complains that a channel's backend is its own frontend, this domain. -EINVAL. */
int plug_refuse_itself(struct tool *tool, const struct spec *channel, const char *domain);

/*
 * Writes the nodes of a new device of the roster's domain in one transaction, and gives its id. On
 * failure nothing is written. The roster stays the caller's, for the domain's next channel.
 */
int plug_write(struct tool *tool, const struct spec *channel, struct roster *roster,
               domid_t backend, struct device_id *id);

/*
 * Waits until the backend has taken the device, as tool_wait() does; returns at once where no
 * service is to take it.
 */
int plug_await(struct tool *tool, const struct spec *channel, const struct device_id *id,
               int ms);

/*
 * Asks the backend to close the device. 1: nobody has to close it, or it is closed already; 0:
 * plug_is_closed() will tell.
 */
int plug_ask_close(struct tool *tool, const struct device_id *id, const char *name);

/* Tells whether a backend that was asked has closed the device. */
bool plug_is_closed(struct tool *tool, const struct device_id *id);

/*
 * Asks the backend to close the device and waits until it did, or is not there to do it. The nodes
 * stay; on failure the request stays too.
 */
int plug_close(struct tool *tool, const struct device_id *id, const char *name, int ms);

/*
 * Takes back what plug_close() asked for, after that failed. A backend that has begun to close the
 * device, or still sees the request, closes it and offers it again.
 */
int plug_keep(struct tool *tool, const struct device_id *id, const char *name);

/* Removes all nodes of a device, the frontend's first, and the directories that this empties. */
int plug_remove(struct tool *tool, const struct device_id *id, const char *name);

#endif
