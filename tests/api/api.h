/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared by the tests of libpvchan/pvchan.h, with the tables of tests that tests/api/api.c runs.
 * Each test is a process of its own in domain 0, with a time limit that bounds every wait. The
 * other end is the same program in a guest.
 *
 * The frontend is the guest web. As it sees it, its channel "app" reads 4096 bytes and writes 8192.
 */
#ifndef TESTS_API_API_H
#define TESTS_API_API_H

#include <check.h>
#include <stdbool.h>

#include "state/store.h"
#include "tests/api/side.h"

#define TO_WEB   4096u
#define FROM_WEB 8192u

#define is(value, expected) ck_assert_int_eq((long)(value), (long)(expected))
#define tell(...)           peer_tell(&web, __VA_ARGS__)
#define ask(...)            peer_ask(&web, __VA_ARGS__)
#define answer()            peer_answer(&web)
#define answered()          peer_answered(&web)

/* A test, and its number of rounds; _i tells it the round. A table ends with an empty row. */
struct api_row {
    const TTest **run;
    int rounds;
};

extern const struct api_row api_open[], api_plain[], api_bytes[], api_spans[], api_end[],
    api_loop[], api_waits[], api_group[];

extern struct peer web; /* the other end */
extern struct side me;
extern struct store *store;
extern unsigned int web_id, other_id, gone_id;
extern char web_app[32], frontend[64], backend[64], plain[64];

/* The calls that open, storing the handle in me. */
int xopen(const char *name, int timeout_ms, unsigned int flags);
int xserver(unsigned int peer, const char *path, size_t read_size, size_t write_size);
int xclient(unsigned int peer, const char *path, int timeout_ms);

/*
 * Opens on both sides: the channel app; a plain vchan with its server in the guest, with the same
 * sizes; or either of them (0: named).
 */
void meet(unsigned int flags);
void meet_plain(unsigned int flags);
void meet_either(int kind, unsigned int flags);

/* Whether me's fd becomes readable within that time. */
bool fd_readable(int timeout_ms);

/* Repeats a non-blocking call after each event until it returns something other than -EAGAIN. */
ssize_t until(ssize_t (*call)(struct side *, size_t), size_t size);

/* A number in xenstore, or 0. */
unsigned int number_at(const char *dir, const char *key);

/* Waits for a state node. */
void await_state(const char *dir, unsigned int state);

/* Runs a shell command, which must succeed. */
void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The result of a call that a signal interrupts while it waits. */
#define interrupted(call)                                                                          \
    ({                                                                                             \
        long interrupted_rc;                                                                       \
        signals(30);                                                                               \
        interrupted_rc = (long)(call);                                                             \
        signals(0);                                                                                \
        interrupted_rc;                                                                            \
    })
void signals(int every_ms);

/* Kills the peer and starts another one. */
void restart_peer(void);

/* Removes what a fake server left in app, which is then Closed. */
void remove_fake_keys(void);

/* Checks that after a failure the device is Closed and can be opened. */
void expect_closed(void);

#endif
