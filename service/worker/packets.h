/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets with descriptors over a local socket. None of the calls blocks. */
#ifndef SERVICE_WORKER_PACKETS_H
#define SERVICE_WORKER_PACKETS_H

#include <stddef.h>
#include <sys/types.h>

#define PACKETS_FDS_MAX 3

struct packets_fds {
    unsigned int count;
    int fd[PACKETS_FDS_MAX]; /* -1: taken */
};

/*
 * Sends one, with copies of count descriptors, which stay the caller's. 0, or a negative errno:
 * -EAGAIN (the other side does not read), -EPIPE, -ECONNRESET.
 */
int packets_send(int socket, const void *packet, size_t size, const int *fds, unsigned int count);

/*
 * Receives one, and the descriptors that came with it, which are the caller's. The size of the
 * packet, cut to size; 0: the other side is gone; or a negative errno.
 */
ssize_t packets_receive(int socket, void *packet, size_t size, struct packets_fds *fds);

/*
 * Receives one from who is not trusted: no descriptor comes in. *pid: the process that sent it, by
 * the kernel's word (SO_PASSCRED is on); 0 if it does not say.
 */
ssize_t packets_receive_from(int socket, void *packet, size_t size, pid_t *pid);

/* Closes what was not taken. */
void packets_close_fds(struct packets_fds *fds);

#endif
