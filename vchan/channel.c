/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vchan/barrier.h"
#include "vchan/bytes.h"
#include "vchan/copy.h"
#include "vchan/pace.h"
#include "vchan/spin.h"
#include "vchan/trial.h"

/* State at the last large copy, for peer_is_apart(). */
struct past {
    uint64_t turns; /* signals in both directions, plus yields */
    uint32_t cons;  /* the reader's index */
};

struct channel {
    struct xen *xen;
    struct xen_port port;
    struct channel_owner owner;
    struct bytes bytes;
    struct ring_layout layout;
    struct vchan_interface *page;
    void *left;  /* the rings' own pages, or NULL */
    void *right;
    uint32_t ring_ref;
    bool server;
    struct spin spin[2]; /* by enum channel_wait */
    bool apart; /* the peer runs on another CPU at the same time */
    struct past past;
    struct trial trial; /* of copies past the caches */
    uint64_t woken;  /* signals to the peer when we last waited for room */
    uint64_t yields; /* times that we gave our CPU away */
    bool spoke; /* we have written since we last waited for bytes, so the peer is about to answer */
    struct channel_counts counts;
    uint64_t moved_then; /* sent + received when the port last fired */
    void (*moved)(void *arg); /* called at the next byte moved, or NULL */
    void *moved_arg;
};

static int channel_error(void)
{
    return errno ? -errno : -EIO;
}

static void port_fired(struct xen_port *port)
{
    struct channel *channel = (struct channel *)((char *)port - offsetof(struct channel, port));
    uint64_t bytes = channel->counts.received + channel->counts.sent;

    channel->counts.sleeps++;
    if (bytes != channel->moved_then)
        port->idle = 0;
    port->little = bytes - channel->moved_then < PACE_LITTLE;
    channel->moved_then = bytes;
    channel->owner.fired(channel, channel->owner.arg);
}

static void signal_peer(struct bytes *bytes)
{
    struct channel *channel = (struct channel *)((char *)bytes - offsetof(struct channel, bytes));

    channel->counts.wakes++;
    xen_signal(channel->xen, &channel->port);
}

static struct channel *channel_make(struct xen *xen, struct channel_owner owner)
{
    struct channel *channel = calloc(1, sizeof(*channel));

    if (channel) {
        channel->xen = xen;
        channel->owner = owner;
        channel->port.fired = port_fired;
        channel->bytes.signal = signal_peer;
    }
    return channel;
}

/* On failure, channel_close() frees what these two have acquired. */
static int grant_rings(struct channel *channel, xengntshr_handle *granting, domid_t peer)
{
    struct ring_layout *layout = &channel->layout;
    uint32_t *grants;

    channel->page = xengntshr_share_page_notify(granting, peer, &channel->ring_ref, 1,
                                                offsetof(struct vchan_interface, srv_live),
                                                channel->port.number);
    if (!channel->page)
        return channel_error();
    grants = channel->page->grants;
    if (layout->left_pages) {
        channel->left =
            xengntshr_share_pages(granting, peer, (int)layout->left_pages, grants, 1);
        if (!channel->left)
            return channel_error();
    }
    if (layout->right_pages) {
        channel->right = xengntshr_share_pages(granting, peer, (int)layout->right_pages,
                                               grants + layout->left_pages, 1);
        if (!channel->right)
            return channel_error();
    }
    return 0;
}

int channel_serve(struct xen *xen, domid_t peer, const struct ring_orders *orders,
                  struct channel_owner owner, struct channel **out)
{
    struct channel *channel = channel_make(xen, owner);
    xengntshr_handle *granting;
    int rc;

    *out = NULL;
    if (!channel)
        return -ENOMEM;
    channel->server = true;
    rc = ring_layout_make(orders->read, orders->write, &channel->layout);
    if (rc < 0)
        goto fail;
    granting = xen_granting(xen, &rc);
    if (!granting)
        goto fail;
    rc = xen_offer_port(xen, peer, &channel->port);
    if (rc < 0)
        goto fail;
    errno = 0;
    rc = grant_rings(channel, granting, peer);
    if (rc < 0)
        goto fail;
    ring_serve(&channel->bytes.end, channel->page, &channel->layout, channel->left, channel->right);
    *out = channel;
    return 0;

fail:
    channel_close(channel);
    return rc;
}

uint32_t channel_ring_ref(const struct channel *channel)
{
    return channel->ring_ref;
}

