/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which domain is meant. Names are for people; what is stored identifies a domain by its uuid. A
 * name is never taken for an id, nor an id for a name: digits alone are an id, as in xl.
 *
 * All functions return 0 or a negative errno, and print nothing.
 */
#ifndef TOOLSTACK_IDENTITY_H
#define TOOLSTACK_IDENTITY_H

#include "state/spec.h"
#include "toolstack/tool.h"

/* No hint. */
#define IDENTITY_NO_HINT UINT32_MAX

/* Whether text from a command line or from backend= is an id. */
bool identity_is_id(const char *text);

/* Finds a domain's uuid. -ENOENT: there is no such domain. */
int identity_uuid(struct tool *tool, domid_t domid, char uuid[SPEC_UUID_MAX + 1]);

/* Finds the domain of that name, even if it is all digits. -ENOENT: there is none. */
int identity_by_name(struct tool *tool, const char *name, domid_t *domid);

/*
 * Finds the live domain of a uuid: the one whose id is hint if its uuid matches, otherwise the one
 * with the lowest id, which is the oldest. -ENOENT: no domain that has not shut down has it.
 */
int identity_by_uuid(struct tool *tool, const char *uuid, uint32_t hint, domid_t *domid);

/*
 * Finds the domain of a channel's backend: the one with backend-uuid; if there is none, the one
 * that backend names, by name or id; if neither is given, this domain. -ENOENT: there is none.
 */
int identity_of_backend(struct tool *tool, const struct spec *channel, domid_t *domid);

/*
 * Sets a channel's backend to a domain: its uuid, and its name if that can be written in a
 * declaration and is not an id. -ENOENT: the domain is gone.
 */
int identity_set_backend(struct tool *tool, domid_t domid, struct spec *channel);

#endif
