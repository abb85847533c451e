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

#include <stdbool.h>
#include <stdint.h>
#include <xen/io/libxenvchan.h>

#include "state/device.h"

#define RING_PAGE_SIZE 4096u

/* Where the lists of grants may go up to, if a ring lies in the page: that ring's offset. */
#define RING_GRANTS_MAX 512u

/* One direction, as one side of it sees it. */
struct ring {
    struct ring_shared *shared; /* the indices in the page */
    uint8_t *data;              /* size bytes */
    uint32_t size;              /* a power of two */
    uint32_t own;               /* our index: cons when we read, prod when we write */
    uint32_t told;              /* reader: our index when the writer was last told of it */
    uint32_t peer;              /* the last sound snapshot of the other index */
};

/* A side of the page: what it reads, what it writes, and the bytes by which the two wake each other. */
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

/* Where things lie: pages of their own for the client-to-server (left) and the other (right) ring. */
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

/*
 * Bytes that can be read now, or -EPROTO. The peer's index is looked up anew only if the last
 * snapshot does not promise enough bytes.
 */
int ring_readable(struct ring *ring, uint32_t enough);

/* Whether the last snapshot promises enough bytes: no look at the page is needed. */
bool ring_has(const struct ring *ring, uint32_t enough);

/* Room that can be written now, or -EPROTO; as ring_readable(). */
int ring_writable(struct ring *ring, uint32_t enough);

/*
 * The next bytes at our index, as one span or, over the ring's end, two. bytes is at most what
 * ring_readable() or ring_writable() returned. Returns how many spans are used: 0, 1 or 2.
 */
unsigned int ring_spans(const struct ring *ring, uint32_t bytes, struct ring_span spans[2]);

/*
 * Takes the first bytes of what was readable out. The writer is not told yet, so that it and we do not
 * fight for the page with every small message. Returns true if it is time: half a ring is free that it
 * does not know of, or an eighth and we have read all that we know of. Then, and in any case before
 * sleeping, the caller calls ring_tell().
 */
bool ring_consume(struct ring *ring, uint32_t bytes);

/* Tells the writer what was consumed. Returns whether that was news: then see ring_must_signal(). */
bool ring_tell(struct ring *ring);

/*
 * Writes our index of what was consumed into the page, for a process that takes over when we die; for
 * the writer the time may not have come yet.
 */
void ring_record(struct ring *ring);

/* Shows the first bytes of what was writable, now filled, to the reader. */
void ring_produce(struct ring *ring, uint32_t bytes);

/*
 * Asks the peer to signal when it wrote (VCHAN_NOTIFY_WRITE) or read (VCHAN_NOTIFY_READ). The
 * caller looks at the ring again before it sleeps: what came before the request makes no signal.
 */
void ring_request(struct ring_end *end, uint8_t what);

/*
 * After consuming (VCHAN_NOTIFY_READ) or producing (VCHAN_NOTIFY_WRITE): whether the peer asked to
 * be signalled. Taking the answer takes the request: the caller must signal if it is true.
 */
bool ring_must_signal(struct ring_end *end, uint8_t what);

/* Whether the peer was here and has left. A client that did not come yet has not left. */
bool ring_peer_left(const struct ring_end *end);

/* Whether the peer says that it is here. A client of before Xen 4.14 never says so. */
bool ring_peer_present(const struct ring_end *end);

#endif