evtchn_port_t channel_port(const struct channel *channel)
{
    return channel->port.number;
}

static void *map_pages(xengnttab_handle *mapping, domid_t peer, uint32_t *grants, uint32_t count,
                       int prot)
{
    return xengnttab_map_domain_grant_refs(mapping, count, peer, grants, prot);
}

static int map_rings(struct channel *channel, xengnttab_handle *mapping, domid_t peer)
{
    struct ring_layout *layout = &channel->layout;
    uint32_t grants[2u << (RING_ORDER_MAX - RING_ORDER_PAGE)];

    for (uint32_t i = 0; i < layout->left_pages + layout->right_pages; i++)
        grants[i] = load_once(&channel->page->grants[i]);
    if (layout->left_pages) {
        channel->left =
            map_pages(mapping, peer, grants, layout->left_pages, PROT_READ | PROT_WRITE);
        if (!channel->left)
            return channel_error();
    }
    if (layout->right_pages) {
        channel->right = map_pages(mapping, peer, grants + layout->left_pages,
                                   layout->right_pages, PROT_READ);
        if (!channel->right)
            return channel_error();
    }
    return 0;
}

/*
 * Maps the page first, alone: the kernel clears our live byte only if that mapping asks for it.
 * (libxengnttab takes -1 for no port.)
 */
static int map_page(struct channel *channel, xengnttab_handle *mapping, domid_t peer)
{
    evtchn_port_t port = channel->port.number ? channel->port.number : (evtchn_port_t)-1;

    channel->page = xengnttab_map_grant_ref_notify(mapping, peer, channel->ring_ref,
                                                   PROT_READ | PROT_WRITE,
                                                   offsetof(struct vchan_interface, cli_live), port);
    return channel->page ? 0 : channel_error();
}

static int check_size(const struct ring_layout *layout, const struct ring_orders *most)
{
    bool larger = most && (layout->left_order > most->read || layout->right_order > most->write);

    return larger ? -E2BIG : 0;
}

static int map_all(struct channel *channel, xengnttab_handle *mapping, domid_t peer,
                   const struct ring_orders *most)
{
    int rc;

    errno = 0;
    rc = map_page(channel, mapping, peer);
    if (rc == 0)
        rc = ring_layout_read(channel->page, &channel->layout);
    if (rc == 0)
        rc = check_size(&channel->layout, most);
    if (rc == 0)
        rc = map_rings(channel, mapping, peer);
    if (rc == 0)
        rc = ring_join(&channel->bytes.end, channel->page, &channel->layout, channel->left,
                       channel->right);
    return rc;
}

/* A NULL port: join without one. */
static int join_page(struct xen *xen, domid_t peer, uint32_t ring_ref, const evtchn_port_t *port,
                     const struct ring_orders *most, struct channel_owner owner,
                     struct channel **out)
{
    struct channel *channel = channel_make(xen, owner);
    xengnttab_handle *mapping;
    int rc;

    *out = NULL;
    if (!channel)
        return -ENOMEM;
    channel->ring_ref = ring_ref;
    mapping = xen_mapping(xen, &rc);
    if (mapping && port)
        rc = xen_bind_port(xen, peer, *port, &channel->port);
    if (rc == -EINVAL)
        rc = -EBUSY;
    if (rc == 0)
        rc = map_all(channel, mapping, peer, most);
    if (rc < 0) {
        channel_close(channel);
        return rc;
    }
    channel->bytes.gone = !port;
    xen_signal(xen, &channel->port);
    *out = channel;
    return 0;
}

int channel_join(struct xen *xen, domid_t peer, uint32_t ring_ref, evtchn_port_t port,
                 const struct ring_orders *most, struct channel_owner owner,
                 struct channel **channel)
{
    return join_page(xen, peer, ring_ref, &port, most, owner, channel);
}

int channel_adopt(struct xen *xen, domid_t peer, uint32_t ring_ref, const struct ring_orders *most,
                  struct channel_owner owner, struct channel **channel)
{
    return join_page(xen, peer, ring_ref, NULL, most, owner, channel);
}

static void give_back(struct channel *channel, void *pages, uint32_t count)
{
    int ignored;

    if (!pages)
        return;
    if (channel->server)
        xengntshr_unshare(xen_granting(channel->xen, &ignored), pages, count);
    else
        xengnttab_unmap(xen_mapping(channel->xen, &ignored), pages, count);
}

