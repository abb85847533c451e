/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/grant.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "unikernel/hypercall.h"
#include "unikernel/platform.h"
#include "vchan/barrier.h"

#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define FRAMES_MAX        64u /* Xen's own default: 32768 pages, 128 MiB */

static struct grant_entry_v1 *const table = (struct grant_entry_v1 *)WINDOW_GRANTS;
static unsigned int entries;
static unsigned int next = GNTTAB_NR_RESERVED_ENTRIES;

static unsigned int frames_max(void)
{
    struct gnttab_query_size query = {.dom = DOMID_SELF};

    hypercall3(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, (uintptr_t)&query, 1);
    return query.max_nr_frames < FRAMES_MAX ? query.max_nr_frames : FRAMES_MAX;
}

void grant_init(void)
{
    unsigned int frames = frames_max();
    int rc = frames ? platform.map_grants(WINDOW_GRANTS, frames) : -ENOSPC;

    if (rc < 0)
        die("cannot map the grant table: error %d", -rc);
    entries = frames * ENTRIES_PER_FRAME;
}

/* Finds a free entry. An entry that was ended has no flags once nobody maps it. */
static struct grant_entry_v1 *entry_find(void)
{
    for (unsigned int tries = 0; tries < entries; tries++) {
        next = next + 1 < entries ? next + 1 : GNTTAB_NR_RESERVED_ENTRIES;
        if (load_acquire(&table[next].flags) == 0)
            return &table[next];
    }
    return NULL;
}

int grant_give(domid_t peer, const void *page, grant_ref_t *ref)
{
    struct grant_entry_v1 *entry = entry_find();

    if (!entry)
        return -ENOSPC;
    entry->domid = peer;
    entry->frame = (uint32_t)platform.frame_of(page);
    store_release(&entry->flags, GTF_permit_access); /* Xen reads the other fields after it */
    *ref = (grant_ref_t)(entry - table);
    return 0;
}

bool grant_end(grant_ref_t ref)
{
    uint16_t *flags = &table[ref].flags;

    fetch_and(flags, GTF_reading | GTF_writing); /* pairs with Xen, which sets them atomically */
    return load_acquire(flags) == 0;
}
