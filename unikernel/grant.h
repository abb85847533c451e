/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The grant table: which of our pages another domain may map. */
#ifndef UNIKERNEL_GRANT_H
#define UNIKERNEL_GRANT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/grant_table.h>

/* Makes the table, as large as Xen allows. */
void grant_init(void);

/* Lets a domain map and write a page. Returns 0, or -ENOSPC if the table is full. */
int grant_give(domid_t peer, const void *page, grant_ref_t *ref);

/*
 * Revokes that, so that the page cannot be mapped again. Returns false if it is still mapped; then
 * do not reuse the page until another call returns true.
 */
bool grant_end(grant_ref_t ref);

#endif
