/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An endpoint's rings (state/rings.h) in this process: a channel. */
#ifndef VCHAN_RINGS_H
#define VCHAN_RINGS_H

#include "state/rings.h"
#include "vchan/channel.h"
#include "vchan/xen.h"

struct channel_rings {
    struct rings rings; /* for endpoint_open() */
    struct xen *xen;
    struct channel *channel; /* from grant, map or adopt to release; or NULL */
};

/* To be called once, before endpoint_open(). xen outlives the endpoint. */
void channel_rings_init(struct channel_rings *rings, struct xen *xen);

#endif
