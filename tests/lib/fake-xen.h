/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stands in for vchan/xen.c and libxengnttab under channel.c: one machine of a few hundred pages,
 * all in this process. A page is granted by taking one, mapped by mapping it once more, with its
 * own protection and between guard pages. Ports are pairs with a pending bit. Nothing is ever
 * delivered: the test looks. Single threaded.
 */
#ifndef TESTS_LIB_FAKE_XEN_H
#define TESTS_LIB_FAKE_XEN_H

#include <stdbool.h>

#include "vchan/xen.h"

#define FAKE_PAGE  4096u
#define FAKE_PAGES 600u

/* An empty machine: all pages free and zero, no port. Whatever was mapped before must be unmapped.
 */
void fake_reset(void);

/*
 * From now on what is unmapped stays mapped, for the next call that maps the same pages: for tests with a million runs,
 * which spend most of their time on that. The use of a mapping that was given back is not detected then.
 */
void fake_keep_mappings(void);

/* A domain's handles. */
struct xen *fake_xen_make(void);
void fake_xen_free(struct xen *xen);

/* The fallible call after so many that succeed fails with this errno; error 0: none fails. */
void fake_fail(unsigned int after, int error);

/* Takes pages for the other domain, as if it had granted them. The first reference, or 0: none
 * left. */
uint32_t fake_grant(unsigned int count);

/* The other domain's sight of a granted page (its neighbours lie beside it), or NULL. */
uint8_t *fake_page(uint32_t ref);

/* The other domain offers a port. */
evtchn_port_t fake_offer(void);

/* Whether somebody signalled this port since last asked. */
bool fake_pending(evtchn_port_t port);
bool fake_take(evtchn_port_t port);

/* The ports that are signalled, as a set of bits. */
uint32_t fake_signals(void);

/* Signals a port from nowhere, as xenstore would wake its owner. */
void fake_wake(evtchn_port_t port);

/* The mapped area around an address: its base and bytes; NULL: not mapped. */
uint8_t *fake_area(const void *address, uint32_t *bytes);

/* What is not given back yet: mapped or shared areas and ports of all struct xen. */
unsigned int fake_held(void);

#endif
