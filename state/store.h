/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The xenstore binding: strict typed reads, one transaction loop, libxl's permissions, watches that
 * only mean "look again".
 *
 * A path is a directory and a key below it; a NULL directory makes the key the whole path. Relative
 * paths belong to the calling domain (and survive a change of its domid). Functions return 0 or a
 * negative errno unless stated otherwise: -ENOENT (no such node), -EACCES (no permission), -EDQUOT
 * (a xenstore quota of this domain is used up: nodes, watches, transactions), -E2BIG (too long for
 * xenstore), -ENAMETOOLONG, -EIO (xenstored is gone). They block for one exchange with xenstored. A
 * store belongs to one thread and does not survive fork().
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

/* The longest value that store_read_text() reads, with its NUL; xenstored allows 4096 bytes. */
#define STORE_VALUE_MAX 4097

/* A reader for store_make_directory(): nobody but the owner. */
#define STORE_NOBODY DOMID_INVALID

struct store;

/* The length of a path's parent directory, or 0 if it has none. */
static inline size_t store_parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

/*
 * Connects to xenstored. -ENODEV: there is none here; -EACCES: not allowed for this user. On
 * success the caller owns *store; on failure *store is NULL.
 */
int store_open(struct store **store);

/* Closes the connection with its watches and any open transaction. NULL is allowed. */
void store_close(struct store *store);

/*
 * An fd to poll for reading, owned by the store. It is readable whenever store_next_event() has an
 * event, and sometimes when it has none.
 */
int store_fd(struct store *store);

/* The number of exchanges with xenstored so far, as a measure of cost. */
uint64_t store_exchanges(const struct store *store);

/* Finds the domain that this program runs in. */
int store_own_domid(struct store *store, domid_t *domid);

/*
 * Whether a failed read (rc is its negative errno) found nothing, or an invalid value, which counts
 * as nothing. Otherwise the node could not be read now.
 */
bool store_is_nothing(int rc);

/*
 * Returns 1 if the node exists, 0 if not, or another negative errno. For callers that are about to
 * remove or overwrite.
 */
int store_has(struct store *store, const char *dir, const char *key);

/* Whether the node exists and can be read now. */
bool store_exists(struct store *store, const char *dir, const char *key);

/* Reads text into a buffer of size bytes. -EOVERFLOW: too long; -EINVAL: it contains a NUL. */
int store_read_text(struct store *store, const char *dir, const char *key, char *text, size_t size);

/*
 * Reads a decimal number up to max; digits only (no sign, no space). -EINVAL: not a number;
 * -ERANGE: more than max. Sets *value on success only.
 */
int store_read_number(struct store *store, const char *dir, const char *key, uint32_t max,
                      uint32_t *value);

/*
 * Reads an XenbusState. A missing node gives 0 and XenbusStateUnknown, because a device that
 * vanished is part of the protocol (doc/protocol.md, "States"). -EINVAL: not a state.
 */
int store_read_state(struct store *store, const char *dir, enum xenbus_state *state);

/* Writes text. Creates the node and its parents, with their parent's permissions. */
int store_write_text(struct store *store, const char *dir, const char *key, const char *text);

/* Writes a decimal number. */
int store_write_number(struct store *store, const char *dir, const char *key, uint32_t value);

/*
 * Writes a key of a device's directory only if the device still has a state, so that a removed one
 * stays removed (-ENOENT). Uses a transaction of its own; do not call it inside one.
 */
int store_write_device(struct store *store, const char *dir, const char *key, const char *text);

/* Writes dir/state, likewise. */
int store_write_state(struct store *store, const char *dir, enum xenbus_state state);

/*
 * Creates a directory owned by owner and readable by reader (or STORE_NOBODY) and nobody else.
 * Nodes created below it inherit that. Sets the permissions of an existing directory, too.
 */
int store_make_directory(struct store *store, const char *path, domid_t owner, domid_t reader);

/* The same with two readers, neither of which may write: for what lies between two domains. */
int store_make_directory_for(struct store *store, const char *path, domid_t owner,
                             const domid_t readers[2]);

/* Removes a node and all below it. Removing a missing node succeeds. */
int store_remove(struct store *store, const char *path);

/*
 * Removes a node, then its parents while they are empty, but only those below stop (e.g. path
 * "/local/domain/0/backend/vchan/5/0", stop "/local/domain/0/backend").
 */
int store_remove_upward(struct store *store, const char *path, const char *stop);

/*
 * Lists the names in a directory that are numbers up to max: domains, or devices. Ignores other
 * names; a missing directory is empty. On success the caller frees *numbers, which holds *count of
 * them; on failure it is NULL.
 */
int store_list_numbers(struct store *store, const char *dir, uint32_t max, uint32_t **numbers,
                       size_t *count);

/*
 * Runs fill in a transaction: all its reads see one moment, and its writes happen together or not
 * at all. fill may run several times (after a conflict), so it may have no effect but through this
 * store. It returns 0 to commit, or a negative errno to abort, which is passed on. Transactions do
 * not nest (-EBUSY). -EAGAIN: 1000 tries conflicted with other writers.
 */
int store_transaction(struct store *store, int (*fill)(struct store *store, void *arg), void *arg);

/*
 * Watches a node and all below it. Each event carries the token, by which the caller tells its
 * watches apart (text; visible to xenstored). The first event comes at once. -EDQUOT: too many
 * watches (a guest may have 128).
 */
int store_watch(struct store *store, const char *path, const char *token);

/* Ends a watch. Events already queued for it may still come. */
int store_unwatch(struct store *store, const char *path, const char *token);

/* One event: the path that changed (relative if the watch is) and the watch's token. */
struct store_event {
    char path[STORE_PATH_MAX];
    char token[64];
};

/*
 * Takes the next event; never blocks. Returns 1 and fills in *event, 0 if there is none, or a
 * negative errno. Events may be merged and late: they mean "look again", never "this happened".
 */
int store_next_event(struct store *store, struct store_event *event);

/*
 * Takes all events that are there, never blocking, for a caller that looks at everything anyway. 0
 * or a negative errno.
 */
int store_skip_events(struct store *store);

/*
 * Parses a number up to max, digits only, for values from elsewhere (command lines, directory
 * names). Returns 0, -EINVAL or -ERANGE.
 */
int parse_number(const char *text, uint32_t max, uint32_t *value);

/*
 * Returns the part of a path after "/local/domain/DOMID/", and sets *domid; or NULL, *domid
 * unchanged, if the path is in no domain's directory.
 */
const char *store_path_in_domain(const char *path, domid_t *domid);

#endif
