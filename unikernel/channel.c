/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "unikernel/event.h"
#include "unikernel/grant.h"
#include "unikernel/memory.h"
#include "unikernel/platform.h"
#include "vchan/bytes.h"

#define RING_PAGES_MAX (RING_SIZE_MAX / PAGE_SIZE)

struct channel {
    struct channel *next; /* of the closed channels that are still mapped */
    struct bytes bytes;
    evtchn_port_t port;
    uint64_t echoed; /* bytes */
    uint8_t *memory; /* the shared page, the left ring, the right ring */
    unsigned int pages;
    unsigned int granted; /* how many of refs are granted */
    grant_ref_t refs[1 + 2 * RING_PAGES_MAX];
};

_Static_assert(sizeof(struct channel) <= PAGE_SIZE, "a channel takes a page");

static struct channel *still_mapped;

/* ---- opening and closing ---- */

static int grant_all(struct channel *channel, domid_t peer)
{
    struct vchan_interface *page = (struct vchan_interface *)channel->memory;

    while (channel->granted < channel->pages) {
        grant_ref_t *ref = &channel->refs[channel->granted];
        int rc = grant_give(peer, channel->memory + channel->granted * PAGE_SIZE, ref);

        if (rc < 0)
            return rc;
        if (channel->granted > 0)
            page->grants[channel->granted - 1] = *ref;
        channel->granted++;
    }
    return 0;
}

/* Returns whether nobody maps any of it any more. */
static bool end_grants(struct channel *channel)
{
    bool ended = true;

    for (unsigned int i = 0; i < channel->granted; i++)
        ended &= grant_end(channel->refs[i]);
    return ended;
}

static void channel_free(struct channel *channel)
{
    if (channel->memory)
        page_free(channel->memory, channel->pages);
    page_free(channel, 1);
}

static void signal_peer(struct bytes *bytes)
{
    port_signal(((struct channel *)((char *)bytes - offsetof(struct channel, bytes)))->port);
}

static int channel_make(struct channel *channel, domid_t peer, const struct ring_layout *layout)
{
    uint8_t *rings;
    int rc;

    channel->pages = 1 + layout->left_pages + layout->right_pages;
    channel->memory = page_alloc(channel->pages);
    if (!channel->memory)
        return -ENOMEM;
    channel->bytes.signal = signal_peer;
    rings = channel->memory + PAGE_SIZE;
    ring_serve(&channel->bytes.end, (struct vchan_interface *)channel->memory, layout, rings,
               rings + layout->left_pages * PAGE_SIZE);
    rc = port_offer(peer, &channel->port);
    return rc < 0 ? rc : grant_all(channel, peer);
}

int channel_serve(domid_t peer, const struct ring_orders *orders, struct channel **out)
{
    struct channel *channel;
    struct ring_layout layout;
    int rc = ring_layout_make(orders->read, orders->write, &layout);

    *out = NULL;
    channels_reap();
    channel = page_alloc(1);
    if (!channel)
        return -ENOMEM;
    if (rc == 0)
        rc = channel_make(channel, peer, &layout);
    if (rc < 0)
        channel_close(channel);
    else
        *out = channel;
    return rc;
}

void channel_close(struct channel *channel)
{
    if (!channel)
        return;
    if (channel->port) {
        ring_leave(&channel->bytes.end);
        port_signal(channel->port);
        port_close(channel->port);
    }
    if (end_grants(channel)) {
        channel_free(channel);
        return;
    }
    channel->next = still_mapped;
    still_mapped = channel;
}

bool channels_reap(void)
{
    struct channel **at = &still_mapped;

    while (*at) {
        struct channel *channel = *at;

        if (end_grants(channel)) {
            *at = channel->next;
            channel_free(channel);
        } else {
            at = &channel->next;
        }
    }
    return still_mapped;
}

/* ---- reading fields ---- */

grant_ref_t channel_ring_ref(const struct channel *channel)
{
    return channel->refs[0];
}

evtchn_port_t channel_port(const struct channel *channel)
{
    return channel->port;
}

uint64_t channel_bytes(const struct channel *channel)
{
    return channel->echoed;
}

bool channel_peer_here(const struct channel *channel)
{
    return bytes_peer_here(&channel->bytes);
}

bool channel_peer_left(const struct channel *channel)
{
    return bytes_peer_left(&channel->bytes);
}

void channel_set_ended(struct channel *channel)
{
    channel->bytes.ended = true;
}

void channel_set_gone(struct channel *channel)
{
    channel->bytes.gone = true;
}

/* ---- bytes ---- */

/* Copies the first bytes of one ring into the other. Both spans may wrap around. */
static void copy(const struct ring *in, const struct ring *out, uint32_t bytes)
{
    struct ring_span from[2] = {{0}}, to[2] = {{0}};
    unsigned int i = 0, j = 0;

    ring_spans(in, bytes, from);
    ring_spans(out, bytes, to);
    while (bytes > 0) {
        uint32_t part = from[i].length < to[j].length ? from[i].length : to[j].length;

        memcpy(to[j].base, from[i].base, part);
        from[i].base += part;
        from[i].length -= part;
        to[j].base += part;
        to[j].length -= part;
        i += from[i].length == 0;
        j += to[j].length == 0;
        bytes -= part;
    }
}

static void move(struct channel *channel, uint32_t bytes)
{
    struct ring_end *end = &channel->bytes.end;

    copy(&end->in, &end->out, bytes);
    channel->echoed += bytes;
    ring_produce(&end->out, bytes);
    bytes_wake(&channel->bytes, VCHAN_NOTIFY_WRITE);
    if (ring_consume(&end->in, bytes))
        bytes_publish(&channel->bytes);
}

static enum echo why_not(int rc)
{
    switch (rc) {
    case 0:
        return ECHO_END;
    case -EAGAIN:
        return ECHO_WAIT;
    case -EPIPE:
        return ECHO_LEFT;
    default:
        return ECHO_CORRUPT;
    }
}

enum echo channel_echo(struct channel *channel)
{
    uint64_t turn = channel->echoed + channel->bytes.end.in.size;

    while (channel->echoed < turn) {
        int bytes = bytes_readable(&channel->bytes, 1);
        int room = bytes > 0 ? bytes_writable(&channel->bytes, 1) : bytes;

        if (room <= 0)
            return why_not(room);
        move(channel, (uint32_t)(bytes < room ? bytes : room));
    }
    return ECHO_MORE;
}
