/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A channel as the rings of an endpoint (state/rings.h), in this process. */
#ifndef VCHAN_RINGS_H
#define VCHAN_RINGS_H

#include "state/rings.h"
#include "vchan/channel.h"
#include "vchan/xen.h"

struct channel_rings {
    struct rings rings; /* for endpoint_open() */
    struct xen *xen;
    struct channel *channel; /* set from grant, map or adopt until release; otherwise NULL */
};

/* Call once, before endpoint_open(). xen must outlive the endpoint. */
void channel_rings_init(struct channel_rings *rings, struct xen *xen);

#endif
