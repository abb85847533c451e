/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does work that may block for ever, in a short-lived process, so that the service waits for it for
 * at most two seconds.
 */
#ifndef SERVICE_KINDS_ERRAND_H
#define SERVICE_KINDS_ERRAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ERRAND_SECONDS 2
#define ERRAND_BYTES   2048

/* The work, called in the short-lived process. errand_run() returns what it returns. */
typedef int errand_work(void *arg);

/*
 * Forks a process and runs work(arg) there. It has only fd (-1: none) and the three standard
 * descriptors. arg, of size bytes (at most ERRAND_BYTES), is copied back afterwards; what it points
 * to is not. Blocks for at most ERRAND_SECONDS.
 *
 * Returns what work() returned, or -ETIMEDOUT (it took too long, and was killed; *left is its
 * process id if it has not ended yet, for errand_ended(), else 0), -EIO (something else killed it),
 * or the negative errno of pipe() or fork().
 */
int errand_run(errand_work *work, void *arg, size_t size, int fd, pid_t *left);

/* Whether the process *left has ended, and reaps it then. Do not call it again after that. */
bool errand_ended(pid_t pid);

#endif
