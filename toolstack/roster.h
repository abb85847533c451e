/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names and devids that a domain's channels have, as T has them: read once, and kept up from
 * there, so that plugging many channels does not read all of them for each.
 *
 * A name is read once. So whoever keeps a roster while there are several transactions has the
 * domain's lock (toolstack/record.h), and nobody puts another channel in the place of one of them.
 */
#ifndef TOOLSTACK_ROSTER_H
#define TOOLSTACK_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "state/device.h"
#include "state/store.h"

struct roster_entry {
    uint32_t devid;
    char name[DEVICE_NAME_MAX + 1]; /* "": it has none that is valid */
};

struct roster {
    domid_t frontend;
    struct roster_entry *entries; /* by devid */
    size_t count;
};

/* An empty one: roster_update() reads everything. */
#define ROSTER_OF(domid) ((struct roster){.frontend = (domid)})

/*
 * Takes in what came, and drops what went. In a transaction, this makes every channel that comes or
 * goes until its end a conflict. 0, or a negative errno, and the roster is as before.
 */
int roster_update(struct roster *roster, struct store *store);

/* Tells whether there is a channel of that name. */
bool roster_has_name(const struct roster *roster, const char *name);

/* The first devid from that one on that no channel has; DEVICE_ID_MAX + 1: there is none. */
uint32_t roster_free_devid(const struct roster *roster, uint32_t devid);

/* Frees what roster_update made. */
void roster_free(struct roster *roster);

#endif
