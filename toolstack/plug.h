/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plugs and unplugs devices as libxl does: doc/protocol.md, "Nodes" and "Unplug". Functions that
 * take a tool report errors on stderr and return a negative errno.
 */
#ifndef TOOLSTACK_PLUG_H
#define TOOLSTACK_PLUG_H

#include "state/spec.h"
#include "state/device.h"
#include "toolstack/roster.h"
#include "toolstack/tool.h"

/* Finds the domain of a channel's backend. Fails if it does not exist or is the frontend itself. */
int plug_find_backend(struct tool *tool, const struct spec *channel, domid_t frontend,
                      domid_t *backend);

/* Reports that a channel's backend is its own frontend, this domain. Returns -EINVAL. */
int plug_refuse_itself(struct tool *tool, const struct spec *channel, const char *domain);

/*
 * Writes the nodes of a new device of the roster's domain in one transaction, and sets *id. On
 * failure nothing is written. The caller keeps the roster for the domain's next channel.
 */
int plug_write(struct tool *tool, const struct spec *channel, struct roster *roster,
               domid_t backend, struct device_id *id);

/*
 * Waits until the backend has taken the device, as tool_wait() does. Returns at once if no service
 * is supposed to take it.
 */
int plug_await(struct tool *tool, const struct spec *channel, const struct device_id *id,
               int ms);

/*
 * Asks the backend to close the device. Returns 1 if nothing has to close it or it is closed
 * already, 0 if the caller must wait for plug_is_closed().
 */
int plug_ask_close(struct tool *tool, const struct device_id *id, const char *name);

/* Whether a backend that was asked to has closed the device. */
bool plug_is_closed(struct tool *tool, const struct device_id *id);

/*
 * Asks the backend to close the device, and waits until it has done so or has gone. The nodes stay.
 * On failure the request stays, too.
 */
int plug_close(struct tool *tool, const struct device_id *id, const char *name, int ms);

/*
 * Withdraws the request of plug_close() after that failed. A backend that has begun to close the
 * device, or still sees the request, closes it and offers it again.
 */
int plug_cancel_close(struct tool *tool, const struct device_id *id, const char *name);

/* Removes all nodes of a device, the frontend's first, and directories that become empty. */
int plug_remove(struct tool *tool, const struct device_id *id, const char *name);

#endif
