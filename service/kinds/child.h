/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program run by /bin/sh -c in a session of its own, with nothing of this process but what is set
 * here: its standard input and output on
 * pipes, its standard error in the log. Its end is noticed by a pidfd, so nothing global is needed,
 * and it can outlive the process that started it (service/handover/fdstore.h).
 */
#ifndef SERVICE_KINDS_CHILD_H
#define SERVICE_KINDS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child;
struct connection;
struct event_base;
struct fdstore;
struct user;

/* What a running command's pidfd is called while it is kept. */
#define CHILD_KEPT "command"

/*
 * Instead of a status: another process has started it, which was killed, so that it is told to
 * nobody here.
 */
#define CHILD_STATUS_UNKNOWN (-1)

/*
 * Starts the connection's command as that user. If that cannot be, the log says why, and the
 * command exits with 126. The connection's quota and what else the child has of it is used until
 * the child is left. On success returns 0 and the caller owns *child (child_leave), *input
 * (non-blocking, to write) and *output (non-blocking, to read). -EDQUOT: too many of
 * the guest's commands that it has left have not ended. On this and any other negative errno
 * nothing is left.
 */
int child_start(const struct connection *connection, const struct user *user, int *input,
                int *output, struct child **child);

/*
 * Goes on with the command that an earlier process kept for the connection. As child_start(), but
 * *input is -1 if that was closed; all of them are kept already. -ENOENT: there is none.
 */
int child_resume(struct connection *connection, int *input, int *output, struct child **child);

/*
 * A running command's descriptors, by the names that child_resume() finds them at, the last one
 * last.
 */
#define CHILD_INPUT_KEPT  "input"
#define CHILD_OUTPUT_KEPT "output"
#define CHILD_STDERR_KEPT "stderr"

/* Its process id; 0: it has ended, and nobody knows any more. */
pid_t child_pid(const struct child *child);

/* Its descriptors that outlive the process. The child's. */
int child_pidfd(const struct child *child);
int child_stderr(const struct child *child);

/*
 * Has ended(arg, status) called when it ends (status: as waitpid() gives it, or
 * CHILD_STATUS_UNKNOWN), unless it was left. Its end
 * is in the log only if it was left, or nothing is wrong with it. ended() may leave it.
 */
void child_on_end(struct child *child, void (*ended)(void *arg, int status), void *arg);

/*
 * Leaves it: SIGTERM for its process group (at once, or after 5 seconds if it is about to end
 * anyway), SIGKILL 5 seconds later. It is freed when it has ended; until then the base has events.
 * It is kept for the next process, which is to call child_dismiss() then: keep outlives it.
 */
void child_leave(struct child *child, bool about_to_end);

/*
 * Leaves a command of which nothing is known but its pidfd, which is the child's from now on. It is
 * about to end.
 */
void child_dismiss(struct event_base *base, struct fdstore *fdstore, int pidfd);

#endif
