/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char *sim_dir(void)
{
    const char *dir = getenv("XENSIM_DIR");

    return dir && *dir ? dir : SIM_DIR;
}

int sim_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/hypervisor", sim_dir());
    int conn;

    if (length < 0 || (size_t)length >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    conn = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (conn < 0)
        return -errno;
    if (connect(conn, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = -errno;

        close(conn);
        return error;
    }
    return conn;
}

int sim_send(int conn, const struct sim_message *message, const void *payload, const int *fds,
             int nfds)
{
    struct iovec parts[2] = {{(void *)message, sizeof(*message)},
                             {(void *)payload, message->length}};
    union {
        char buffer[CMSG_SPACE(SIM_FDS * sizeof(int))];
        struct cmsghdr first;
    } control;
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent;

    if (nfds > 0) {
        size_t size = (size_t)nfds * sizeof(int);

        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(size);
        memset(&control, 0, header.msg_controllen);
        control.first = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(size)};
        memcpy(CMSG_DATA(&control.first), fds, size);
    }
    do /* a worker in its sandbox may call send() only, and needs no more */
        sent = nfds == 0 && message->length == 0
                   ? send(conn, message, sizeof(*message), MSG_NOSIGNAL)
                   : sendmsg(conn, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Keeps descriptors 0 to 2 free for the program, even if it has closed them. */
static int fd_raise(int fd)
{
    int higher;

    if (fd > STDERR_FILENO)
        return fd;
    higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return higher;
}

/* Moves received descriptors to fds while there is room, and closes the rest. */
static int fds_take(struct msghdr *header, int *fds, int room)
{
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(header);
    int count;

    if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
        return 0;
    count = (int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(cmsg) + (size_t)i * sizeof(int), sizeof(int));
        if (i < room)
            fds[i] = fd_raise(fd);
        else
            close(fd);
    }
    return count < room ? count : room;
}

int sim_receive(int conn, struct sim_message *message, void *payload, size_t size, int *fds,
                int *nfds)
{
    struct iovec parts[2] = {{message, sizeof(*message)}, {payload, size}};
    union {
        char buffer[CMSG_SPACE(SIM_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr header = {.msg_iov = parts,
                            .msg_iovlen = 2,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    int room = nfds ? *nfds : 0;
    ssize_t got;
    int count;

    if (nfds)
        *nfds = 0;
    do
        got = recvmsg(conn, &header, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    count = fds_take(&header, fds, room);
    if (nfds)
        *nfds = count;
    if (got == 0)
        return -ECONNRESET;
    if ((size_t)got < sizeof(*message) || (size_t)got != sizeof(*message) + message->length)
        return -EPROTO;
    return 0;
}

int sim_call(int conn, struct sim_message *message)
{
    int error = sim_send(conn, message, NULL, NULL, 0);

    if (!error)
        error = sim_receive(conn, message, NULL, 0, NULL, NULL);
    return error ? error : message->result;
}

int sim_call_once(struct sim_message *message)
{
    int conn = sim_connect();
    int result;

    if (conn < 0)
        return conn;
    result = sim_call(conn, message);
    close(conn);
    return result;
}

int sim_list(uint32_t first, struct sim_info *infos, int size)
{
    struct sim_message message = {.op = SIM_LIST, .arg = {first, (uint32_t)size}};
    int conn = sim_connect();
    int error;

    if (conn < 0)
        return conn;
    error = sim_send(conn, &message, NULL, NULL, 0);
    if (!error)
        error = sim_receive(conn, &message, infos, (size_t)size * sizeof(*infos), NULL, NULL);
    close(conn);
    if (error || message.result)
        return error ? error : message.result;
    return (int)(message.length / sizeof(*infos));
}

int sim_program_pack(const char *directory, char *const *arguments, char *const *environment,
                     uint32_t *argc)
{
    int fd = memfd_create("program", MFD_CLOEXEC);
    int copy = fd < 0 ? -1 : dup(fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");

    if (!file) {
        int error = -errno;

        if (fd >= 0)
            close(fd);
        if (copy >= 0)
            close(copy);
        return error;
    }
    fwrite(directory, strlen(directory) + 1, 1, file);
    for (*argc = 0; arguments[*argc]; ++*argc)
        fwrite(arguments[*argc], strlen(arguments[*argc]) + 1, 1, file);
    for (; *environment; environment++)
        fwrite(*environment, strlen(*environment) + 1, 1, file);
    if (fclose(file)) {
        close(fd);
        return -EIO;
    }
    return fd;
}
