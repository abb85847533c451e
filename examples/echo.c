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

/*
 * Copies from one ring into the other. Returns the number of bytes, 0 at the end, or a negative
 * errno.
 */
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

/* Serves one channel that has events. Returns whether it stays open. */
static int serve(struct pvchan *channel)
{
    ssize_t rc = echo_once(channel);

    if (rc > 0)
        pvchan_requeue(channel); /* there may be more; serve the others first */
    if (rc > 0 || rc == -EAGAIN)
        return 1;
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", (const char *)pvchan_user_data(channel),
                pvchan_error(channel) ? pvchan_reason(channel) : strerror((int)-rc));
    pvchan_close(channel);
    return 0;
}

int main(int argc, char **argv)
{
    struct pvchan_event events[16];
    struct pvchan_group *group;
    struct pvchan *channel;
    int open = 0, count = 0;

    if (pvchan_group_open(0, &group) < 0) {
        fprintf(stderr, "cannot use Xen: %s\n", pvchan_open_reason());
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        if (pvchan_group_add_channel(group, argv[i], -1, 0, &channel) < 0) {
            fprintf(stderr, "cannot open %s: %s\n", argv[i], pvchan_open_reason());
            continue;
        }
        pvchan_set_user_data(channel, argv[i]);
        open++;
    }
    while (open > 0 && (count = pvchan_group_wait(group, events, 16, -1)) >= 0)
        for (int i = 0; i < count; i++)
            open -= !serve(events[i].handle);
    if (count < 0)
        fprintf(stderr, "cannot wait: %s\n", strerror(-count));
    pvchan_group_close(group);
    return 0;
}
