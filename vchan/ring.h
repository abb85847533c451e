/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared page and its two rings: the whole of the wire format (doc/protocol.md, "The shared
 * page"; xen/io/libxenvchan.h). Freestanding: no library, no allocation, no system call. It never
 * blocks, and works on one page from one thread.
 *
 * The page belongs to the other domain too, and that may be hostile. What this side has decided
 * (sizes, its own indices) is kept in private memory and the shared copy is only written. What the
 * peer writes is read once, checked, and used only if it is sound; if not, -EPROTO.
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

/* Where the lists of grants may go up to, if a ring lies in the page: that ring's offset. */
#define RING_GRANTS_MAX 512u

/*
 * cli_live and srv_live. A client that never says PRESENT (libxenvchan before 4.14) stays AWAITED.
 */
enum ring_live { RING_LEFT = 0, RING_PRESENT = 1, RING_AWAITED = 2 };

/* One direction, as one side of it sees it. */
struct ring {
    struct ring_shared *shared; /* the indices in the page */
    uint8_t *data;              /* size bytes */
    uint32_t size;              /* a power of two */
    uint32_t own;               /* our index: cons when we read, prod when we write */
    uint32_t told;              /* reader: our index when the writer was last told of it */
    uint32_t peer;              /* the last sound snapshot of the other index */
    uint32_t claimed;           /* writer: up to here the room was claimed */
};

/*
 * A side of the page: what it reads, what it writes, and the bytes by which the two wake each
 * other.
 */
struct ring_end {
    struct vchan_interface *page;
    struct ring in;
    struct ring out;
    uint8_t *want;      /* what we ask to be told of: we set bits, the peer clears them */
    uint8_t *asked;     /* what the peer asked to be told of: it sets bits, we clear them */
    uint8_t *live;      /* ours */
    uint8_t *peer_live; /* the peer's */
};

/* Bytes in the ring that lie together. */
struct ring_span {
    uint8_t *base;
    uint32_t length;
};

/*
 * Where things lie: pages of their own for the client-to-server (left) and the other (right) ring.
 */
struct ring_layout {
    uint16_t left_order;
    uint16_t right_order;
    uint32_t left_pages;  /* 0: in the page */
    uint32_t right_pages; /* 0: in the page */
};

/*
 * Works out a layout from two orders. Returns 0, or -EPROTO if the orders are not sound together
 * (ring_orders_valid) or the grants would not fit beside an in-page ring.
 */
int ring_layout_make(unsigned int left_order, unsigned int right_order, struct ring_layout *layout);

/*
 * Server: formats a fresh page. After it the caller writes page->grants (left pages, then right),
 * and only then tells the client where the page is. left and right are the rings' own pages, or
 * NULL where the layout has none.
 */
void ring_serve(struct ring_end *end, struct vchan_interface *page,
                const struct ring_layout *layout, void *left, void *right);

/*
 * Client: reads the layout from a page just mapped, once. Returns 0, or -EPROTO. The caller copies
 * layout->left_pages + right_pages grants from page->grants, maps them, and calls ring_join().
 */
int ring_layout_read(const struct vchan_interface *page, struct ring_layout *layout);

/*
 * Client: takes its place: continues at the indices in the page (never resets them: the server may
 * have written already, and an earlier client may have been here), says that it lives and asks to
 * be told of writes. The caller signals the server afterwards. Returns 0, or -EPROTO if the indices
 * are not sound; then the page is untouched, and end->live is NULL if it was.
 */
int ring_join(struct ring_end *end, struct vchan_interface *page, const struct ring_layout *layout,
              void *left, void *right);

/* Writes our live byte to 0. The caller signals the peer afterwards. */
void ring_leave(struct ring_end *end);

/* ---- what every read and write passes: a handful of instructions each, hence in place ---- */

/* Whether the last snapshot promises enough bytes: no look at the page is needed. */
static inline bool ring_has(const struct ring *ring, uint32_t enough)
{
    return ring->peer - ring->own >= enough && ring->peer != ring->own;
}

/*
 * Bytes that can be read now, or -EPROTO. The peer's index is looked up anew only if the last
 * snapshot does not promise enough bytes.
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

/* What the last snapshot promises the writer. */
static inline uint32_t ring_room(const struct ring *ring)
{
    return ring->size - (ring->own - ring->peer);
}

/* Room that can be written now, or -EPROTO; as ring_readable(). */
static inline int ring_writable(struct ring *ring, uint32_t enough)
{
    uint32_t room = ring_room(ring);
    uint32_t cons;

    if (room >= enough && room != 0)
        return (int)room;
    /* Pairs with the release in the peer's ring_record(): it has read before we overwrite. */
    cons = load_acquire(&ring->shared->cons);
    if (ring->own - cons > ring->size)
        return -EPROTO;
    ring->peer = cons;
    return (int)ring_room(ring);
}

/*
 * The two numbers as they are now, and nothing is kept of that look; 0 if the other index is not
 * sound.
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
 * The next bytes at our index, as one span or, over the ring's end, two. bytes is at most what
 * ring_readable() or ring_writable() returned. Returns how many spans are used: 0, 1 or 2.
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
 * Takes the first bytes of what was readable out. The writer is not told yet, so that it and we do
 * not fight for the page with every small message. Returns true if it is time: half a ring is free
 * that it does not know of, or an eighth and we have read all that we know of. Then, and in any
 * case before sleeping, the caller calls ring_tell().
 */
static inline bool ring_consume(struct ring *ring, uint32_t bytes)
{
    uint32_t untold;

    ring->own += bytes;
    untold = ring->own - ring->told;
    return untold >= ring->size / 2 || (ring->own == ring->peer && untold >= ring->size / 8);
}

/*
 * Writes our index of what was consumed into the page, for a process that takes over when we die;
 * for the writer the time may not have come yet.
 */
static inline void ring_record(struct ring *ring)
{
    store_release(&ring->shared->cons, ring->own); /* pairs with ring_writable() */
}

/*
 * Tells the writer what was consumed. Returns whether that was news: then see ring_must_signal().
 */
static inline bool ring_tell(struct ring *ring)
{
    if (ring->told == ring->own)
        return false;
    ring->told = ring->own;
    ring_record(ring);
    return true;
}

/*
 * Before filling so many bytes of what was writable: takes them, and what follows up to a KiB, away
 * from the cache of the reader's CPU, many lines at once. One by one, and each with the fence of
 * its message, they take several times as long. With touch false it only notes that it was here:
 * for a reader on the same CPU.
 */
void ring_claim(struct ring *ring, uint32_t bytes, bool touch);

/* Whether ring_claim() has not been there yet, for bytes up to the ring's size; or is behind,
 * however far. */
static inline bool ring_unclaimed(const struct ring *ring, uint32_t bytes)
{
    return ring->claimed - ring->own - bytes > ring->size - bytes;
}

/* Shows the first bytes of what was writable, now filled, to the reader. */
static inline void ring_produce(struct ring *ring, uint32_t bytes)
{
    ring->own += bytes;
    store_release(&ring->shared->prod, ring->own); /* pairs with ring_readable() */
}

/*
 * ring_request() and ring_must_signal() are two halves of one handshake. One side writes its
 * request, fences, then looks at the index; the other writes the index, fences, then looks at the
 * request. In whatever order these fall, at least one of the two looks sees the other's write: no
 * wake-up is lost.
 */

/*
 * Asks the peer to signal when it wrote (VCHAN_NOTIFY_WRITE) or read (VCHAN_NOTIFY_READ). The
 * caller looks at the ring again before it sleeps: what came before the request makes no signal.
 */
void ring_request(struct ring_end *end, uint8_t what);

/*
 * After consuming (VCHAN_NOTIFY_READ) or producing (VCHAN_NOTIFY_WRITE): whether the peer asked to
 * be signalled. Taking the answer takes the request: the caller must signal if it is true.
 */
static inline bool ring_must_signal(struct ring_end *end, uint8_t what)
{
    full_fence(); /* pairs with ring_request() */
    if (!(load_once(end->asked) & what)) /* the common case: one locked instruction, not two */
        return false;
    return fetch_and(end->asked, (uint8_t)~what) & what;
}

/* Whether the peer was here and has left. A client that did not come yet has not left. */
static inline bool ring_peer_left(const struct ring_end *end)
{
    /* Pairs with the release in ring_leave(). */
    return load_acquire(end->peer_live) == RING_LEFT;
}

/* Whether the peer says that it is here. A client of before Xen 4.14 never says so. */
bool ring_peer_present(const struct ring_end *end);

#endif
