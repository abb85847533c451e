/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vchan devices of this host in xenstore, both complete ones and leftovers. */
#ifndef TOOLSTACK_DEVICES_H
#define TOOLSTACK_DEVICES_H

#include <stddef.h>

#include "state/device.h"
#include "state/store.h"

/* The value of id.backend if no node names it. */
#define DEVICE_BACKEND_UNKNOWN DOMID_INVALID

struct devices {
    struct device_id *ids; /* sorted by frontend, devid, backend */
    size_t count;
};

/*
 * Finds every device of which F, B or T exists (doc/protocol.md, "Nodes"). Returns 0, and the
 * caller calls devices_free(); or a negative errno with *devices empty.
 */
int devices_scan(struct store *store, struct devices *devices);

/* Frees what devices_scan() allocated. */
void devices_free(struct devices *devices);

/*
 * Reads the backend's domain from T, or otherwise from F; DEVICE_BACKEND_UNKNOWN if neither names
 * one. Returns 0, or a negative errno if the nodes cannot be read now.
 */
int device_read_backend(struct store *store, domid_t frontend, uint32_t devid, domid_t *backend);

/*
 * Reads a device's name from T, or otherwise from B or F. Returns 0, -ENOENT if none of them has a
 * valid one, or another negative errno if they cannot be read now.
 */
int device_name_of(struct store *store, const struct device_id *id, char name[DEVICE_NAME_MAX + 1]);

/*
 * Finds a domain's device by the channel's name, or otherwise by devid. Returns 0 or a negative
 * errno.
 */
int device_find(struct store *store, domid_t frontend, const char *text, struct device_id *id);

#endif