void channel_close(struct channel *channel)
{
    if (!channel)
        return;
    give_back(channel, channel->left, channel->layout.left_pages);
    give_back(channel, channel->right, channel->layout.right_pages);
    if (channel->bytes.end.live) {
        ring_record(&channel->bytes.end.in);
        ring_leave(&channel->bytes.end);
    }
    xen_signal(channel->xen, &channel->port);
    give_back(channel, channel->page, 1);
    xen_unbind_port(channel->xen, &channel->port);
    free(channel);
}

void channel_set_ended(struct channel *channel)
{
    channel->bytes.ended = true;
}

void channel_set_gone(struct channel *channel)
{
    channel->bytes.gone = true;
}

uint32_t channel_read_index(const struct channel *channel)
{
    return channel->bytes.end.in.own;
}

uint32_t channel_write_index(const struct channel *channel)
{
    return channel->bytes.end.out.own;
}

void channel_set_resumable(struct channel *channel, bool resumable)
{
    channel->bytes.resumable = resumable;
}

bool channel_peer_left(const struct channel *channel)
{
    return bytes_peer_left(&channel->bytes);
}

bool channel_peer_died(const struct channel *channel)
{
    return channel->port.number == 0 || ring_peer_left(&channel->bytes.end);
}

bool channel_peer_here(const struct channel *channel)
{
    return bytes_peer_here(&channel->bytes);
}

/* ---- what has moved ---- */

const struct channel_counts *channel_counts(const struct channel *channel)
{
    return &channel->counts;
}

void channel_on_traffic(struct channel *channel, void (*moved)(void *arg), void *arg)
{
    channel->moved = moved;
    channel->moved_arg = arg;
}

static void tell_traffic(struct channel *channel)
{
    void (*moved)(void *arg) = channel->moved;

    if (!moved)
        return;
    channel->moved = NULL;
    moved(channel->moved_arg);
}

/* Every byte taken out, and every byte shown to the peer, passes these two functions. */
static bool take(struct channel *channel, uint32_t bytes)
{
    channel->counts.received += bytes;
    tell_traffic(channel);
    return ring_consume(&channel->bytes.end.in, bytes);
}

static void show(struct channel *channel, uint32_t bytes)
{
    channel->counts.sent += bytes;
    tell_traffic(channel);
    ring_produce(&channel->bytes.end.out, bytes);
}

void channel_publish(struct channel *channel)
{
    bytes_publish(&channel->bytes);
}

int channel_readable(struct channel *channel, uint32_t enough)
{
    return bytes_readable(&channel->bytes, enough);
}

bool channel_has(const struct channel *channel, uint32_t enough)
{
    return !channel->bytes.broken && ring_has(&channel->bytes.end.in, enough);
}

int channel_writable(struct channel *channel, uint32_t enough)
{
    return bytes_writable(&channel->bytes, enough);
}

uint32_t channel_count_readable(const struct channel *channel)
{
    return channel->bytes.broken ? 0 : ring_count_readable(&channel->bytes.end.in);
}

uint32_t channel_count_writable(const struct channel *channel)
{
    const struct bytes *bytes = &channel->bytes;

    return bytes->broken || bytes_peer_left(bytes) ? 0 : ring_count_writable(&bytes->end.out);
}

/* By the last snapshot. */
static uint32_t known(const struct channel *channel, enum channel_wait wait)
{
    const struct ring *in = &channel->bytes.end.in;

    return wait == CHANNEL_READ ? in->peer - in->own : ring_room(&channel->bytes.end.out);
}

/* Looks at the peer's index without asking for a signal. */
static bool has_enough(struct channel *channel, enum channel_wait wait, uint32_t enough)
{
    int bytes = wait == CHANNEL_READ ? ring_readable(&channel->bytes.end.in, enough)
                                     : ring_writable(&channel->bytes.end.out, enough);

    return bytes < 0 || (uint32_t)bytes >= enough;
}

/*
 * A reader that checks after every small message takes the page's cache line from the writer each
 * time, and both become slow. Waiting a little first lets more messages arrive. Not done when this
 * side waits for an answer.
 */
static void linger(struct channel *channel, uint32_t enough)
{
    struct ring *in = &channel->bytes.end.in;
    struct spin *spin = &channel->spin[CHANNEL_READ];

    if (ring_has(in, enough))
        return;
    if (spin->linger && spin_pays(spin) && !channel->spoke)
        spin_linger();
    channel->spoke = false;
}

