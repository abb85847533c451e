/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps descriptors for the next process of the service, each under the name of its owner and a
 * name of its own ("5/0", "socket"). A process that is killed gets them back from the service
 * manager, which has copies (systemd's file descriptor store, sd_pid_notify_with_fds(3),
 * sd_listen_fds(3)). A process that replaces itself passes them on directly.
 *
 * "Kept" means at least for a process that replaces itself; "stored" means by the manager too. A
 * descriptor is "taken" while this process uses it; the fdstore closes only those that are not
 * taken. Belongs to one thread. No call blocks. All functions accept NULL, an fdstore that has
 * nothing and keeps nothing.
 */
#ifndef SERVICE_HANDOVER_FDSTORE_H
#define SERVICE_HANDOVER_FDSTORE_H

#include <stdbool.h>
#include <stdint.h>

struct fdstore;

/*
 * Takes over the descriptors that the process was started with. Call it before the process opens
 * anything or starts another. Returns 0 with *fdstore owned by the caller, or -ENOMEM.
 */
int fdstore_open(struct fdstore **fdstore);

/*
 * The version of the names' form. Names of version 0 have no prefix; later ones will begin with
 * "vN.". fdstore_version() returns the highest version among the names that an earlier process
 * used.
 */
#define FDSTORE_VERSION 0
uint32_t fdstore_version(const struct fdstore *fdstore);

/*
 * Calls visit() for each descriptor with this name, of any owner, until a call returns other than
 * 0. Returns what the last call returned, or 0.
 */
int fdstore_each(const struct fdstore *fdstore, const char *what, int (*visit)(void *arg, int fd),
                 void *arg);

/* Closes what was never taken, and frees. The manager's copies stay. */
void fdstore_close(struct fdstore *fdstore);

/* Whether the manager has room for count more descriptors. */
bool fdstore_has_room(const struct fdstore *fdstore, unsigned int count);

/*
 * Takes a descriptor that an earlier process kept. Returns the fd, which the caller then owns and
 * which stays kept until fdstore_drop(), or -ENOENT.
 */
int fdstore_take(struct fdstore *fdstore, const char *owner, const char *what);

/* Whether an earlier process kept this descriptor, and it was not taken. */
bool fdstore_is_left(const struct fdstore *fdstore, const char *owner, const char *what);

/* Whether this descriptor is kept, by this process or an earlier one. */
bool fdstore_is_kept(const struct fdstore *fdstore, const char *owner, const char *what);

/* Whether the manager has a copy, so that the descriptor is kept even if the process is killed. */
bool fdstore_is_stored(const struct fdstore *fdstore, const char *owner, const char *what);

/*
 * Keeps a descriptor of the caller's. lasting: the manager stores it too; call fdstore_has_room()
 * first. Replaces another descriptor of that name, and closes it if it was not taken. If memory
 * runs out, the descriptor is not kept.
 */
void fdstore_add(struct fdstore *fdstore, const char *owner, const char *what, int fd,
                 bool lasting);

/* Stops keeping a descriptor. Call it before closing the fd. Allowed if it is not kept. */
void fdstore_drop(struct fdstore *fdstore, const char *owner, const char *what);

/*
 * Closes what an earlier process kept for an owner and this one has not taken (owner NULL: for all
 * owners).
 */
void fdstore_drop_untaken(struct fdstore *fdstore, const char *owner);

/*
 * From now on, passes an untaken descriptor with this name to discarded(), which then owns it,
 * instead of closing it.
 */
void fdstore_on_discard(struct fdstore *fdstore, const char *what,
                        void (*discarded)(void *arg, int fd), void *arg);

/*
 * Replaces the process by a new one, of the program that is now at the same path, with the same
 * arguments and all that is kept. Returns only if that fails, a negative errno with nothing
 * changed.
 */
int fdstore_hand_over(struct fdstore *fdstore);

#endif
