/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command run by /bin/sh -c in a session of its own, with standard input and output on pipes and
 * standard error in the log. It inherits nothing else but what child.c sets. A pidfd reports its
 * end, so no SIGCHLD handler is needed, and a command can outlive the process that started it
 * (service/handover/fdstore.h). No call blocks.
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

/* In place of a status: a previous process of the service started the command, so it is unknown. */
#define CHILD_STATUS_UNKNOWN (-1)

/*
 * Starts the connection's command as the user. If that fails in the new process, the command's
 * standard error says why, and it exits with 126. The child uses the connection's quota and other
 * fields until child_terminate(). Returns 0; the caller then owns *child (child_terminate()),
 * *input (non-blocking, to write) and *output (non-blocking, to read). Otherwise returns a negative
 * errno with nothing left: -EDQUOT (too many of the guest's earlier commands have not ended),
 * -ENOMEM, or what pipe(), fork() or the cgroup's files return.
 */
int child_start(const struct connection *connection, const struct user *user, int *input,
                int *output, struct child **child);

/*
 * Takes over the command that an earlier process kept for the connection. As child_start(), but
 * *input is -1 if it was closed, and all descriptors are kept already. -ENOENT: there is no
 * command.
 */
int child_resume(struct connection *connection, int *input, int *output, struct child **child);

/*
 * As child_start(), but for one of several commands of the connection: standard input and output
 * are one socket, of which *fd is the other end (non-blocking), and the child itself keeps its
 * descriptors for child_resume_all().
 */
int child_start_on_socket(const struct connection *connection, const struct user *user, int *fd,
                          struct child **child);

/*
 * Calls found(), which then owns child, for each command that an earlier process started in that
 * way. If the connection has not been resumed, these are terminated instead.
 */
void child_resume_all(struct connection *connection, void (*found)(void *arg, struct child *child),
                      void *arg);

/* Returns the process id, or 0 if it is not known because the command has ended. */
pid_t child_pid(const struct child *child);

/* Return descriptors that the caller can keep for the next process. They stay the child's. */
int child_pidfd(const struct child *child);
int child_stderr(const struct child *child);

/*
 * Calls ended(arg, status) when the command ends, unless it was terminated before. status is as
 * from waitpid(), or CHILD_STATUS_UNKNOWN. ended() may call child_terminate(). It must report the
 * end of a command that failed; the log does so for others.
 */
void child_on_end(struct child *child, void (*ended)(void *arg, int status), void *arg);

/*
 * Ends the command, and frees child when it has ended. Its process group and cgroup get SIGTERM at
 * once, or after 5 seconds if it is about to end anyway, and SIGKILL 5 seconds later. Until then it
 * uses the event loop, and the fdstore, which must outlive it: if this process dies, the next one
 * gets the pidfd, and calls child_terminate_pidfd().
 */
void child_terminate(struct child *child, bool about_to_end);

/*
 * Ends a command of which only the pidfd is known, as child_terminate() does for one that is about
 * to end. Takes ownership of pidfd.
 */
void child_terminate_pidfd(struct event_base *base, struct fdstore *fdstore, int pidfd);

#endif
