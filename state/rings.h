/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seam between control path and data path: what an endpoint asks of the code that holds a
 * channel's memory, and what that code reports. The endpoint decides when pages are granted and
 * mapped. It does not know how, nor what is in them.
 *
 * The implementer embeds one struct rings for each endpoint and fills in ops; the endpoint fills in
 * the rest. vchan/rings.h implements it in the same process, service/worker/worker.h in a process of
 * its own. No call blocks.
 */
#ifndef STATE_RINGS_H
#define STATE_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "state/device.h"

struct rings;

/* What a frontend writes into its directory for the backend. */
struct rings_keys {
    uint32_t ring_ref;
    uint32_t port;
};

struct rings_ops {
    /*
     * Each of the first three may return -EINPROGRESS. It calls fired() when it has an answer, and
     * is then called again with the same arguments, unless release() comes first.
     *
     * Frontend: grants a page and rings of these orders to domain peer, and offers it a port.
     * Returns 0 with *keys filled in, or a negative errno with nothing allocated: -ENOSPC (no more
     * pages can be granted), -EUSERS (no event channel left), -ENODEV (no driver).
     */
    int (*grant)(struct rings *rings, domid_t peer, const struct ring_orders *orders,
                 struct rings_keys *keys);
    /*
     * Backend: binds the port, maps the page and its rings, of orders up to most. Returns 0, or a
     * negative errno with nothing allocated: -EPIPE (the process that was to map them died, more
     * than once), -EBUSY (the port is not offered to us, or taken),
     * -E2BIG (a ring is larger), -EPROTO (the page is invalid), -EINVAL (no such grant), -ENODEV
     * (no driver).
     */
    int (*map)(struct rings *rings, domid_t peer, const struct rings_keys *keys,
               const struct ring_orders *most);
    /*
     * Backend: maps without a port, after the frontend has gone, while another process maps the
     * pages.
     */
    int (*adopt)(struct rings *rings, domid_t peer, uint32_t ring_ref,
                 const struct ring_orders *most);
    /*
     * Releases what one of the three above acquired, or is acquiring. The peer learns at once, and
     * can read what was written.
     */
    void (*release)(struct rings *rings);

    /* The calls below are allowed from grant, map or adopt until release. */

    /* How many pages the rings have beside the shared one. */
    uint32_t (*pages)(const struct rings *rings);
    /* Whether the peer's process is gone, by its live byte alone. False if it has not come yet. */
    bool (*peer_died)(const struct rings *rings);
    /* Whether the peer has left, cleanly or not; see set_resumable. */
    bool (*peer_left)(const struct rings *rings);
    /*
     * Sets whether another process takes over when the peer's dies. If so, its death is not its
     * leaving.
     */
    void (*set_resumable)(struct rings *rings, bool resumable);
    /* The peer will send no more: an empty ring is then the end. */
    void (*set_ended)(struct rings *rings);
    /* The peer has released the rings, whatever its live byte says. */
    void (*set_gone)(struct rings *rings);
};

struct rings {
    const struct rings_ops *ops;
    /*
     * Called when the peer has signalled, or when what is in progress has an answer; it may call
     * release. Set by the endpoint while it is open.
     */
    void (*fired)(void *arg);
    void *arg;
};

#endif
