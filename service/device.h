/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One device of which this domain is one side: its endpoint, its connection, and its log lines. All
 * functions belong to the thread of the event loop, and none blocks for long.
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
 * Creates a device for B = backend/vchan/frontend/devid; its nodes say what kind of connection it
 * has. quota and claims are the frontend domain's, and must outlive the device. Returns NULL if
 * memory runs out. The device does nothing until device_look(). After that call the caller forgets
 * the claims before it waits for anything.
 */
struct device *device_new_backend(const struct loop *loop, struct quota *quota,
                                  struct claims *claims, domid_t frontend, uint32_t devid);

/*
 * Creates a device for F = device/vchan/devid with the connection that spec describes (copied). As
 * above, but quota is the one of the backend's domain.
 */
struct device *device_new_frontend(const struct loop *loop, struct quota *quota, uint32_t devid,
                                   const struct spec *spec);

/* Whether the service serves the device: it has taken it over and not let go of it. */
bool device_is_taken(const struct device *device);

/*
 * Whether an application serves the device (connection=app). Only changes in its own directory can
 * change that.
 */
bool device_is_app(const struct device *device);

/* Whether its channel is open, so that there may be bytes to deliver. */
bool device_is_connected(const struct device *device);

/*
 * Something below B or F changed, or may have: takes the device over if that is possible, and does
 * what must be done now. A device that cannot be taken over is logged once. It is tried again after
 * growing pauses; if only other nodes can remedy it, at the first look after the pause.
 *
 * If the other side's directory is gone, the device is let go of, once that side's last bytes are
 * delivered. A frontend's device that has come to its end starts over by itself, after a pause.
 */
void device_look(struct device *device);

/*
 * Ends the device cleanly: it delivers what the other side has sent, and is not served again. It
 * has ended when device_has_rings() returns false.
 */
void device_end(struct device *device);

/* Whether it waits for its worker to map or grant rings. */
bool device_is_asking(const struct device *device);

/* Whether it has rings, connected or not yet, or waits for them. */
bool device_has_rings(const struct device *device);

/* Takes the device cleanly to Closed and frees it. Not to be called from within device_look(). */
void device_free(struct device *device);

#endif
