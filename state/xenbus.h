/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XenbusState: the names and numbers of xen/io/xenbus.h, and their text form.
 */
#ifndef STATE_XENBUS_H
#define STATE_XENBUS_H

#include <stdbool.h>
#include <xen/io/xenbus.h>

/*
 * The name of a state without its prefix ("Connected"), as in xen/io/xenbus.h, or "?" for a number
 * that is no state. Never NULL; a constant; thread-safe.
 */
const char *xenbus_state_name(enum xenbus_state state);

/*
 * Finds a state by its name, in any case ("connected"). Returns true and sets *state, or returns
 * false.
 */
bool xenbus_state_by_name(const char *name, enum xenbus_state *state);

#endif
