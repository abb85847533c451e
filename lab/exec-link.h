/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How domain 0 runs commands in a guest of the lab: byte streams over xenstore, a chunk at a time.
 *
 * A session lives in /local/domain/GUEST/data/exec/N. Domain 0 writes `cmd`, the arguments with a
 * NUL after each. A stream is one node: its sender writes a chunk ('+' and bytes, or '.' at the
 * end), its receiver removes the node, and that asks for the next chunk. `in` goes to the command,
 * `out` and `err` come from it. `kill` holds a signal number. When out and err have ended, `exit`
 * holds the exit code (128+N for a signal), and domain 0 removes the session.
 */
#ifndef LAB_EXEC_LINK_H
#define LAB_EXEC_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <xenstore.h>

/* The directory where a guest's agent finds sessions, relative to the guest's own. */
#define EXEC_DIR "data/exec"

/* Room for any path used here. */
#define EXEC_PATH_MAX 96

/*
 * The maximum size of a node: about 4096 bytes from domain 0, 2048 with permissions from a guest.
 */
#define CHUNK_FROM_DOM0 3500
#define CHUNK_FROM_GUEST 1536

/* One direction of a session. */
struct stream {
    struct xs_handle *xs;
    char path[EXEC_PATH_MAX];
    int fd;           /* non-blocking; -1 when nothing more will be read or written */
    bool ended;       /* sender: everything was taken; receiver: the end came */
    bool busy;        /* sender: a chunk has not been taken yet */
    bool last;        /* sender: if there is nothing to read now, it is the end */
    size_t chunk_max; /* sender */
    size_t have;      /* receiver: bytes not yet written to fd, from data[done] on */
    size_t done;
    char data[CHUNK_FROM_DOM0 + 1];
};

/* Prepares a stream at BASE/NAME over fd, which it takes over and makes non-blocking. */
void stream_init(struct stream *s, struct xs_handle *xs, const char *base, const char *name, int fd,
                 size_t chunk_max);

/*
 * Moves what can be moved now, without blocking. Call it when fd is ready or the path has changed.
 */
void stream_send(struct stream *s);
void stream_receive(struct stream *s);

/* The entry for poll(): an idle sender waits for input, a receiver with bytes for room. */
struct pollfd stream_sender_poll(const struct stream *s);
struct pollfd stream_receiver_poll(const struct stream *s);

/* Whether a changed path (absolute or relative to the guest) is this stream's node. */
bool stream_at(const struct stream *s, const char *path);

/* Prints "WHAT: reason" with the text of errno, and exits with code. */
_Noreturn void die(int code, const char *what);

#endif
