/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One device that this domain is the backend of: its endpoint, its connection, its lines in the
 * log.
 */
#ifndef CONNECTION_DEVICE_H
#define CONNECTION_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "state/store.h"
#include "vchan/xen.h"

struct device;
struct event_base;

/* What all devices share. Owned by the service. */
struct host {
    struct event_base *base;
    struct store *store;
    struct xen *xen;
    struct ledger *ledger; /* statistics; or NULL: none are kept */
};

/* Makes a device for B = backend/vchan/frontend/devid. NULL: no memory. It does nothing until
 * device_look(). */
struct device *device_new(const struct host *host, domid_t frontend, uint32_t devid);

/* Whether it is served: it was taken over, and has not been let go of. */
bool device_is_taken(const struct device *device);

/*
 * Something below B or F changed, or may have: takes the device over if it can be, and does all
 * that is to be done now. What is wrong with it is logged once, and tried again each time. One
 * whose frontend's directory is gone is let go of, once what the frontend left is delivered.
 */
void device_look(struct device *device);

/* Takes it to Closed in order and frees it. Not to be called from within device_look(). */
void device_free(struct device *device);

#endif
