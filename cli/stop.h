/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGHUP, SIGINT and SIGTERM: noted, so that a channel can be closed in order before they end the
 * program.
 */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Catches them from now on. A call that waits is interrupted (-EINTR), at the latest a second after
 * the signal.
 */
void stop_catch(void);

/* Whether one came. */
bool stop_came(void);

/*
 * poll(), which such a signal ends, also if it came before. timeout_ms: -1 for ever. Returns as
 * poll(), or -EINTR (see stop_came()), or another negative errno.
 */
int stop_poll(struct pollfd *fds, unsigned int count, int timeout_ms);

/* Ends the program by the signal that came; returns if none did. */
void stop_die(void);

#endif
