/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channels of this domain, in both roles, as xenstore shows them.
 */
#ifndef LIBPVCHAN_CHANNELS_H
#define LIBPVCHAN_CHANNELS_H

#include "state/device.h"
#include "state/machine.h"
#include "state/store.h"

/* Room for an error node and its NUL; a longer one is not shown. */
#define CHANNELS_ERROR_MAX 512

/* Room for a kind of connection and its NUL. */
#define CHANNELS_CONNECTION_MAX 16

/* What is not there, or may not be read, is empty, DOMID_INVALID, or XenbusStateUnknown. */
struct channel_view {
    enum machine_role role; /* of this domain */
    bool for_program;       /* a program of this domain may open it; else vchan-backend serves it */
    char connection[CHANNELS_CONNECTION_MAX]; /* and plugs it into that (backend only) */
    char dir[DEVICE_PATH_MAX];
    uint32_t devid;
    domid_t peer;
    char name[DEVICE_NAME_MAX + 1];
    enum xenbus_state state; /* ours */
    enum xenbus_state peer_state;
    char frontend_error[CHANNELS_ERROR_MAX];
    char backend_error[CHANNELS_ERROR_MAX];
};

/* Which ones there are. */
struct channel_name {
    enum machine_role role;
    uint32_t devid;
    char dir[DEVICE_PATH_MAX];
    char name[DEVICE_NAME_MAX + 1];
};

/*
 * Their names, frontends first: one exchange with xenstored for each. 0, and the caller frees
 * *names; or -ENOMEM, and *names is NULL. Directories that this domain may not list have nothing in
 * them.
 */
int channels_names(struct store *store, struct channel_name **names, size_t *count);

/*
 * What xenstore shows of those that "NAME" or "DOMID/NAME" may mean (NULL: of all). 0, and the
 * caller frees *views; or -EINVAL, -ENOMEM, and *views is NULL.
 */
int channels_view(struct store *store, const struct channel_name *names, size_t names_count,
                  const char *name, struct channel_view **views, size_t *count);

/*
 * Lists them, frontends first. 0, and the caller frees *views; or a negative errno, and *views is
 * NULL. Directories that this domain may not list have nothing in them.
 */
int channels_list(struct store *store, struct channel_view **views, size_t *count);

/*
 * Finds the one that "NAME" or "DOMID/NAME" means (DOMID is the domain at the other end). 0,
 * -EINVAL if it is neither form, -ENOENT, or -ENOTUNIQ if there are several. To open it, only those
 * for programs count; -EBUSY if there are only others.
 */
int channels_find(const struct channel_view *views, size_t count, const char *name, bool to_open,
                  const struct channel_view **found);

/*
 * Finds one, among the names that are known from before (none at first: NULL and 0), or else among
 * those that there are now, which are known from then on. So only the first look goes through all
 * channels, as long as the name is found. 0, or as channels_names() and channels_find(). The caller
 * frees *names in the end.
 */
int channels_look(struct store *store, struct channel_name **names, size_t *names_count,
                  const char *name, bool to_open, struct channel_view *view);

/* Whether a word could be a channel: "NAME" or "DOMID/NAME". */
bool channels_name_valid(const char *name);

#endif
