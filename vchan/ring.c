/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/ring.h"

#include <errno.h>

#include "vchan/barrier.h"

/* cli_live and srv_live. A client that never says PRESENT (libxenvchan before 4.14) stays AWAITED. */
enum { LIVE_LEFT = 0, LIVE_PRESENT = 1, LIVE_AWAITED = 2 };

static uint32_t pages_of(unsigned int order)
{
    return order < RING_ORDER_PAGE ? 0 : 1u << (order - RING_ORDER_PAGE);
}

/* A ring of order 10 lies at 1 KiB in the page and one of 11 at 2 KiB, so offset is size. */
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
    ring->own = ring->peer = ring->told = 0;
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
    page->cli_live = LIVE_AWAITED;
    page->srv_live = LIVE_PRESENT;
    page->cli_notify = VCHAN_NOTIFY_WRITE;
    page->srv_notify = 0;
}

int ring_layout_read(const struct vchan_interface *page, struct ring_layout *layout)
{
    return ring_layout_make(load_once(&page->left_order), load_once(&page->right_order), layout);
}

/* Both indices, as an earlier client and the server left them; mine is the one that is ours. */
static int ring_resume(struct ring *ring, const uint32_t *mine, const uint32_t *theirs)
{
    ring->own = ring->told = load_once(mine);
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
    store_release(end->live, LIVE_PRESENT);
    ring_request(end, VCHAN_NOTIFY_WRITE);
    return 0;
}

void ring_leave(struct ring_end *end)
{
    /* Pairs with the acquire in ring_peer_left(): who sees us gone sees all that we wrote. */
    store_release(end->live, LIVE_LEFT);
}

bool ring_has(const struct ring *ring, uint32_t enough)
{
    return ring->peer - ring->own >= enough && ring->peer != ring->own;
}

int ring_readable(struct ring *ring, uint32_t enough)
{
    uint32_t prod;

    if (ring_has(ring, enough))
        return (int)(ring->peer - ring->own);
    /* Pairs with the release in the peer's ring_produce(): the bytes are there before the index. */
    prod = load_acquire(&ring->shared->prod);
    if (prod - ring->own > ring->size)
        return -EPROTO;
    ring->peer = prod;
    return (int)(prod - ring->own);
}

int ring_writable(struct ring *ring, uint32_t enough)
{
    uint32_t room = ring->size - (ring->own - ring->peer);
    uint32_t cons;

    if (room >= enough && room != 0)
        return (int)room;
    /* Pairs with the release in the peer's ring_consume(): it has read before we overwrite. */
    cons = load_acquire(&ring->shared->cons);
    if (ring->own - cons > ring->size)
        return -EPROTO;
    ring->peer = cons;
    return (int)(ring->size - (ring->own - cons));
}

unsigned int ring_spans(const struct ring *ring, uint32_t bytes, struct ring_span spans[2])
{
    uint32_t offset = ring->own & (ring->size - 1);
    uint32_t first = ring->size - offset;

    if (bytes == 0)
        return 0;
    if (first > bytes)
        first = bytes;
    spans[0] = (struct ring_span){.base = ring->data + offset, .length = first};
    spans[1] = (struct ring_span){.base = ring->data, .length = bytes - first};
    return bytes > first ? 2 : 1;
}

bool ring_consume(struct ring *ring, uint32_t bytes)
{
    uint32_t untold;

    ring->own += bytes;
    untold = ring->own - ring->told;
    return untold >= ring->size / 2 || (ring->own == ring->peer && untold >= ring->size / 8);
}

void ring_record(struct ring *ring)
{
    store_release(&ring->shared->cons, ring->own); /* pairs with ring_writable() */
}

bool ring_tell(struct ring *ring)
{
    if (ring->told == ring->own)
        return false;
    ring->told = ring->own;
    ring_record(ring);
    return true;
}

void ring_produce(struct ring *ring, uint32_t bytes)
{
    ring->own += bytes;
    store_release(&ring->shared->prod, ring->own); /* pairs with ring_readable() */
}

/*
 * ring_request() and ring_must_signal() are two halves of one handshake. One side writes its
 * request, fences, then looks at the index; the other writes the index, fences, then looks at the
 * request. In whatever order these fall, at least one of the two looks sees the other's write: no
 * wake-up is lost. (The request's fence is in its atomic; the fence after it keeps that true where
 * an atomic does not order later loads.)
 */
void ring_request(struct ring_end *end, uint8_t what)
{
    fetch_or(end->want, what);
    full_fence();
}

bool ring_must_signal(struct ring_end *end, uint8_t what)
{
    full_fence();
    if (!(load_once(end->asked) & what)) /* the common case: no locked instruction */
        return false;
    return fetch_and(end->asked, (uint8_t)~what) & what;
}

bool ring_peer_left(const struct ring_end *end)
{
    /* Pairs with the release in ring_leave(). */
    return load_acquire(end->peer_live) == LIVE_LEFT;
}

bool ring_peer_present(const struct ring_end *end)
{
    return load_once(end->peer_live) == LIVE_PRESENT;
}
