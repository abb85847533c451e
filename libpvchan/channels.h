/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channels of this domain, in both roles, as xenstore shows them. */
#ifndef LIBPVCHAN_CHANNELS_H
#define LIBPVCHAN_CHANNELS_H

#include "state/device.h"
#include "state/machine.h"
#include "state/store.h"

/* Room for an error node and its NUL; a longer one is not shown. */
#define CHANNELS_ERROR_MAX 512

/* Room for a kind of connection and its NUL. */
#define CHANNELS_CONNECTION_MAX 16

/* What is missing or may not be read is empty, DOMID_INVALID or XenbusStateUnknown. */
struct channel_view {
    enum machine_role role; /* of this domain */
    bool for_program; /* a program of this domain may open it; otherwise vchan-backend serves it */
    char connection[CHANNELS_CONNECTION_MAX]; /* what vchan-backend connects it to (backend only) */
    char dir[DEVICE_PATH_MAX];
    uint32_t devid;
    domid_t peer;
    char name[DEVICE_NAME_MAX + 1];
    enum xenbus_state state; /* of this side */
    enum xenbus_state peer_state;
    char frontend_error[CHANNELS_ERROR_MAX];
    char backend_error[CHANNELS_ERROR_MAX];
};

/* The identity of a channel. */
struct channel_name {
    enum machine_role role;
    uint32_t devid;
    char dir[DEVICE_PATH_MAX];
    char name[DEVICE_NAME_MAX + 1];
};

/*
 * Lists the names, frontends first; one exchange with xenstored for each. Returns 0, and the caller
 * frees *names; or -ENOMEM with *names NULL. A directory that this domain may not list counts as
 * empty.
 */
int channels_names(struct store *store, struct channel_name **names, size_t *count);

/*
 * Views the channels that "NAME" or "DOMID/NAME" may mean, or all if name is NULL. Returns 0, and
 * the caller frees *views; or -EINVAL or -ENOMEM with *views NULL.
 */
int channels_view(struct store *store, const struct channel_name *names, size_t names_count,
                  const char *name, struct channel_view **views, size_t *count);

/*
 * Lists and views all channels, frontends first. Returns 0, and the caller frees *views; or a
 * negative errno with *views NULL. A directory that this domain may not list counts as empty.
 */
int channels_list(struct store *store, struct channel_view **views, size_t *count);

/*
 * Finds the channel that "NAME" or "DOMID/NAME" means; DOMID is the domain at the other end.
 * Returns 0; -EINVAL if it is neither form; -ENOENT; or -ENOTUNIQ if several match. With to_open,
 * only channels for programs count; -EBUSY if there are only others.
 */
int channels_find(const struct channel_view *views, size_t count, const char *name, bool to_open,
                  const struct channel_view **found);

/*
 * Finds a channel among the names already listed (initially NULL and 0). Only if it is not there,
 * lists them anew into *names. So only the first of many lookups lists all channels. Returns 0, or
 * as channels_names() and channels_find(). The caller finally frees *names.
 */
int channels_lookup(struct store *store, struct channel_name **names, size_t *names_count,
                  const char *name, bool to_open, struct channel_view *view);

/* Whether text has the form "NAME" or "DOMID/NAME". */
bool channels_name_valid(const char *name);

#endif
