/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that outlive the process, by the name of who owns them and what they are to it
 * ("5/0", "socket"). A process that is killed gets them back from the service manager, which holds
 * them (systemd's file descriptor store, sd_pid_notify_with_fds(3), sd_listen_fds(3)); one that
 * replaces itself hands them over itself.
 *
 * An fdstore closes nothing that it did not hand out. Belongs to one thread. NULL is one that has
 * nothing and keeps nothing.
 */
#ifndef SERVICE_HANDOVER_FDSTORE_H
#define SERVICE_HANDOVER_FDSTORE_H

#include <stdbool.h>
#include <stdint.h>

struct fdstore;

/*
 * Takes over what the process was given at its start: to be called before anything is opened or
 * run. On success the caller owns *fdstore. -ENOMEM.
 */
int fdstore_open(struct fdstore **fdstore);

/*
 * The form of the names of what an earlier process kept. Today's has no number and is version 0; a
 * later one has "vN." before each. The highest that was found.
 */
#define FDSTORE_VERSION 0
uint32_t fdstore_version(const struct fdstore *fdstore);

/* Looks at all that was kept as this, by whatever owner, until look() gives something but 0. */
int fdstore_each(const struct fdstore *fdstore, const char *what, int (*look)(void *arg, int fd), void *arg);

/* Closes what was never taken, and frees. What is kept stays with the manager. */
void fdstore_close(struct fdstore *fdstore);

/* Whether so many more would be kept even if the process is killed: a manager has room for them. */
bool fdstore_has_room(const struct fdstore *fdstore, unsigned int count);

/*
 * Hands out what an earlier process kept. The caller owns the fd, which stays kept until
 * fdstore_drop(). -ENOENT: there is none.
 */
int fdstore_take(struct fdstore *fdstore, const char *owner, const char *what);

/* Whether an earlier process kept this, and it was not taken. */
bool fdstore_is_left(const struct fdstore *fdstore, const char *owner, const char *what);

/* Whether this is kept, by this process or an earlier one. */
bool fdstore_is_kept(const struct fdstore *fdstore, const char *owner, const char *what);

/* Whether this is kept even if the process is killed. */
bool fdstore_is_stored(const struct fdstore *fdstore, const char *owner, const char *what);

/*
 * Keeps a descriptor of the caller's, also if the process is killed (lasting: fdstore_has_room() said
 * so), or only if it replaces itself. One of that name that was not taken is dropped. Without
 * memory it is not kept: it goes with the process.
 */
void fdstore_add(struct fdstore *fdstore, const char *owner, const char *what, int fd, bool lasting);

/* No longer keeps it. To be called before the fd is closed. Nothing happens if it is not kept. */
void fdstore_drop(struct fdstore *fdstore, const char *owner, const char *what);

/* Closes what an earlier process kept for an owner and was not taken (owner NULL: for anybody). */
void fdstore_forget(struct fdstore *fdstore, const char *owner);

/*
 * From now on, what was kept under this name by an earlier process and was not taken is not closed,
 * but given to farewell(), which owns it then.
 */
void fdstore_set_farewell(struct fdstore *fdstore, const char *what, void (*farewell)(void *arg, int fd),
                       void *arg);

/*
 * Replaces the process by a new one of the program that is at the same path now, with the same
 * arguments, which gets all that is kept. Returns only if that cannot be, a negative errno, with
 * all as it was.
 */
int fdstore_hand_over(struct fdstore *fdstore);

#endif
