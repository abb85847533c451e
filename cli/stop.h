/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Catches SIGHUP, SIGINT and SIGTERM, so that a channel can be closed cleanly before they end the
 * program.
 */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Catches them from now on. A call that waits returns -EINTR at most one second after the signal.
 */
void stop_catch(void);

/* Whether a signal came. */
bool stop_came(void);

/*
 * Like poll(), but a caught signal ends it even if it came earlier. timeout_ms: -1 for ever.
 * Returns as poll(), or -EINTR (see stop_came()), or another negative errno.
 */
int stop_poll(struct pollfd *fds, unsigned int count, int timeout_ms);

/* Ends the program with the signal that came. Returns if none did. */
void stop_die(void);

#endif
