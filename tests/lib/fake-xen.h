/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replaces vchan/xen.c and libxengnttab under channel.c: one machine of a few hundred pages, all in
 * this process. Granting takes a page; mapping maps it once more, with its own protection and
 * between guard pages. Ports are pairs with a pending bit. No event is delivered: the test looks.
 * Single-threaded.
 */
#ifndef TESTS_LIB_FAKE_XEN_H
#define TESTS_LIB_FAKE_XEN_H

#include <stdbool.h>

#include "vchan/xen.h"

#define FAKE_PAGE  4096u
#define FAKE_PAGES 600u

/* Empties the machine: all pages free and zero, no port. The caller has unmapped everything. */
void fake_reset(void);

/*
 * From now on unmapped pages stay mapped for the next call that maps the same ones. This speeds up
 * tests with a million runs, but hides uses of a mapping after its end.
 */
void fake_keep_mappings(void);

/* The handles of a domain. */
struct xen *fake_xen_make(void);
void fake_xen_free(struct xen *xen);

/*
 * Makes the fallible call after that many successful ones fail with this errno; error 0: none
 * fails.
 */
void fake_fail(unsigned int after, int error);

/*
 * Takes pages for the other domain, as if it had granted them. Returns the first reference, or 0 if
 * none are left.
 */
uint32_t fake_grant(unsigned int count);

/* The other domain's view of a granted page (its neighbours follow), or NULL. */
uint8_t *fake_page(uint32_t ref);

/* The other domain offers a port. */
evtchn_port_t fake_offer(void);

/* Whether this port was signalled since the last call. */
bool fake_pending(evtchn_port_t port);
bool fake_take(evtchn_port_t port);

/* The ports that are signalled, as a bit set. */
uint32_t fake_signals(void);

/* Signals a port without a sender, like a wake-up of its owner by xenstore. */
void fake_wake(evtchn_port_t port);

/* The mapped area around an address: its base, and its size in *bytes; NULL: not mapped. */
uint8_t *fake_area(const void *address, uint32_t *bytes);

/* The number of areas and ports of all struct xen that have not been given back. */
unsigned int fake_held(void);

#endif
