/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program run by /bin/sh -c in a process group of its own, its standard input and output on
 * pipes, its standard error in the log. Its end is noticed by a pidfd, so nothing global is needed.
 */
#ifndef CONNECTION_CHILD_H
#define CONNECTION_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child;
struct user;
struct event_base;

/*
 * Starts it, as that user (NULL: as this process). One who cannot be is in the log, and the command exits with
 * 126. label goes before its lines in the log, and is copied. On success returns 0 and the
 * caller owns *child (child_leave), *input (non-blocking, to write) and *output (non-blocking, to
 * read). On failure a negative errno, and nothing is left.
 */
int child_start(struct event_base *base, const char *label, const char *command,
                const struct user *user, int *input, int *output, struct child **child);

/* Its process id. */
pid_t child_pid(const struct child *child);

/*
 * Has ended(arg, status) called when it ends (status: as waitpid() gives it), unless it was left. Its end
 * is in the log only if it was left, or nothing is wrong with it. ended() may leave it.
 */
void child_on_end(struct child *child, void (*ended)(void *arg, int status), void *arg);

/*
 * Leaves it: SIGTERM for its process group (at once, or after 5 seconds if it is about to end
 * anyway), SIGKILL 5 seconds later. It is freed when it has ended; until then the base has events.
 */
void child_leave(struct child *child, bool about_to_end);

#endif
