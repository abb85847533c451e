/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/rings.h"

/* The rings are its first member. */
static struct channel_rings *own(struct rings *rings)
{
    return (struct channel_rings *)rings;
}

static struct channel *channel_of(const struct rings *rings)
{
    return ((const struct channel_rings *)rings)->channel;
}

static void pass_on(struct channel *channel, void *arg)
{
    struct rings *rings = arg;

    (void)channel;
    rings->fired(rings->arg);
}

static struct channel_owner owner_of(struct rings *rings)
{
    return (struct channel_owner){.fired = pass_on, .arg = rings};
}

static int rings_grant(struct rings *rings, domid_t peer, const struct ring_orders *orders,
                       struct rings_keys *keys)
{
    struct channel_rings *mine = own(rings);
    int rc = channel_serve(mine->xen, peer, orders, owner_of(rings), &mine->channel);

    if (rc == 0)
        *keys = (struct rings_keys){.ring_ref = channel_ring_ref(mine->channel),
                                    .port = channel_port(mine->channel)};
    return rc;
}

static int rings_map(struct rings *rings, domid_t peer, const struct rings_keys *keys,
                     const struct ring_orders *most)
{
    struct channel_rings *mine = own(rings);

    return channel_join(mine->xen, peer, keys->ring_ref, keys->port, most, owner_of(rings),
                        &mine->channel);
}

static int rings_adopt(struct rings *rings, domid_t peer, uint32_t ring_ref,
                       const struct ring_orders *most)
{
    struct channel_rings *mine = own(rings);

    return channel_adopt(mine->xen, peer, ring_ref, most, owner_of(rings), &mine->channel);
}

static void rings_release(struct rings *rings)
{
    struct channel_rings *mine = own(rings);

    channel_close(mine->channel);
    mine->channel = NULL;
}

/* Rings smaller than a page lie in the shared one. */
static uint32_t rings_pages(const struct rings *rings)
{
    const struct channel *channel = channel_of(rings);

    return channel_read_size(channel) / RING_PAGE_SIZE +
           channel_write_size(channel) / RING_PAGE_SIZE;
}

static bool rings_peer_died(const struct rings *rings)
{
    return channel_peer_died(channel_of(rings));
}

static bool rings_peer_left(const struct rings *rings)
{
    return channel_peer_left(channel_of(rings));
}

static void rings_set_resumable(struct rings *rings, bool resumable)
{
    channel_set_resumable(channel_of(rings), resumable);
}

static void rings_set_ended(struct rings *rings)
{
    channel_set_ended(channel_of(rings));
}

static void rings_set_gone(struct rings *rings)
{
    channel_set_gone(channel_of(rings));
}

void channel_rings_init(struct channel_rings *rings, struct xen *xen)
{
    static const struct rings_ops ops = {
        .grant = rings_grant,
        .map = rings_map,
        .adopt = rings_adopt,
        .release = rings_release,
        .pages = rings_pages,
        .peer_died = rings_peer_died,
        .peer_left = rings_peer_left,
        .set_resumable = rings_set_resumable,
        .set_ended = rings_set_ended,
        .set_gone = rings_set_gone,
    };

    *rings = (struct channel_rings){.rings.ops = &ops, .xen = xen};
}