/* Whether the next wait should linger. */
static void learn_linger(struct channel *channel, enum channel_wait wait)
{
    struct ring *in = &channel->bytes.end.in;

    if (wait == CHANNEL_READ)
        channel->spin[wait].linger = in->peer - in->own < in->size / 16;
}

/* Returns whether enough came. */
static bool look_for(struct channel *channel, enum channel_wait wait, uint32_t enough)
{
    struct spin *spin = &channel->spin[wait];
    struct spin_attempt attempt;
    bool came = false;

    if (!spin_start(spin, &attempt))
        return false;
    while (!came && spin_again(&attempt)) {
        came = has_enough(channel, wait, enough);
        if (!came && spin_is_long(&attempt))
            channel_publish(channel);
    }
    spin_end(spin, &attempt, came);
    learn_linger(channel, wait);
    return came;
}

/*
 * Whether we had to signal the peer since the last call: it sleeps for lack of bytes rather than
 * yielding.
 */
static bool peer_sleeps(struct channel *channel)
{
    bool sleeps = channel->counts.wakes != channel->woken;

    channel->woken = channel->counts.wakes;
    return sleeps;
}

/*
 * Gives the CPU to a peer that waits for it, so that it can work through the whole ring and neither
 * side has to be woken. Returns whether enough came. (If the peer sleeps whenever the ring is
 * empty, our next byte wakes it at once, so yielding gains nothing: then sleep instead.)
 */
static bool yield_for(struct channel *channel, enum channel_wait wait, uint32_t enough)
{
    struct spin *spin = &channel->spin[wait];
    struct spin_attempt attempt = {0};
    bool came = false, sleeps = wait == CHANNEL_WRITE && peer_sleeps(channel);

    channel_publish(channel);
    while (!came && spin_yield(spin, &attempt)) {
        channel->yields++;
        came = has_enough(channel, wait, enough);
    }
    spin_yield_end(spin, &attempt, came && !sleeps, known(channel, wait));
    return came;
}

bool channel_spin(struct channel *channel, enum channel_wait wait, uint32_t enough)
{
    if (wait == CHANNEL_READ)
        linger(channel, enough);
    return channel->bytes.broken || has_enough(channel, wait, enough) ||
           look_for(channel, wait, enough) || yield_for(channel, wait, enough);
}

unsigned int channel_peek(const struct channel *channel, uint32_t bytes, struct ring_span spans[2])
{
    return ring_spans(&channel->bytes.end.in, bytes, spans);
}

unsigned int channel_reserve(const struct channel *channel, uint32_t bytes,
                             struct ring_span spans[2])
{
    return ring_spans(&channel->bytes.end.out, bytes, spans);
}

void channel_consume(struct channel *channel, uint32_t bytes)
{
    if (take(channel, bytes))
        channel_publish(channel);
}

void channel_record(struct channel *channel)
{
    ring_record(&channel->bytes.end.in);
}

void channel_commit(struct channel *channel, uint32_t bytes)
{
    if (bytes == 0)
        return;
    channel->spoke = true;
    show(channel, bytes);
    bytes_wake(&channel->bytes, VCHAN_NOTIFY_WRITE);
}

uint32_t channel_read_size(const struct channel *channel)
{
    return channel->bytes.end.in.size;
}

uint32_t channel_write_size(const struct channel *channel)
{
    return channel->bytes.end.out.size;
}

static uint32_t smaller(uint32_t bytes, size_t size)
{
    return bytes < size ? bytes : (uint32_t)size;
}

/*
 * Copies and shows large data in parts, so that a peer on another CPU can copy at the same time. A
 * sleeping peer is woken only once, at the end: on one CPU, earlier wake-ups would only make the
 * two alternate.
 */
static uint32_t part_of(const struct ring *ring)
{
    return ring->size / 4;
}

/* Returns whether the caller should publish the room and wake the writer. */
static bool copy_out(struct channel *channel, uint8_t *to, uint32_t bytes)
{
    struct ring_span spans[2];
    unsigned int count = channel_peek(channel, bytes, spans);

    for (unsigned int i = 0; i < count; to += spans[i].length, i++)
        memcpy(to, spans[i].base, spans[i].length);
    if (!take(channel, bytes))
        return false;
    ring_record(&channel->bytes.end.in);
    return true;
}

/*
 * Whether the peer runs on another CPU: it took bytes while we ran, with no signal and no yield in
 * between. (On the same CPU, a copy past our caches would bypass the peer's, too.) The page is only
 * a hint here.
 */
