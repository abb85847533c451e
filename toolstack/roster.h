/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names and devids of a domain's channels, as T has them. They are read once and updated from
 * there, so that plugging many channels does not read all of them each time.
 *
 * A name is read once. So a caller that keeps a roster across transactions has the domain's lock
 * (toolstack/record.h), and no other program replaces one of its channels.
 */
#ifndef TOOLSTACK_ROSTER_H
#define TOOLSTACK_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "state/device.h"
#include "state/store.h"

struct roster_entry {
    uint32_t devid;
    char name[DEVICE_NAME_MAX + 1]; /* "" if it has no valid one */
};

struct roster {
    domid_t frontend;
    struct roster_entry *entries; /* sorted by devid */
    size_t count;
};

/* An empty roster: roster_update() then reads everything. */
#define ROSTER_OF(domid) ((struct roster){.frontend = (domid)})

/*
 * Adds new channels and drops removed ones. Inside a transaction, any channel that comes or goes
 * until its end causes a conflict. Returns 0, or a negative errno with the roster unchanged.
 */
int roster_update(struct roster *roster, struct store *store);

/* Whether there is a channel of that name. */
bool roster_has_name(const struct roster *roster, const char *name);

/* The first devid at or above this one that no channel has; DEVICE_ID_MAX + 1 if there is none. */
uint32_t roster_free_devid(const struct roster *roster, uint32_t devid);

/* Frees what roster_update() allocated. */
void roster_free(struct roster *roster);

#endif
