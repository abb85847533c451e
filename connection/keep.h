/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that outlive the process, by the name of who owns them and what they are to it ("5/0",
 * "socket"). A process that is killed gets them back from the service manager, which holds them
 * (systemd's file descriptor store, sd_pid_notify_with_fds(3)); one that replaces itself hands them
 * over itself, in the same way (sd_listen_fds(3)).
 *
 * A keep closes nothing that it did not hand out. Belongs to one thread. NULL is a keep that has
 * nothing and keeps nothing.
 */
#ifndef CONNECTION_KEEP_H
#define CONNECTION_KEEP_H

#include <stdbool.h>

struct keep;

/*
 * Takes over what the process was given at its start: to be called before anything is opened or run.
 * On success the caller owns *keep. -ENOMEM.
 */
int keep_open(struct keep **keep);

/* Closes what was never taken, and frees. What is kept stays with the manager. */
void keep_close(struct keep *keep);

/* Whether descriptors are kept even if the process is killed: there is a manager that was asked to. */
bool keep_is_lasting(const struct keep *keep);

/*
 * Hands out what an earlier process kept. The caller owns the fd, which stays kept until keep_drop().
 * -ENOENT: there is none.
 */
int keep_take(struct keep *keep, const char *owner, const char *what);

/*
 * Keeps a descriptor of the caller's; one of that name that was not taken is dropped. Without memory it is not
 * kept: it goes with the process.
 */
void keep_add(struct keep *keep, const char *owner, const char *what, int fd);

/* Whether this descriptor is kept under that name. */
bool keep_has(struct keep *keep, const char *owner, const char *what, int fd);

/* No longer keeps it. To be called before the fd is closed. Nothing happens if it is not kept. */
void keep_drop(struct keep *keep, const char *owner, const char *what);

/* Closes what an earlier process kept for an owner and was not taken (owner NULL: for anybody). */
void keep_forget(struct keep *keep, const char *owner);

/*
 * Replaces the process by a new one of the program that is at the same path now, with the same
 * arguments, which gets all that is kept. Returns only if nothing was done: -E2BIG, too much is kept for an
 * environment variable; -ENOMEM. If it fails later it ends the process as a kill does, after a line in the log.
 */
int keep_hand_over(struct keep *keep);

#endif
