/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain whose channels are being changed: nobody else changes them meanwhile, and what it is to
 * have is written to the disk before, and made valid after, xenstore is changed.
 *
 * Functions that take a tool say on stderr why they fail, and return a negative errno.
 */
#ifndef TOOLSTACK_EDIT_H
#define TOOLSTACK_EDIT_H

#include "toolstack/config.h"
#include "toolstack/record.h"
#include "toolstack/tool.h"

struct edit {
    int locks; /* -1: none */
    char uuid[RECORD_UUID_MAX];
    struct config config; /* what the domain is to have: for the holder to change */
    bool staged;
};

/* Nothing held: edit_close() is right. */
#define EDIT_NONE ((struct edit){.locks = -1})

/*
 * Takes a domain's locks, waiting for them, and reads its record; or, if there is none that can be
 * read, what it has in xenstore. -EEXIST: another live domain has the same uuid and came first, so
 * the record is that one's. -ESRCH, which is left to the caller to say: there is no such domain.
 * edit_close() is right in any case.
 */
int edit_open(struct tool *tool, domid_t domid, struct edit *edit);

/* The same where edit->locks has the lock of the domain's name already. */
int edit_enter(struct tool *tool, domid_t domid, struct edit *edit);

/* Reads the same without taking a lock. */
int edit_read(struct tool *tool, domid_t domid, struct edit *edit);

/*
 * Puts a channel into edit->config, with the uuid of its backend if that is there, and without the
 * id that a user gave. 0, or a negative errno after saying why: -EEXIST another one has its devid.
 */
int edit_put(struct tool *tool, struct edit *edit, const struct spec *channel);

/* Writes edit->config to the disk; edit_commit makes it valid. */
int edit_stage(struct tool *tool, struct edit *edit);
int edit_commit(struct tool *tool, struct edit *edit);

/* Gives the lock up; what was staged and not committed is forgotten. */
void edit_close(struct edit *edit);

#endif
