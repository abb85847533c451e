/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared page and its two rings: the whole wire format (doc/protocol.md, "The shared page";
 * xen/io/libxenvchan.h). Freestanding: no library, no allocation, no system call. It never blocks.
 * One thread at a time may work on a page.
 *
 * The page also belongs to the other domain, which may be hostile. What this side decides (sizes,
 * its own indices) is kept in private memory, and the shared copy is only written. What the peer
 * writes is read once, checked, and used only if it is valid; otherwise the result is -EPROTO.
 */
#ifndef VCHAN_RING_H
#define VCHAN_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/io/libxenvchan.h>

#include "state/device.h"
#include "vchan/barrier.h"

#define RING_PAGE_SIZE 4096u

/*
 * Values of cli_live and srv_live. A client that never writes PRESENT (libxenvchan before Xen 4.14)
 * stays AWAITED.
 */
enum ring_live { RING_LEFT = 0, RING_PRESENT = 1, RING_AWAITED = 2 };

/* One direction, as one side sees it. */
struct ring {
    struct ring_shared *shared; /* the indices in the page */
    uint8_t *data;              /* size bytes */
    uint32_t size;              /* a power of two */
    uint32_t own;               /* our index: cons if we read, prod if we write */
    uint32_t published;         /* reader: our index when it was last published */
    uint32_t peer;              /* the last valid snapshot of the other index */
    uint32_t claimed;           /* writer: the room up to here has been claimed */
};

/*
 * One side of the page: the ring it reads, the ring it writes, and the bytes by which the two sides
 * request signals.
 */
struct ring_end {
    struct vchan_interface *page;
    struct ring in;
    struct ring out;
    uint8_t *want;      /* what we ask to be signalled for: we set bits, the peer clears them */
    uint8_t *asked;     /* what the peer asks to be signalled for: it sets bits, we clear them */
    uint8_t *live;      /* ours */
    uint8_t *peer_live; /* the peer's */
};

/* Contiguous bytes in a ring. */
struct ring_span {
    uint8_t *base;
    uint32_t length;
};

/*
 * Where the rings lie: how many pages of its own each has. left is the client-to-server ring, right
 * the other.
 */
struct ring_layout {
    uint16_t left_order;
    uint16_t right_order;
    uint32_t left_pages;  /* 0: in the page */
    uint32_t right_pages; /* 0: in the page */
};

/*
 * Computes the layout for two orders. Returns 0, or -EPROTO if the orders do not go together
 * (ring_orders_valid()) or the grants would not fit beside a ring in the page.
 */
int ring_layout_make(unsigned int left_order, unsigned int right_order, struct ring_layout *layout);

/*
 * Server: formats a fresh page. Afterwards the caller writes page->grants (left pages, then right),
 * and only then publishes the page's grant reference. left and right are the rings' own pages, or
 * NULL where the layout has none.
 */
void ring_serve(struct ring_end *end, struct vchan_interface *page,
                const struct ring_layout *layout, void *left, void *right);

/*
 * Client: reads the layout from a page just mapped, once. Returns 0, or -EPROTO. The caller then
 * copies layout->left_pages + layout->right_pages grants from page->grants, maps them, and calls
 * ring_join().
 */
int ring_layout_read(const struct vchan_interface *page, struct ring_layout *layout);

/*
 * Client: continues at the indices in the page, marks itself present and asks to be signalled for
 * writes. It never resets the indices: the server may have written already, and an earlier client
 * may have read. The caller signals the server afterwards. Returns 0, or -EPROTO if the indices are
 * invalid; then the page is unchanged, and end->live stays NULL if it was.
 */
int ring_join(struct ring_end *end, struct vchan_interface *page, const struct ring_layout *layout,
              void *left, void *right);

/* Clears our live byte. The caller signals the peer afterwards. */
void ring_leave(struct ring_end *end);

/* ---- inline, because every read and write runs them: a handful of instructions each ---- */

/* Whether the last snapshot shows enough bytes, so that the page need not be read. */
static inline bool ring_has(const struct ring *ring, uint32_t enough)
{
    return ring->peer - ring->own >= enough && ring->peer != ring->own;
}

/*
 * Returns the number of bytes that can be read now, or -EPROTO. Reads the peer's index only if the
 * last snapshot does not show enough bytes.
 */
static inline int ring_readable(struct ring *ring, uint32_t enough)
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

/* The writer's room by the last snapshot. */
static inline uint32_t ring_room(const struct ring *ring)
{
    return ring->size - (ring->own - ring->peer);
}

/*
 * Returns the number of bytes that can be written now, or -EPROTO. Reads the peer's index like
 * ring_readable().
 */
