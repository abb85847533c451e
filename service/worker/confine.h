/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker may do: before it looks into a guest's page nothing but what its work needs, as a
 * user of its own; and from then on not even get other rings.
 */
#ifndef SERVICE_WORKER_CONFINE_H
#define SERVICE_WORKER_CONFINE_H

#include "state/device.h"

/*
 * The worker of a channel with this domain runs as this number and the domain's, user and group. No
 * account has one, and nobody hands them out: systemd leaves 0x70000000 to 0x7fffffff unused
 * (systemd.io/UIDS-GIDS). So workers of two guests cannot signal each other, and no file is theirs.
 */
#define WORKER_USERS 0x70000000u

/* Before the rings are there, once. 0, or a negative errno: the worker is to end. */
int confine_for(domid_t peer);

/* Once they are: it gets no others. The same. */
int confine_to_rings(void);

#endif
