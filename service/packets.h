/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets with descriptors over a local socket. None of the calls blocks. */
#ifndef SERVICE_PACKETS_H
#define SERVICE_PACKETS_H

#include <stddef.h>
#include <sys/types.h>

#define PACKETS_FDS_MAX 3

struct packets_fds {
    unsigned int count;
    int fd[PACKETS_FDS_MAX]; /* -1: the caller has taken it over */
};

/*
 * Sends a packet with copies of count descriptors, which stay the caller's. Returns 0, or a
 * negative errno: -EAGAIN (the socket is full: the other side does not read), -EPIPE, -ECONNRESET.
 */
int packets_send(int socket, const void *packet, size_t size, const int *fds, unsigned int count);

/*
 * Receives a packet and its descriptors, which become the caller's. Returns the packet's length, at
 * most size; 0 if the other side has closed the socket, and all that it had sent was received; or a
 * negative errno: -EAGAIN (no packet).
 */
ssize_t packets_receive(int socket, void *packet, size_t size, struct packets_fds *fds);

/*
 * Receives a packet from a sender that is not trusted: the kernel closes any descriptors. Returns
 * as above.
 */
ssize_t packets_receive_bytes(int socket, void *packet, size_t size);

/* Closes the descriptors that were not taken. */
void packets_close_fds(struct packets_fds *fds);

#endif
