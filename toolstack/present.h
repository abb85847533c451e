/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channels that a domain has, as declarations: read back from T, the toolstack's own copy.
 */
#ifndef TOOLSTACK_PRESENT_H
#define TOOLSTACK_PRESENT_H

#include "state/spec.h"
#include "toolstack/config.h"
#include "toolstack/tool.h"

struct present {
    struct device_id *ids; /* one for each channel of: */
    struct config config;  /* without a name; backends as identity_set_backend() has them */
};

/*
 * Reads the channels of a domain whose both ends are there. What T does not describe in full is
 * left out. 0, and the caller owns it: present_free(); or a negative errno, and *present is empty.
 * Says nothing.
 */
int present_read(struct tool *tool, domid_t frontend, struct present *present);
void present_free(struct present *present);

/*
 * Reads one channel. 1; 0: it is none, since T does not describe one in full, or names another backend
 * (what a domain has in its own directory is only its word), or one of the two domains is not there; or
 * a negative errno. Says nothing.
 */
int present_read_one(struct tool *tool, const struct device_id *id, struct spec *channel);

#endif
