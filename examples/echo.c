/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serves any number of channels in one process: sends back what comes on each.
 *
 *   cc echo.c -o echo $(pkg-config --cflags --libs pvchan)
 *   ./echo org.example.one org.example.two …
 *
 * It opens the channels by their names, in the domain that declares them or in their backend.
 */
#include <errno.h>
#include <pvchan.h>
#include <stdio.h>
#include <string.h>

/* Copies from one ring into the other. How many bytes, 0 at the end, or a negative errno. */
static ssize_t echo_once(struct pvchan *channel)
{
    struct iovec in[2], out[2];
    ssize_t bytes, room;
    size_t length;

    bytes = pvchan_peek(channel, 1, in);
    if (bytes <= 0)
        return bytes;
    room = pvchan_reserve(channel, 1, out);
    if (room < 0)
        return room;
    length = in[0].iov_len < out[0].iov_len ? in[0].iov_len : out[0].iov_len;
    memcpy(out[0].iov_base, in[0].iov_base, length);
    pvchan_commit(channel, length);
    pvchan_consume(channel, length);
    return (ssize_t)length;
}

/* Serves one channel that has something to do. Returns whether it stays open. */
static int serve(struct pvchan *channel)
{
    ssize_t rc = echo_once(channel);

    if (rc > 0)
        pvchan_again(channel); /* there may be more; but first the others */
    if (rc > 0 || rc == -EAGAIN)
        return 1;
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", (const char *)pvchan_data(channel), strerror((int)-rc));
    pvchan_close(channel);
    return 0;
}

int main(int argc, char **argv)
{
    struct pvchan_group *group;
    struct pvchan *channel;
    int open = 0;
    int rc = pvchan_group_open(0, &group);

    if (rc < 0) {
        fprintf(stderr, "no Xen here: %s\n", strerror(-rc));
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        rc = pvchan_open_in(group, argv[i], -1, 0, &channel);
        if (rc < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(-rc));
            continue;
        }
        pvchan_set_data(channel, argv[i]);
        open++;
    }
    while (open > 0 && pvchan_group_wait(group, -1, &channel) == 1)
        open -= !serve(channel);
    pvchan_group_close(group);
    return 0;
}
