/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of xenstored over the ring that every domain has. Each call sends one request and waits
 * for its answer; watch events that come meanwhile are passed on. As in state/store.h, a path is a
 * directory and a key below it (or NULL), and calls return 0 or a negative errno.
 */
#ifndef UNIKERNEL_STORE_H
#define UNIKERNEL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#include "state/xenbus.h"

/* Room for the paths used here. */
#define STORE_PATH_MAX 256

/*
 * Called when something below a watched path has changed, with the path as it was watched, and the
 * watch's token. It runs in the middle of other calls, so it may only set flags.
 */
typedef void store_changed(const char *path, const char *token);

void store_init(store_changed *changed);

/* Passes on the events that have come. */
void store_dispatch(void);

/* -EOVERFLOW: longer than the buffer. */
int store_read_text(const char *dir, const char *key, char *text, size_t size);

/* Digits only. -EINVAL: not a number; -ERANGE: more than max. */
int store_read_number(const char *dir, const char *key, uint32_t max, uint32_t *value);

/* Reads dir/state. A missing node gives XenbusStateUnknown; -EINVAL: not a state. */
int store_read_state(const char *dir, enum xenbus_state *state);

int store_write_text(const char *dir, const char *key, const char *text);
int store_write_number(const char *dir, const char *key, uint32_t value);

/* Lets reader, and no other domain, read one of our nodes. */
int store_share(const char *dir, const char *key, domid_t self, domid_t reader);

/* Removing a missing node succeeds. */
int store_remove(const char *dir, const char *key);

/*
 * Calls each() for every name in a directory; each() may not use the store. A missing directory is
 * empty.
 */
int store_list(const char *dir, void (*each)(const char *name));

int store_watch(const char *path, const char *token);

/*
 * Runs fill in a transaction: its writes happen together or not at all. It may run several times.
 * It returns 0 to commit, or a negative errno to abort, which is passed on.
 */
int store_transaction(int (*fill)(void *arg), void *arg);

#endif
