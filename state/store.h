/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The xenstore binding: typed strict reads, one transaction loop, libxl's permissions, watches that
 * only say "look again".
 *
 * Every path is given as a directory and a key below it; a NULL directory makes the key the whole
 * path. Relative paths are the calling domain's own (they survive a change of its domid). Functions
 * return 0 or a negative errno unless they say otherwise: -ENOENT (no such node), -EACCES (not ours
 * to touch), -EDQUOT (a xenstore quota of this domain is used up: nodes, watches, transactions),
 * -E2BIG (too long for xenstore), -ENAMETOOLONG, -EIO (xenstored is gone). They block for one
 * exchange with xenstored. A store belongs to one thread, and does not survive fork().
 */
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <xen/xen.h>

#include "state/xenbus.h"

/* The longest path, with its NUL (xen/io/xs_wire.h: XENSTORE_ABS_PATH_MAX). */
#define STORE_PATH_MAX 3073

/* The longest value that store_read_text takes with its NUL; xenstored itself allows 4096 bytes. */
#define STORE_VALUE_MAX 4097

/* As a reader in store_make_directory: nobody but the owner. */
#define STORE_NOBODY DOMID_INVALID

struct store;

/* The length of the path of the directory that a path is in; 0: it is in none. */
static inline size_t store_parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

/*
 * Connects to xenstored. -ENODEV: there is none here, or not for this user. On success the caller
 * owns *store; on failure *store is NULL.
 */
int store_open(struct store **store);

/* Ends the connection, its watches and a transaction under way. NULL is allowed. */
void store_close(struct store *store);

/*
 * A poll()-able fd, readable when store_next_event has something. Owned by the store. It never
 * misses an event, and may be readable for none.
 */
int store_fd(struct store *store);

/* How many exchanges with xenstored there were: what the work so far has cost. */
uint64_t store_exchanges(const struct store *store);

/* The domain that this program runs in. */
int store_own_domid(struct store *store, domid_t *domid);

/*
 * Whether a read that failed so (a negative errno) found nothing, or nonsense, which counts as
 * nothing; otherwise what is there cannot be read now.
 */
bool store_is_nothing(int rc);

/*
 * 1: a node is there; 0: it is not; or another negative errno. For who removes, or overwrites, what
 * is not there.
 */
int store_has(struct store *store, const char *dir, const char *key);

/* Tells whether a node is there, and can be read now. */
bool store_exists(struct store *store, const char *dir, const char *key);

/* Reads text into a buffer of size bytes. -EOVERFLOW: longer than that; -EINVAL: it holds a NUL. */
int store_read_text(struct store *store, const char *dir, const char *key, char *text, size_t size);

/*
 * Reads a decimal number of at most max, digits only (no sign, no blank). -EINVAL: anything else,
 * -ERANGE: more than max. *value is set on success only.
 */
int store_read_number(struct store *store, const char *dir, const char *key, uint32_t max,
                      uint32_t *value);

/*
 * Reads an XenbusState. A node that is missing reads as XenbusStateUnknown with 0, since a device
 * that vanished is part of the protocol (doc/protocol.md, "States"). -EINVAL: not a state.
 */
int store_read_state(struct store *store, const char *dir, enum xenbus_state *state);

/* Writes text; the node is made, with its parents, with its parent's permissions. */
int store_write_text(struct store *store, const char *dir, const char *key, const char *text);

/* Writes a decimal number. */
int store_write_number(struct store *store, const char *dir, const char *key, uint32_t value);

/*
 * Writes a key of a device's directory, but only if that still has a state: one that was taken away
 * stays away (-ENOENT). Takes a transaction of its own, so it may not be called in one.
 */
int store_write_device(struct store *store, const char *dir, const char *key, const char *text);

/* Writes dir/state in the same way. */
int store_write_state(struct store *store, const char *dir, enum xenbus_state state);

/*
 * Makes a directory, owned by owner and readable by reader (or STORE_NOBODY) and by no one else;
 * nodes made below it later inherit that. Its permissions are set also if it is there already.
 */
int store_make_directory(struct store *store, const char *path, domid_t owner, domid_t reader);

/* The same with two readers: for what is between two domains, and neither may write. */
int store_make_directory_for(struct store *store, const char *path, domid_t owner,
                             const domid_t readers[2]);

/* Removes a node and all below it. Removing what is not there succeeds. */
int store_remove(struct store *store, const char *path);

/*
 * Removes a node, then its parents as long as they are empty, but none that is not below stop
 * (e.g. path "/local/domain/0/backend/vchan/5/0", stop "/local/domain/0/backend").
 */
int store_remove_upward(struct store *store, const char *path, const char *stop);

/*
 * Lists the names in a directory that are numbers up to max: domains, or devices. Other names are
 * passed over, and a missing directory is empty. On success *numbers holds *count of them, for the
 * caller to free(). On failure it is NULL.
 */
int store_list_numbers(struct store *store, const char *dir, uint32_t max, uint32_t **numbers,
                       size_t *count);

/*
 * Runs fill in a transaction: all its reads see one moment and all its writes happen at once or not
 * at all. fill may run several times (somebody else wrote meanwhile), so it must have no effect but
 * through this store. It returns 0 to commit, or a negative errno to abort, which is passed on.
 * Transactions do not nest (-EBUSY). -EAGAIN: other writers did not let it through in 1000 tries.
 */
int store_transaction(struct store *store, int (*fill)(struct store *store, void *arg), void *arg);

/*
 * Watches a node and all below it; the token comes back with each event and tells the caller's
 * watches apart (it is text, and visible to xenstored). The first event comes at once. -EDQUOT:
 * this domain has too many watches (a guest may have 128).
 */
int store_watch(struct store *store, const char *path, const char *token);

/* Ends a watch; events already queued for it may still come. */
int store_unwatch(struct store *store, const char *path, const char *token);

/* One event: the path that changed, relative if the watch was, and the watch's token. */
struct store_event {
    char path[STORE_PATH_MAX];
    char token[64];
};

/*
 * Takes the next event, never blocking. Returns 1 and fills *event, 0 if there is none, or a
 * negative errno. Events may be merged and late: they mean "look again", never "this happened".
 */
int store_next_event(struct store *store, struct store_event *event);

/*
 * Takes all events that are there, never blocking, for a caller that looks at everything anyway. 0
 * or a negative errno.
 */
int store_skip_events(struct store *store);

/*
 * Parses digits only, at most max, as the strict reads do. 0, -EINVAL or -ERANGE. For numbers that
 * come from elsewhere (command lines, directory names).
 */
int parse_number(const char *text, uint32_t max, uint32_t *value);

/*
 * What follows in a path behind "/local/domain/DOMID/", and the domain. NULL: the path lies in none,
 * and *domid is not set.
 */
const char *store_path_in_domain(const char *path, domid_t *domid);

#endif
