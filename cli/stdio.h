/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uses standard input and output without blocking, but does not set O_NONBLOCK on them: the flag
 * belongs to the open file, which other programs may share.
 */
#ifndef CLI_STDIO_H
#define CLI_STDIO_H

#include <sys/types.h>

enum stdio_kind {
    STDIO_OWN,    /* a pipe or terminal, opened again non-blocking */
    STDIO_SOCKET, /* a socket: each call passes MSG_DONTWAIT */
    STDIO_FILE,   /* a file: never waits long */
    STDIO_SHARED, /* anything else: poll() before each call */
};

struct stdio {
    int fd;
    int original; /* the descriptor that the program was started with */
    enum stdio_kind kind;
};

/* Prepares a descriptor; mode is O_RDONLY or O_WRONLY. Cannot fail. */
struct stdio stdio_open(int fd, int mode);

/* Like read() and write(), but return a negative errno. -EAGAIN: wait with poll(). */
ssize_t stdio_read(const struct stdio *stdio, void *data, size_t size);
ssize_t stdio_write(const struct stdio *stdio, const void *data, size_t size);

/*
 * Closes it and the original descriptor, so that a reader of our output sees the end. Later calls
 * do nothing.
 */
void stdio_close(struct stdio *stdio);

#endif
