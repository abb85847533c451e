/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restricts a worker: before it reads a guest's page, to a user of its own and to the system calls
 * that its work needs; once it has its rings, it can get no others.
 */
#ifndef SERVICE_WORKER_CONFINE_H
#define SERVICE_WORKER_CONFINE_H

#include "state/device.h"

/*
 * A worker's user and group id is this number plus its peer's domid, so workers of two guests
 * cannot signal each other, and own no file. systemd leaves 0x70000000 to 0x7fffffff unassigned
 * (systemd.io/UIDS-GIDS).
 */
#define WORKER_USERS 0x70000000u

/*
 * Restricts the process for its work with one peer. Call it once, before the process gets rings.
 * Returns 0 or a negative errno; then the worker must exit.
 */
int confine_for(domid_t peer);

/* Takes away the system calls that get rings. Call it after confine_for(), once. Returns as above.
 */
int confine_to_rings(void);

#endif
