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
 * Takes that back: it cannot be mapped any more. Returns false if it still is; then the page must
 * not be used for anything else until another call returns true.
 */
bool grant_end(grant_ref_t ref);

#endif
