/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests/api/api.c: one side of a channel, here or in another process, of this domain or of
 * another one. A side sends a pattern, so that the reader can check each byte.
 */
#ifndef TESTS_API_SIDE_H
#define TESTS_API_SIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libpvchan/pvchan.h"

/* A call that takes longer than this will never return. */
#define PATIENCE_MS 30000

struct side {
    struct pvchan *channel;
    uint32_t sent; /* bytes of the pattern so far */
    uint32_t got;
};

/* Return what the library's calls return; -EBADMSG if the bytes are wrong. */
ssize_t side_write(struct side *side, size_t size);
ssize_t side_send(struct side *side, size_t size);
ssize_t side_read(struct side *side, size_t size);
ssize_t side_recv(struct side *side, size_t size);

/* The same without a copy, and in three pieces: a fifth, nothing, and the rest. */
ssize_t side_fill(struct side *side, size_t size);  /* pvchan_reserve(), pvchan_commit() */
ssize_t side_check(struct side *side, size_t size); /* pvchan_peek(); see side_skip() */
ssize_t side_writev(struct side *side, size_t size);
ssize_t side_sendv(struct side *side, size_t size);
ssize_t side_readv(struct side *side, size_t size);
ssize_t side_recvv(struct side *side, size_t size);

/* pvchan_consume() */
int side_skip(struct side *side, size_t size);

/* Reads until that many bytes have come. Returns their number, or what ended it if none came. */
ssize_t side_drain(struct side *side, size_t size);

/* Closes, and resets the side. */
void side_close(struct side *side);

/* The open descriptors and threads of this process. */
int descriptors_count(void);
int threads_count(void);

/* ---- another process ---- */

struct peer {
    pid_t pid;
    int to, from;
};

/* Starts a peer in a guest, or in this domain if guest is NULL. */
void peer_start(struct peer *peer, const char *guest);

/* Sends a command (tests/api/peer.c has the list); reads the answer; does both. */
void peer_tell(const struct peer *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
long peer_answer(const struct peer *peer);

/* Whether an answer can be read without waiting. */
bool peer_answered(const struct peer *peer);
long peer_ask(const struct peer *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends the peer cleanly, or kills it. Both wait for its end. */
void peer_end(struct peer *peer);
void peer_kill(struct peer *peer);

/* The other process: carries out commands from standard input and answers on standard output. */
int peer_main(void);

#endif
