/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard input and output, used without waiting, but left to the programs that share them as they
 * were: O_NONBLOCK belongs to the open file, not to the descriptor.
 */
#ifndef CLI_STDIO_H
#define CLI_STDIO_H

#include <sys/types.h>

enum stdio_kind {
    STDIO_OWN,    /* a pipe or terminal that was opened anew, non-blocking */
    STDIO_SOCKET, /* each call says that it does not wait */
    STDIO_FILE,   /* never waits long */
    STDIO_SHARED, /* asked by poll() before each call */
};

struct stdio {
    int fd;
    int original; /* the descriptor that the program was started with */
    enum stdio_kind kind;
};

/* Makes a descriptor usable; mode is O_RDONLY or O_WRONLY. Cannot fail. */
struct stdio stdio_open(int fd, int mode);

/* As read() and write(), but a negative errno. -EAGAIN: wait until poll() says more. */
ssize_t stdio_read(const struct stdio *stdio, void *data, size_t size);
ssize_t stdio_write(const struct stdio *stdio, const void *data, size_t size);

/*
 * Closes it, and the descriptor that it was made from, so that a reader of our output sees the end.
 * Once: later calls do nothing.
 */
void stdio_close(struct stdio *stdio);

#endif
