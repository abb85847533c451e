/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vchan devices of this host, as xenstore has them: whole ones, and what is left of others.
 */
#ifndef TOOLSTACK_DEVICES_H
#define TOOLSTACK_DEVICES_H

#include <stddef.h>

#include "state/device.h"
#include "state/store.h"

/* As a backend: nobody knows. */
#define DEVICE_BACKEND_UNKNOWN DOMID_INVALID

struct devices {
    struct device_id *ids; /* by frontend, devid, backend */
    size_t count;
};

/*
 * Finds every device of which any of F, B and T is there (doc/protocol.md, "Nodes"). 0, and the
 * caller owns it: devices_free(); or a negative errno, and *devices is empty.
 */
int devices_scan(struct store *store, struct devices *devices);

/* Frees what devices_scan made. */
void devices_free(struct devices *devices);

/*
 * The backend's domain that T, or else F, names; DEVICE_BACKEND_UNKNOWN if there is none. 0, or a
 * negative errno if that cannot be read now.
 */
int device_read_backend(struct store *store, domid_t frontend, uint32_t devid, domid_t *backend);

/*
 * A device's name, as T, or else B or F has it. 0, -ENOENT: none of them has a valid one, or another
 * negative errno if that cannot be read now.
 */
int device_name_of(struct store *store, const struct device_id *id, char name[DEVICE_NAME_MAX + 1]);

/* Finds a device of a domain by the channel's name, or else by its devid. 0 or a negative errno. */
int device_find(struct store *store, domid_t frontend, const char *text, struct device_id *id);

#endif