static bool peer_is_apart(struct channel *channel)
{
    const struct channel_counts *counts = &channel->counts;
    struct past now = {.turns = counts->wakes + counts->sleeps + channel->yields,
                       .cons = load_once(&channel->bytes.end.out.shared->cons)};

    if (now.turns != channel->past.turns)
        channel->apart = false;
    else if (now.cons != channel->past.cons)
        channel->apart = true;
    channel->past = now;
    return channel->apart;
}

/* Call before filling any of these bytes. (On the same CPU there is no cache to take them from.) */
static void claim(struct channel *channel, uint32_t bytes)
{
    struct ring *out = &channel->bytes.end.out;

    if (ring_unclaimed(out, bytes))
        ring_claim(out, bytes, peer_is_apart(channel));
}

static void copy_to(const struct ring_span *spans, unsigned int count, const uint8_t *from,
                    bool past)
{
    for (unsigned int i = 0; i < count; from += spans[i].length, i++) {
        if (past)
            copy_past_caches(spans[i].base, from, spans[i].length);
        else
            memcpy(spans[i].base, from, spans[i].length);
    }
}

/* Copies past the caches if that is the faster way to a peer on another CPU. */
static void copy_in(struct channel *channel, const uint8_t *from, uint32_t bytes)
{
    struct ring *out = &channel->bytes.end.out;
    struct ring_span spans[2];
    unsigned int count = ring_spans(out, bytes, spans);
    bool large = bytes >= COPY_PAST_MIN;
    uint64_t since;
    bool past;

    if (!large)
        claim(channel, bytes);
    if (large && peer_is_apart(channel)) {
        past = trial_begin(&channel->trial, &since);
        copy_to(spans, count, from, past);
        trial_end(&channel->trial, past, bytes, since);
    } else {
        copy_to(spans, count, from, false);
    }
    show(channel, bytes);
}

ssize_t channel_read(struct channel *channel, void *data, size_t size, uint32_t enough)
{
    int bytes = channel_readable(channel, enough);
    uint32_t total, done, part = part_of(&channel->bytes.end.in);
    bool due = false;

    if (bytes <= 0)
        return bytes;
    total = smaller((uint32_t)bytes, size);
    for (done = 0; done < total; done += smaller(part, total - done))
        due |= copy_out(channel, (uint8_t *)data + done, smaller(part, total - done));
    if (due)
        channel_publish(channel);
    return total;
}

/* Whether the bytes are few and contiguous. */
static bool is_simple(const struct ring *ring, size_t bytes)
{
    return bytes < COPY_PAST_MIN && bytes <= ring->size - (ring->own & (ring->size - 1));
}

ssize_t channel_read_known(struct channel *channel, void *data, size_t size, uint32_t enough)
{
    struct ring *in = &channel->bytes.end.in;
    uint32_t bytes = smaller(in->peer - in->own, size);

    if (channel->bytes.broken || !ring_has(in, enough) || !is_simple(in, bytes))
        return 0;
    memcpy(data, in->data + (in->own & (in->size - 1)), bytes);
    if (take(channel, bytes))
        channel_publish(channel);
    return bytes;
}

ssize_t channel_write(struct channel *channel, const void *data, size_t size, uint32_t enough)
{
    int room = channel_writable(channel, enough);
    uint32_t total, done, part = part_of(&channel->bytes.end.out);

    if (room < 0)
        return room;
    total = smaller((uint32_t)room, size);
    if (enough == size) /* all or nothing: show it in one piece, too */
        part = total;
    for (done = 0; done < total; done += smaller(part, total - done))
        copy_in(channel, (const uint8_t *)data + done, smaller(part, total - done));
    channel->spoke = true;
    bytes_wake(&channel->bytes, VCHAN_NOTIFY_WRITE);
    return total;
}

ssize_t channel_write_known(struct channel *channel, const void *data, size_t size)
{
    struct ring *out = &channel->bytes.end.out;
    uint32_t bytes = (uint32_t)size;

    if (channel->bytes.broken || !is_simple(out, size) || ring_room(out) < bytes ||
        channel_peer_left(channel))
        return 0;
    claim(channel, bytes);
    memcpy(out->data + (out->own & (out->size - 1)), data, bytes);
    show(channel, bytes);
    channel->spoke = true;
    bytes_wake(&channel->bytes, VCHAN_NOTIFY_WRITE);
    return bytes;
}
