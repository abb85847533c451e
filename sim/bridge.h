/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest kernel's xenbus device. Programs speak the xenstore protocol over a Unix socket; the
 * bridge passes it on through the domain's store ring, so that xenstored sees the domain itself.
 */
#ifndef SIM_BRIDGE_H
#define SIM_BRIDGE_H

#include <poll.h>
#include <stdint.h>

#define BRIDGE_FDS 1024

/*
 * Connects to the store and listens. Calls power() with a SHUTDOWN_ reason when the toolstack asks
 * for one (control/shutdown). Returns 0 or a negative errno.
 */
int bridge_open(void (*power)(uint32_t reason));

/*
 * Fills in what to poll, at most BRIDGE_FDS entries. Returns their number; 0 while it is not open.
 */
int bridge_poll(struct pollfd *fds);

/* Handles the results of that poll. */
void bridge_handle(const struct pollfd *fds, int count);

#endif
