/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An outgoing TCP connection: resolves a name (by /etc/hosts and the name servers of
 * /etc/resolv.conf), tries its addresses one after the other, and never blocks.
 */
#ifndef SERVICE_KINDS_DIAL_H
#define SERVICE_KINDS_DIAL_H

#include <stddef.h>

struct dial;
struct event_base;

/*
 * Connects to HOST:PORT, or [V6]:PORT. done() is called once, later, unless dial_cancel() comes
 * before: with a socket that is the caller's (non-blocking, keepalive, no delay), or a negative
 * errno and one line in why, which does not name the address. That takes at most 15 s for the name
 * and 10 s for each address. NULL: no memory, or an address that makes no sense.
 */
struct dial *dial_start(struct event_base *base, const char *address,
                        void (*done)(void *arg, int fd, const char *why), void *arg);

/* Gives up. NULL is allowed; not after done(). */
void dial_cancel(struct dial *dial);

/* Who is at the other end of a TCP socket: "127.0.0.1:5432", "[::1]:5432". */
void dial_peer(int fd, char *text, size_t size);

#endif
