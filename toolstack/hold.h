/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain whose channels are being changed: nobody else changes them meanwhile, and what it is to
 * have is written to the disk before, and made valid after, xenstore is changed.
 *
 * Functions that take a tool say on stderr why they fail, and return a negative errno.
 */
#ifndef TOOLSTACK_HOLD_H
#define TOOLSTACK_HOLD_H

#include "toolstack/config.h"
#include "toolstack/record.h"
#include "toolstack/tool.h"

struct hold {
    int locks; /* -1: none */
    char uuid[RECORD_UUID_MAX];
    struct config config; /* what the domain is to have: for the holder to change */
    bool staged;
};

/* Nothing held: hold_close() is right. */
#define HOLD_NONE ((struct hold){.locks = -1})

/*
 * Takes a domain's locks, waiting for them, and reads its record; or, if there is none that can be
 * read, what it has in xenstore. -EEXIST: another live domain has the same uuid and came first, so
 * the record is that one's. hold_close() is right in either case.
 */
int hold_open(struct tool *tool, domid_t domid, struct hold *hold);

/* The same where hold->locks has the lock of the domain's name already. */
int hold_enter(struct tool *tool, domid_t domid, struct hold *hold);

/* Reads the same without taking a lock. */
int hold_read(struct tool *tool, domid_t domid, struct hold *hold);

/*
 * Puts a channel into hold->config, with the uuid of its backend if that is there, and without the
 * id that a user gave. 0, or a negative errno after saying why: -EEXIST another one has its devid.
 */
int hold_put(struct tool *tool, struct hold *hold, const struct spec *channel);

/* Writes hold->config to the disk; hold_commit makes it valid. */
int hold_stage(struct tool *tool, struct hold *hold);
int hold_commit(struct tool *tool, struct hold *hold);

/* Gives the lock up; what was staged and not committed is forgotten. */
void hold_close(struct hold *hold);

#endif
