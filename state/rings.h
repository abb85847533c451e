/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one seam between the control path and the data path: what an endpoint asks of the code that
 * holds a channel's memory, and what that code tells it. The endpoint decides when pages are granted
 * and mapped. It does not know how, nor what is in them.
 *
 * The implementer embeds a struct rings, one for each endpoint, and fills in ops. The endpoint fills
 * in the rest. vchan/rings.h is the implementation in the same process. No call blocks.
 */
#ifndef STATE_RINGS_H
#define STATE_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "state/device.h"

struct rings;

/* What a frontend writes into its directory, and a backend reads there. */
struct rings_keys {
    uint32_t ring_ref;
    uint32_t port;
};

struct rings_ops {
    /*
     * Frontend: grants a page and rings of these orders to domain peer, and offers it a port. 0
     * with the keys, or a negative errno with nothing left: -ENOSPC (no more pages can be granted),
     * -EUSERS (no event channel left), -ENODEV (no driver).
     */
    int (*grant)(struct rings *rings, domid_t peer, const struct ring_orders *orders,
                 struct rings_keys *keys);
    /*
     * Backend: binds the port, maps the page and its rings, of these orders at most. 0, or a
     * negative errno with nothing left: -EBUSY (the port is not offered to us, or taken), -E2BIG
     * (a ring is larger), -EPROTO (the page is not sound), -EINVAL (no such grant), -ENODEV.
     */
    int (*map)(struct rings *rings, domid_t peer, const struct rings_keys *keys,
               const struct ring_orders *most);
    /* Backend: the same without a port, of a frontend that has gone: somebody else maps the pages. */
    int (*adopt)(struct rings *rings, domid_t peer, uint32_t ring_ref,
                 const struct ring_orders *most);
    /* Gives back what the three above took. The peer learns at once; what was written it can read. */
    void (*release)(struct rings *rings);

    /* These are asked and told between grant, map or adopt, and release. */

    /* How many pages of their own the rings have, beside the shared one. */
    uint32_t (*pages)(const struct rings *rings);
    /* Whether the peer's process is gone, by its live byte alone. One that did not come yet is not. */
    bool (*peer_died)(const struct rings *rings);
    /* Whether the peer has left, in order or not. One that is waited for has not (set_patient). */
    bool (*peer_left)(const struct rings *rings);
    /* Whether another process goes on if the peer's dies, so that it is waited for. */
    void (*set_patient)(struct rings *rings, bool patient);
    /* The peer will send no more: an empty ring is then the end. */
    void (*set_ended)(struct rings *rings);
    /* The peer holds the rings no more, whatever its live byte says. */
    void (*set_gone)(struct rings *rings);
};

struct rings {
    const struct rings_ops *ops;
    /* The peer signalled. It may release the rings. The endpoint's; set as long as it is open. */
    void (*fired)(void *arg);
    void *arg;
};

#endif
