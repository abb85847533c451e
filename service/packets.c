/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/packets.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    char room[CMSG_SPACE(PACKETS_FDS_MAX * sizeof(int))];
    struct cmsghdr header;
};

static void put_fds(struct msghdr *message, union control *control, const int *fds,
                    unsigned int count)
{
    struct cmsghdr *header = &control->header;

    message->msg_control = control->room;
    message->msg_controllen = CMSG_SPACE(count * sizeof(int));
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
}

static ssize_t send_with(int socket, struct iovec *iov, const int *fds, unsigned int count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 1};
    union control control;

    memset(&control, 0, sizeof(control));
    put_fds(&message, &control, fds, count);
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A worker may not call sendmsg(), with which it could pass descriptors on. */
int packets_send(int socket, const void *packet, size_t size, const int *fds, unsigned int count)
{
    struct iovec iov = {.iov_base = (void *)packet, .iov_len = size};
    ssize_t sent;

    do
        sent = count > 0 ? send_with(socket, &iov, fds, count)
                         : send(socket, packet, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *message, struct packets_fds *fds)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return;
    fds->count = (unsigned int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds->fd, CMSG_DATA(header), fds->count * sizeof(int));
}

/*
 * After the other side has closed its end with packets of ours unread, the kernel reports that once,
 * before what the other side had sent.
 */
static bool must_receive_again(ssize_t got)
{
    return got < 0 && (errno == EINTR || errno == ECONNRESET);
}

ssize_t packets_receive(int socket, void *packet, size_t size, struct packets_fds *fds)
{
    union control control;
    struct iovec iov = {.iov_base = packet, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};
    ssize_t got;

    fds->count = 0;
    do
        got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (must_receive_again(got));
    if (got < 0)
        return -errno;
    take_fds(&message, fds);
    return got;
}

ssize_t packets_receive_bytes(int socket, void *packet, size_t size)
{
    ssize_t got;

    do
        got = recv(socket, packet, size, MSG_DONTWAIT);
    while (must_receive_again(got));
    return got < 0 ? -errno : got;
}

void packets_close_fds(struct packets_fds *fds)
{
    for (unsigned int i = 0; i < fds->count; i++)
        if (fds->fd[i] >= 0)
            close(fds->fd[i]);
    fds->count = 0;
}
