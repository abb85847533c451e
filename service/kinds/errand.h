/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work that may take for ever, in a short-lived process: nothing of it outlives the two seconds
 * that the service waits for it at most.
 */
#ifndef SERVICE_KINDS_ERRAND_H
#define SERVICE_KINDS_ERRAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ERRAND_SECONDS 2
#define ERRAND_BYTES   2048

/* Runs in the short-lived process. Gives what errand_run() returns: a negative errno, or not. */
typedef int errand_work(void *arg);

/*
 * Runs work(arg) in a process of its own, which has no descriptor of this one's but fd (-1: none)
 * and the three usual ones. arg, of size bytes (at most ERRAND_BYTES), is copied there and back;
 * what it points to is copied there only. -ETIMEDOUT: it took too long, and was killed; *left is
 * the process if it has not ended yet (for errand_ended()), or 0. -EIO: it was killed by another.
 * Another -errno: there are no resources for one. It blocks for ERRAND_SECONDS at most.
 */
int errand_run(errand_work *work, void *arg, size_t size, int fd, pid_t *left);

/* Whether a process that was left has ended. After that it is unknown here. */
bool errand_ended(pid_t pid);

#endif
