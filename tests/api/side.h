/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests/api/api.c: one side of a channel, here or in another process, of this domain or of another
 * one. What a side sends is a pattern, so that whoever reads it can check each byte.
 */
#ifndef TESTS_API_SIDE_H
#define TESTS_API_SIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libpvchan/pvchan.h"

/* A call that is late by so much never comes back. */
#define PATIENCE_MS 30000

struct side {
    struct pvchan *channel;
    uint32_t sent; /* bytes of the pattern */
    uint32_t got;
};

/* These return what the calls of the library do; -EBADMSG if what came is not what was sent. */
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

/* Reads until so many bytes have come: their number, or what ended it if none came. */
ssize_t side_drain(struct side *side, size_t size);

/* Closes, and is as new. */
void side_close(struct side *side);

/* Open descriptors and threads of this process. */
int descriptors_count(void);
int threads_count(void);

/* ---- another process ---- */

struct peer {
    pid_t pid;
    int to, from;
};

/* Starts one in a guest, or in this domain if it is NULL. */
void peer_start(struct peer *peer, const char *guest);

/* Gives it a command (tests/api/peer.c has the list); takes the answer; both. */
void peer_tell(const struct peer *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
long peer_answer(const struct peer *peer);

/* Whether that would not wait. */
bool peer_answered(const struct peer *peer);
long peer_ask(const struct peer *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* It ends by itself, with all that it has closed; or is killed. Both wait for that. */
void peer_end(struct peer *peer);
void peer_kill(struct peer *peer);

/* The other process: carries out commands from standard input, and answers on standard output. */
int peer_main(void);

#endif
