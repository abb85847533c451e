/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing a domain's channels: others are locked out meanwhile. The new record is written to the
 * disk before xenstore is changed, and becomes valid afterwards.
 *
 * Functions that take a tool report errors on stderr and return a negative errno.
 */
#ifndef TOOLSTACK_EDIT_H
#define TOOLSTACK_EDIT_H

#include "toolstack/config.h"
#include "toolstack/record.h"
#include "toolstack/tool.h"

struct edit {
    int locks; /* -1: none */
    char uuid[RECORD_UUID_MAX];
    struct config config; /* what the domain is to have; for the caller to change */
    bool staged;
};

/* The empty value, for which edit_close() may be called. */
#define EDIT_NONE ((struct edit){.locks = -1})

/*
 * Takes a domain's locks, waiting for them, and reads its record, or if none can be read, what the
 * domain has in xenstore. -EEXIST: an older live domain has the same uuid, so the record belongs to
 * that one. -ESRCH: there is no such domain. edit_close() may be called in any case.
 */
int edit_open(struct tool *tool, domid_t domid, struct edit *edit);

/* The same for a domain that may be gone: -ESRCH is not reported. */
int edit_open_if_alive(struct tool *tool, domid_t domid, struct edit *edit);

/* The same if edit->locks holds the lock of the domain's name already. */
int edit_enter(struct tool *tool, domid_t domid, struct edit *edit);

/* The same without taking a lock. -ESRCH is not reported. */
int edit_read(struct tool *tool, domid_t domid, struct edit *edit);

/*
 * Adds a channel to edit->config, with its backend's uuid if that is known, and without an id that
 * a user gave. Returns 0, or a negative errno after reporting it; -EEXIST: another channel has the
 * devid.
 */
int edit_put(struct tool *tool, struct edit *edit, const struct spec *channel);

/* Writes edit->config to the disk; edit_commit() makes it valid. */
int edit_stage(struct tool *tool, struct edit *edit);
int edit_commit(struct tool *tool, struct edit *edit);

/* Releases the locks. What was staged and not committed is discarded. */
void edit_close(struct edit *edit);

#endif