static inline int ring_writable(struct ring *ring, uint32_t enough)
{
    uint32_t room = ring_room(ring);
    uint32_t cons;

    if (room >= enough && room != 0)
        return (int)room;
    /*
     * Pairs with the release in the peer's ring_record(): it has read the bytes that we overwrite.
     */
    cons = load_acquire(&ring->shared->cons);
    if (ring->own - cons > ring->size)
        return -EPROTO;
    ring->peer = cons;
    return (int)ring_room(ring);
}

/*
 * Both numbers by the peer's index now, without changing the snapshot; 0 if that index is invalid.
 */
static inline uint32_t ring_count_readable(const struct ring *ring)
{
    uint32_t count = load_acquire(&ring->shared->prod) - ring->own;

    return count > ring->size ? 0 : count;
}

static inline uint32_t ring_count_writable(const struct ring *ring)
{
    uint32_t used = ring->own - load_acquire(&ring->shared->cons);

    return used > ring->size ? 0 : ring->size - used;
}

/*
 * The next bytes at our index: one span, or two if they wrap around the ring's end. bytes is at
 * most what ring_readable() or ring_writable() returned. Returns the number of spans: 0, 1 or 2.
 */
static inline unsigned int ring_spans(const struct ring *ring, uint32_t bytes,
                                      struct ring_span spans[2])
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

/*
 * Takes the first bytes out of the ring without publishing it, so that reader and writer do not
 * contend for the page at every small message. Returns true when it is time to publish: half a ring
 * is free that the writer does not know of, or an eighth and nothing is left to read. Then, and
 * always before sleeping, the caller calls ring_publish().
 */
static inline bool ring_consume(struct ring *ring, uint32_t bytes)
{
    uint32_t pending;

    ring->own += bytes;
    pending = ring->own - ring->published;
    return pending >= ring->size / 2 || (ring->own == ring->peer && pending >= ring->size / 8);
}

/*
 * Writes our read index into the page, for a process that takes over when we die. It does not count
 * as published for ring_publish().
 */
static inline void ring_record(struct ring *ring)
{
    store_release(&ring->shared->cons, ring->own); /* pairs with ring_writable() */
}

/* Publishes our read index. Returns whether it had changed; then see ring_must_signal(). */
static inline bool ring_publish(struct ring *ring)
{
    if (ring->published == ring->own)
        return false;
    ring->published = ring->own;
    ring_record(ring);
    return true;
}

/*
 * Call before filling bytes of the room: takes their cache lines, and those of up to 1 KiB after
 * them, from the reader's CPU, many at once. One by one, each behind the fence of its message, they
 * take several times as long. With touch false it only moves the mark, for a reader on the same
 * CPU.
 */
void ring_claim(struct ring *ring, uint32_t bytes, bool touch);

/*
 * Whether any of these bytes (at most the ring's size) are unclaimed. Also true if the mark lies
 * anywhere behind our index.
 */
static inline bool ring_unclaimed(const struct ring *ring, uint32_t bytes)
{
    return ring->claimed - ring->own - bytes > ring->size - bytes;
}

/* Shows the first bytes of the room, now filled, to the reader. */
static inline void ring_produce(struct ring *ring, uint32_t bytes)
{
    ring->own += bytes;
    store_release(&ring->shared->prod, ring->own); /* pairs with ring_readable() */
}

/*
 * ring_request() and ring_must_signal() are the two halves of one handshake. One side writes its
 * request, fences, then reads the index; the other writes the index, fences, then reads the
 * request. In any order, at least one of the two reads sees the other side's write, so no wake-up
 * is lost.
 */

/*
 * Asks the peer to signal after it writes (VCHAN_NOTIFY_WRITE) or reads (VCHAN_NOTIFY_READ). The
 * caller must check the ring again before it sleeps: what came before the request causes no signal.
 */
void ring_request(struct ring_end *end, uint8_t what);

/*
 * After consuming (VCHAN_NOTIFY_READ) or producing (VCHAN_NOTIFY_WRITE): returns whether the peer
 * asked for a signal. It clears the request, so the caller must signal if it returns true.
 */
static inline bool ring_must_signal(struct ring_end *end, uint8_t what)
{
    full_fence(); /* pairs with ring_request() */
    /* the common case: one locked instruction instead of two */
    if (!(load_once(end->asked) & what))
        return false;
    return fetch_and(end->asked, (uint8_t)~what) & what;
}

/* Whether the peer came and has left. A client that has not come yet has not left. */
static inline bool ring_peer_left(const struct ring_end *end)
{
    /* Pairs with the release in ring_leave(). */
    return load_acquire(end->peer_live) == RING_LEFT;
}

/* Whether the peer marks itself present. A client from before Xen 4.14 never does. */
bool ring_peer_present(const struct ring_end *end);

#endif
