/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/ring.h"

#include <errno.h>

#include "vchan/copy.h"

/* ring_claim() claims at least this many bytes at a time. */
#define CLAIM_MIN 1024u

static uint32_t pages_of(unsigned int order)
{
    return order < RING_ORDER_PAGE ? 0 : 1u << (order - RING_ORDER_PAGE);
}

/*
 * A ring of order 10 lies at 1 KiB in the page and one of order 11 at 2 KiB: the offset is the
 * size.
 */
static uint32_t grants_end(unsigned int left_order, unsigned int right_order)
{
    unsigned int first = left_order < right_order ? left_order : right_order;

    return first < RING_ORDER_PAGE ? 1u << first : RING_PAGE_SIZE;
}

int ring_layout_make(unsigned int left_order, unsigned int right_order, struct ring_layout *layout)
{
    uint32_t end;

    if (!ring_orders_valid(left_order, right_order))
        return -EPROTO;
    layout->left_order = (uint16_t)left_order;
    layout->right_order = (uint16_t)right_order;
    layout->left_pages = pages_of(left_order);
    layout->right_pages = pages_of(right_order);

    end = offsetof(struct vchan_interface, grants) +
          (layout->left_pages + layout->right_pages) * sizeof(uint32_t);
    return end <= grants_end(left_order, right_order) ? 0 : -EPROTO;
}

static void ring_place(struct ring *ring, struct vchan_interface *page, struct ring_shared *shared,
                       unsigned int order, void *pages)
{
    ring->shared = shared;
    ring->size = 1u << order;
    ring->data = order < RING_ORDER_PAGE ? (uint8_t *)page + ring->size : pages;
    ring->own = ring->peer = ring->published = ring->claimed = 0;
}

void ring_serve(struct ring_end *end, struct vchan_interface *page,
                const struct ring_layout *layout, void *left, void *right)
{
    end->page = page;
    ring_place(&end->in, page, &page->left, layout->left_order, left);
    ring_place(&end->out, page, &page->right, layout->right_order, right);
    end->want = &page->cli_notify;
    end->asked = &page->srv_notify;
    end->live = &page->srv_live;
    end->peer_live = &page->cli_live;

    page->left = page->right = (struct ring_shared){0};
    page->left_order = layout->left_order;
    page->right_order = layout->right_order;
    page->cli_live = RING_AWAITED;
    page->srv_live = RING_PRESENT;
    page->cli_notify = VCHAN_NOTIFY_WRITE;
    page->srv_notify = 0;
}

int ring_layout_read(const struct vchan_interface *page, struct ring_layout *layout)
{
    return ring_layout_make(load_once(&page->left_order), load_once(&page->right_order), layout);
}

/* Continues with both indices as an earlier client and the server left them; *mine is ours. */
static int ring_resume(struct ring *ring, const uint32_t *mine, const uint32_t *theirs)
{
    ring->own = ring->published = ring->claimed = load_once(mine);
    ring->peer = load_acquire(theirs); /* pairs with the peer's release, as in ring_readable() */
    if (mine == &ring->shared->prod)
        return ring->own - ring->peer > ring->size ? -EPROTO : 0;
    return ring->peer - ring->own > ring->size ? -EPROTO : 0;
}

int ring_join(struct ring_end *end, struct vchan_interface *page, const struct ring_layout *layout,
              void *left, void *right)
{
    int rc;

    end->page = page;
    ring_place(&end->out, page, &page->left, layout->left_order, left);
    ring_place(&end->in, page, &page->right, layout->right_order, right);
    end->want = &page->srv_notify;
    end->asked = &page->cli_notify;
    end->peer_live = &page->srv_live;

    rc = ring_resume(&end->out, &page->left.prod, &page->left.cons);
    if (rc == 0)
        rc = ring_resume(&end->in, &page->right.cons, &page->right.prod);
    if (rc < 0)
        return rc;
    end->live = &page->cli_live;
    /* no barrier: a peer that sees it relies on nothing written before it */
    store_once(end->live, RING_PRESENT);
    ring_request(end, VCHAN_NOTIFY_WRITE);
    return 0;
}

void ring_leave(struct ring_end *end)
{
    /*
     * Pairs with the acquire in ring_peer_left(): a peer that sees us gone sees all that we wrote.
     */
    store_release(end->live, RING_LEFT);
}

void ring_request(struct ring_end *end, uint8_t what)
{
    fetch_or(end->want, what);
    /* For CPUs where an atomic does not order later loads. Pairs with ring_must_signal(). */
    full_fence();
}

static uint32_t line_after(uint32_t index)
{
    return (index + COPY_LINE - 1) / COPY_LINE * COPY_LINE;
}

void ring_claim(struct ring *ring, uint32_t bytes, bool touch)
{
    uint32_t from = ring_unclaimed(ring, 0) ? ring->own : ring->claimed;
    uint32_t length = bytes < CLAIM_MIN ? CLAIM_MIN : bytes;
    uint32_t room = ring_room(ring);

    ring->claimed = ring->own + (length < room ? length : room);
    for (uint32_t at = line_after(from); touch && (int32_t)(ring->claimed - at) > 0;
         at += COPY_LINE)
        *(volatile uint8_t *)&ring->data[at & (ring->size - 1)] = 0;
}

bool ring_peer_present(const struct ring_end *end)
{
    return load_once(end->peer_live) == RING_PRESENT;
}
