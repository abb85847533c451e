/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens an outgoing TCP connection without blocking: resolves a name (by /etc/hosts and the name
 * servers of /etc/resolv.conf), then tries its addresses in turn.
 */
#ifndef SERVICE_KINDS_DIAL_H
#define SERVICE_KINDS_DIAL_H

#include <stdbool.h>
#include <stddef.h>

struct dial;
struct event_base;

/* Space for a host and a port, each with its NUL. */
#define DIAL_HOST_MAX 256
#define DIAL_PORT_MAX 8

/* Splits HOST:PORT or [V6]:PORT. Returns false if the address is invalid. */
bool dial_split(const char *address, char host[DIAL_HOST_MAX], char port[DIAL_PORT_MAX]);

/*
 * Connects to HOST:PORT or [V6]:PORT. Calls done() once from the event loop, unless dial_cancel()
 * comes first: with a socket that the callee then owns (non-blocking, keepalive, no delay), or with
 * a negative errno and one line in why, which does not contain the address. Takes at most 15 s for
 * the name and 10 s for each address. Returns NULL if memory runs out or the address is invalid.
 */
struct dial *dial_start(struct event_base *base, const char *address,
                        void (*done)(void *arg, int fd, const char *why), void *arg);

/* Cancels and frees. NULL is allowed. Not to be called after done(). */
void dial_cancel(struct dial *dial);

/* Sets what every TCP socket of a connection has: keepalive, no delay. */
void dial_set_options(int fd);

/* Writes the address of a TCP socket's other end: "127.0.0.1:5432", "[::1]:5432"; "" on failure. */
void dial_peer(int fd, char *text, size_t size);

#endif
