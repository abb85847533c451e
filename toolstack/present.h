/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's channels as declarations, read back from T, the toolstack's own copy. */
#ifndef TOOLSTACK_PRESENT_H
#define TOOLSTACK_PRESENT_H

#include "state/spec.h"
#include "toolstack/config.h"
#include "toolstack/tool.h"

struct present {
    struct device_id *ids; /* the ids of the channels in config, in the same order */
    struct config config;  /* without a name; backends as set by identity_set_backend() */
};

/*
 * Reads a domain's channels whose both ends exist; skips those that T does not describe completely.
 * Returns 0, and the caller calls present_free(); or a negative errno with *present empty. Prints
 * nothing.
 */
int present_read(struct tool *tool, domid_t frontend, struct present *present);
void present_free(struct present *present);

/*
 * Reads one channel. Returns 1; 0 if it is none, because T does not describe it completely or names
 * another backend (the domain's own directory is not trusted), or because one of the two domains is
 * gone; or a negative errno. Prints nothing.
 */
int present_read_one(struct tool *tool, const struct device_id *id, struct spec *channel);

#endif
