/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channels that a domain has, as declarations: read back from T, the toolstack's own copy.
 */
#ifndef TOOLSTACK_PLUGGED_H
#define TOOLSTACK_PLUGGED_H

#include "state/spec.h"
#include "toolstack/config.h"
#include "toolstack/tool.h"

struct plugged {
    struct device_id *ids; /* one for each channel of: */
    struct config config;  /* without a name; backends as identity_set_backend() has them */
};

/*
 * Reads the channels of a domain whose both ends are there. What T does not describe in full is
 * left out. 0, and the caller owns it: plugged_free(); or a negative errno, and *plugged is empty.
 * Says nothing.
 */
int plugged_read(struct tool *tool, domid_t frontend, struct plugged *plugged);
void plugged_free(struct plugged *plugged);

/*
 * Reads one channel. 0; -EINVAL: what T says makes no channel; -ENOENT: its backend's domain has just
 * gone; or another negative errno. Says nothing.
 */
int plugged_read_one(struct tool *tool, const struct device_id *id, struct spec *channel);

#endif
