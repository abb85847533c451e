/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One device that this domain is one side of: its endpoint, its connection, its lines in the log.
 */
#ifndef SERVICE_DEVICE_H
#define SERVICE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/connection.h"
#include "service/loop.h"

struct claims;
struct device;

/*
 * Makes a device for B = backend/vchan/frontend/devid, which says itself what it is plugged into.
 * quota and claims are the frontend domain's, and outlive the device. NULL: no memory. It does
 * nothing until device_look(); after that the caller forgets the claims before it waits for
 * anything.
 */
struct device *device_new_backend(const struct loop *loop, struct quota *quota,
                                  struct claims *claims, domid_t frontend, uint32_t devid);

/*
 * Makes a device for F = device/vchan/devid, plugged into what the spec (copied) says. As above, but
 * the quota is the backend domain's.
 */
struct device *device_new_frontend(const struct loop *loop, struct quota *quota, uint32_t devid,
                                   const struct spec *spec);

/* Whether it is served: it was taken over, and has not been let go of. */
bool device_is_taken(const struct device *device);

/*
 * Whether it is for somebody else to serve (connection=app); only its own directory can change
 * that.
 */
bool device_is_others(const struct device *device);

/* Whether it has a channel, and so may have bytes to deliver. */
bool device_is_connected(const struct device *device);

/*
 * Something below B or F changed, or may have: takes the device over if it can be, and does all
 * that is to be done now. What is wrong with it is logged once, and tried again after a pause, which
 * grows; what only other nodes of it can mend, when it is looked at after that. One whose other
 * side's directory is gone is let go of, once what that side left is delivered. A frontend that has
 * come to its end starts over by itself, after a pause.
 */
void device_look(struct device *device);

/*
 * Ends it in order: it delivers what its other side has sent, and is served no more. That is done
 * when device_has_rings() says no.
 */
void device_end(struct device *device);

/* Whether it waits for its worker to map or grant rings. */
bool device_is_asking(const struct device *device);

/* Whether it holds rings, connected or not yet, or waits for them. */
bool device_has_rings(const struct device *device);

/* Takes it to Closed in order and frees it. Not to be called from within device_look(). */
void device_free(struct device *device);

#endif
