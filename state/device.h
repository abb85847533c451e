/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A vchan device: its identity, the paths of its nodes, the limits of its sizes. See
 * doc/protocol.md, "Nodes" and "Ring sizes".
 */
#ifndef STATE_DEVICE_H
#define STATE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <xen/xen.h>

/* A channel's name: 1 to 64 of [A-Za-z0-9._-]. */
#define DEVICE_NAME_MAX 64

/* Room for the path of any device directory and its NUL. */
#define DEVICE_PATH_MAX 96

/* The largest devid: every decimal parser in other implementations accepts it. */
#define DEVICE_ID_MAX 65535

/*
 * Ring orders on the wire (xen/io/libxenvchan.h): 10 and 11 lie in the shared page, larger ones
 * have pages of their own.
 */
#define RING_ORDER_MIN 10
#define RING_ORDER_MAX 20
#define RING_ORDER_PAGE 12
#define RING_SIZE_MAX (1u << RING_ORDER_MAX)

/* How many streams a channel may be declared to carry at once (doc/protocol.md, "Streams"). */
#define STREAMS_MIN 2u
#define STREAMS_MAX 4096u

/* The toolstack's default, in bytes, when the config gives no size. */
#define RING_SIZE_DEFAULT (64u * 1024)

/* A device of type "vchan" between two domains. */
struct device_id {
    domid_t frontend;
    domid_t backend;
    uint32_t devid;
};

/* Whether text is a valid channel name. */
bool device_name_valid(const char *text);

/* F: /local/domain/<frontend>/device/vchan/<devid>. Always fits. */
void device_frontend_path(const struct device_id *id, char path[DEVICE_PATH_MAX]);

/* B: /local/domain/<backend>/backend/vchan/<frontend>/<devid>. Always fits. */
void device_backend_path(const struct device_id *id, char path[DEVICE_PATH_MAX]);

/* T: /libxl/<frontend>/device/vchan/<devid>. Always fits. */
void device_libxl_path(const struct device_id *id, char path[DEVICE_PATH_MAX]);

/*
 * The number of the lock that a process holds while it plays one side of a device. For the
 * backend's side, peer is the frontend's domain; for the frontend's side, a number that no domain
 * has.
 */
off_t device_side_number(domid_t peer, uint32_t devid);

/* The orders of a channel's two rings, as the frontend sees them. */
struct ring_orders {
    uint16_t read;
    uint16_t write;
};

/*
 * Finds the smallest orders that hold the two sizes (bytes, at most RING_SIZE_MAX each; 0 counts as
 * 1). One ring may take the 1 KiB in the shared page and one the 2 KiB; any other has pages of its
 * own. The choice is the same as libxenvchan's, so that both sides of any pair of libraries agree.
 * Returns 0, or -ERANGE if a size is too large.
 */
int ring_orders_for(size_t read_size, size_t write_size, struct ring_orders *orders);

/*
 * Whether two orders are valid together: each from 10 to 20, and not both in the same place of the
 * page.
 */
bool ring_orders_valid(unsigned int left, unsigned int right);

#endif
