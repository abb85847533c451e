/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/bytes.h"

#include <errno.h>

bool bytes_peer_left(const struct bytes *bytes)
{
    return bytes->gone || (!bytes->resumable && ring_peer_left(&bytes->end));
}

bool bytes_peer_here(const struct bytes *bytes)
{
    const struct ring_end *end = &bytes->end;

    return !bytes->gone &&
           (ring_peer_present(end) || (bytes->resumable && ring_peer_left(end)));
}

/* After one invalid index the ring stays broken, whatever the peer writes later. */
static int broken(struct bytes *bytes)
{
    bytes->broken = true;
    return -EPROTO;
}

void bytes_publish(struct bytes *bytes)
{
    if (ring_publish(&bytes->end.in))
        bytes_wake(bytes, VCHAN_NOTIFY_READ);
}

/* Whether a valid ring holds less than the caller asked for. */
static bool too_few(int count, uint32_t enough)
{
    return count >= 0 && (uint32_t)count < enough;
}

int bytes_readable(struct bytes *bytes, uint32_t enough)
{
    struct ring_end *end = &bytes->end;
    bool over;
    int count;

    if (bytes->broken)
        return -EPROTO;
    count = ring_readable(&end->in, enough);
    if (too_few(count, enough)) {
        bytes_publish(bytes);
        ring_request(end, VCHAN_NOTIFY_WRITE);
        /* Check this before the index: bytes written before the peer left are then always seen. */
        over = bytes->ended || bytes_peer_left(bytes);
        count = ring_readable(&end->in, enough);
        if (too_few(count, enough) && !over)
            return -EAGAIN;
    }
    return count < 0 ? broken(bytes) : count;
}

int bytes_writable(struct bytes *bytes, uint32_t enough)
{
    struct ring_end *end = &bytes->end;
    int room;

    if (bytes->broken)
        return -EPROTO;
    if (bytes_peer_left(bytes))
        return -EPIPE;
    room = ring_writable(&end->out, enough);
    if (too_few(room, enough)) {
        bytes_publish(bytes);
        ring_request(end, VCHAN_NOTIFY_READ);
        room = ring_writable(&end->out, enough);
    }
    if (room < 0)
        return broken(bytes);
    return too_few(room, enough) ? -EAGAIN : room;
}
