/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which domain is meant. Names are for people: what is stored names a domain by its uuid. A name is
 * never taken for an id, nor an id for a name: digits alone are an id, as in xl.
 *
 * All return 0 or a negative errno, and say nothing.
 */
#ifndef TOOLSTACK_IDENTITY_H
#define TOOLSTACK_IDENTITY_H

#include "state/spec.h"
#include "toolstack/tool.h"

/* As a hint: none. */
#define IDENTITY_NO_HINT UINT32_MAX

/* Tells whether text on a command line or in backend= is an id. */
bool identity_is_id(const char *text);

/* A domain's uuid. -ENOENT: there is no such domain. */
int identity_uuid(struct tool *tool, domid_t domid, char uuid[SPEC_UUID_MAX + 1]);

/* The domain of that name, be it of digits only. -ENOENT: there is none. */
int identity_by_name(struct tool *tool, const char *name, domid_t *domid);

/*
 * The live domain that a uuid belongs to: the one with the id of the hint if it has that uuid, else
 * the one with the lowest id, which came first. -ENOENT: none that has not shut down has it.
 */
int identity_by_uuid(struct tool *tool, const char *uuid, uint32_t hint, domid_t *domid);

/*
 * The domain of a channel's backend: the one with backend-uuid, or while there is none the one that
 * backend names, by name or id; without either, this one. -ENOENT: there is none.
 */
int identity_of_backend(struct tool *tool, const struct spec *channel, domid_t *domid);

/*
 * Has a channel name a domain as its backend: by its uuid, and by its name if that can be written
 * in a declaration and is not an id. -ENOENT: the domain is gone.
 */
int identity_set_backend(struct tool *tool, domid_t domid, struct spec *channel);

#endif
