/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps what the next process of the service needs: a table with a row for each owner (a device,
 * "5/0"), which lists its descriptors and the rings that the ring holder maps. A process that is
 * killed gets them back from the service manager, which has copies of the descriptors and of the
 * table (systemd's file descriptor store, sd_pid_notify_with_fds(3), sd_listen_fds(3)). A process
 * that replaces itself passes them on directly.
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

struct endpoint_rings;
struct fdstore;

/* What a descriptor is for its owner. The numbers are part of the format. */
enum fdstore_item {
    FDSTORE_RING_HOLDER, /* the socket to the ring holder */
    FDSTORE_LISTENER,
    FDSTORE_PROGRAM, /* the socket to a client or server */
    FDSTORE_TERMINAL,
    FDSTORE_INPUT, /* of a command */
    FDSTORE_OUTPUT,
    FDSTORE_STDERR,
    FDSTORE_COMMAND, /* a command's pidfd */
    FDSTORE_JOURNAL_TO,
    FDSTORE_JOURNAL_FROM,
    FDSTORE_JOURNAL_PAGE,
    FDSTORE_WORKER, /* the socket to a worker's process */
    FDSTORE_WORKER_PIDFD,
    FDSTORE_ITEMS
};

/*
 * Takes over the descriptors that the process was started with. Call it before the process opens
 * anything or starts another. Returns 0 with *fdstore owned by the caller, or a negative errno:
 * -ENOMEM, -EMFILE, -ENFILE, -EINVAL (an earlier process left something else than a table).
 */
int fdstore_open(struct fdstore **fdstore);

/*
 * The version of the table. fdstore_version() returns the one that an earlier process used; if it
 * is higher, the fdstore has nothing, and leaves everything as it is. Version 0 had no table, but
 * names such as "5/0.listener"; the manager keeps them under those names, and they get rows.
 */
#define FDSTORE_VERSION 1
uint32_t fdstore_version(const struct fdstore *fdstore);

/* Closes what was never taken, and frees. The manager's copies stay. */
void fdstore_close(struct fdstore *fdstore);

/* Whether the manager has room for count more descriptors. */
bool fdstore_has_room(const struct fdstore *fdstore, unsigned int count);

/*
 * Takes a descriptor that an earlier process kept. Returns the fd, which the caller then owns and
 * which stays kept until fdstore_drop(), or -ENOENT.
 */
int fdstore_take(struct fdstore *fdstore, const char *owner, enum fdstore_item item);

/* Whether an earlier process kept this descriptor, and it was not taken. */
bool fdstore_is_left(const struct fdstore *fdstore, const char *owner, enum fdstore_item item);

/*
 * Calls visit() for each owner whose name begins with prefix, and for whom an earlier process left
 * a descriptor of this kind. visit() may take and drop what that owner has.
 */
void fdstore_each_left(struct fdstore *fdstore, const char *prefix, enum fdstore_item item,
                       void (*visit)(void *arg, const char *owner), void *arg);

/* Whether this descriptor is kept, by this process or an earlier one. */
bool fdstore_is_kept(const struct fdstore *fdstore, const char *owner, enum fdstore_item item);

/* Whether the manager has a copy, so that the descriptor is kept even if the process is killed. */
bool fdstore_is_stored(const struct fdstore *fdstore, const char *owner, enum fdstore_item item);

/*
 * Keeps a descriptor of the caller's. lasting: the manager stores it too; call fdstore_has_room()
 * first. Replaces another descriptor of that owner and item, and closes it if it was not taken. If
 * all rows are in use, or the owner's name has more than 39 bytes, it is not kept.
 */
void fdstore_add(struct fdstore *fdstore, const char *owner, enum fdstore_item item, int fd,
                 bool lasting);

/* Stops keeping a descriptor. Call it before closing the fd. Allowed if it is not kept. */
void fdstore_drop(struct fdstore *fdstore, const char *owner, enum fdstore_item item);

/*
 * Closes what an earlier process kept for an owner and this one has not taken. owner NULL: for all
 * owners, and for those that this version does not know.
 */
void fdstore_drop_untaken(struct fdstore *fdstore, const char *owner);

/*
 * From now on, passes an untaken descriptor of this kind to discarded(), which then owns it,
 * instead of closing it.
 */
void fdstore_on_discard(struct fdstore *fdstore, enum fdstore_item item,
                        void (*discarded)(void *arg, int fd), void *arg);

/*
 * Notes in the owner's row which rings the ring holder maps, in place of earlier ones; they count
 * as taken. Returns 0, or -ENOMEM where fdstore_add() would not keep anything.
 */
int fdstore_set_rings(struct fdstore *fdstore, const char *owner,
                      const struct endpoint_rings *rings);

/* Notes them on behalf of an earlier process, unless the row has some. They are not taken. */
void fdstore_leave_rings(struct fdstore *fdstore, const char *owner,
                         const struct endpoint_rings *rings);

/* Whether rings are noted for the owner. */
bool fdstore_has_rings(const struct fdstore *fdstore, const char *owner);

/* Removes the rings from the owner's row. Allowed if there are none. */
void fdstore_drop_rings(struct fdstore *fdstore, const char *owner);

/*
 * Returns whether an earlier process noted rings for the owner, and this one has neither set nor
 * dropped them; fills in *rings then.
 */
bool fdstore_find_rings(const struct fdstore *fdstore, const char *owner,
                        struct endpoint_rings *rings);

/*
 * Calls visit() for each owner whose rings this process has set (taken), or has not (!taken).
 * visit() may drop them.
 */
void fdstore_each_rings(struct fdstore *fdstore, bool taken,
                        void (*visit)(void *arg, const char *owner,
                                      const struct endpoint_rings *rings),
                        void *arg);

/*
 * Replaces the process by a new one, of the program that is now at the same path, with the same
 * arguments and all that is kept. Returns only if that fails, a negative errno with nothing
 * changed.
 */
int fdstore_hand_over(struct fdstore *fdstore);

#endif
