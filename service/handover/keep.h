/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that outlive the process, by the name of who owns them and what they are to it
 * ("5/0", "socket"). A process that is killed gets them back from the service manager, which holds
 * them (systemd's file descriptor store, sd_pid_notify_with_fds(3), sd_listen_fds(3)); one that
 * replaces itself hands them over itself.
 *
 * A keep closes nothing that it did not hand out. Belongs to one thread. NULL is a keep that has
 * nothing and keeps nothing.
 */
#ifndef SERVICE_HANDOVER_KEEP_H
#define SERVICE_HANDOVER_KEEP_H

#include <stdbool.h>
#include <stdint.h>

struct keep;

/*
 * Takes over what the process was given at its start: to be called before anything is opened or
 * run. On success the caller owns *keep. -ENOMEM.
 */
int keep_open(struct keep **keep);

/*
 * The form of the names of what an earlier process kept. Today's has no number and is version 0; a
 * later one has "vN." before each. The highest that was found.
 */
#define KEEP_SPEAKS 0
uint32_t keep_version(const struct keep *keep);

/* Looks at all that was kept as this, by whatever owner, until look() gives something but 0. */
int keep_each(const struct keep *keep, const char *what, int (*look)(void *arg, int fd), void *arg);

/* Closes what was never taken, and frees. What is kept stays with the manager. */
void keep_close(struct keep *keep);

/* Whether so many more would be kept even if the process is killed: a manager has room for them. */
bool keep_has_room(const struct keep *keep, unsigned int count);

/*
 * Hands out what an earlier process kept. The caller owns the fd, which stays kept until
 * keep_drop(). -ENOENT: there is none.
 */
int keep_take(struct keep *keep, const char *owner, const char *what);

/* Whether an earlier process kept this, and it was not taken. */
bool keep_is_left(const struct keep *keep, const char *owner, const char *what);

/* Whether this is kept even if the process is killed. */
bool keep_is_stored(const struct keep *keep, const char *owner, const char *what);

/*
 * Keeps a descriptor of the caller's, also if the process is killed (lasting: keep_has_room() said
 * so), or only if it replaces itself. One of that name that was not taken is dropped. Without
 * memory it is not kept: it goes with the process.
 */
void keep_add(struct keep *keep, const char *owner, const char *what, int fd, bool lasting);

/* No longer keeps it. To be called before the fd is closed. Nothing happens if it is not kept. */
void keep_drop(struct keep *keep, const char *owner, const char *what);

/* Closes what an earlier process kept for an owner and was not taken (owner NULL: for anybody). */
void keep_forget(struct keep *keep, const char *owner);

/*
 * From now on, what was kept under this name by an earlier process and was not taken is not closed,
 * but given to farewell(), which owns it then.
 */
void keep_set_farewell(struct keep *keep, const char *what, void (*farewell)(void *arg, int fd),
                       void *arg);

/*
 * Replaces the process by a new one of the program that is at the same path now, with the same
 * arguments, which gets all that is kept. Returns only if that cannot be, a negative errno, with
 * all as it was.
 */
int keep_hand_over(struct keep *keep);

#endif
