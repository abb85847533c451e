/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PV guest. Its page tables map only the first few MiB, and it may not write them: Xen does that
 * on request.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/callback.h>
#include <xen/grant_table.h>
#include <xen/sched.h>

#include "unikernel/hypercall.h"
#include "unikernel/memory.h"
#include "unikernel/platform.h"

#define TABLE_ENTRIES 512u
#define TABLE_SPAN    (TABLE_ENTRIES * PAGE_SIZE) /* the memory that one lowest table maps */
#define ENTRY_READ    0x65u                       /* present, user, accessed, dirty */
#define ENTRY_WRITE   0x67u

extern char upcall_pv[];

static xen_pfn_t *frames;   /* of our pages, by page number */
static uint64_t *directory; /* maps the first GiB, one entry for each lowest table */

static uint64_t entry_of(xen_pfn_t frame, unsigned int flags)
{
    return frame << 12 | flags;
}

static xen_pfn_t frame_of(const void *page)
{
    return frames[(uintptr_t)page / PAGE_SIZE];
}

static void *page_of(xen_pfn_t frame)
{
    return (void *)(machine_to_phys_mapping[frame] * PAGE_SIZE);
}

static int map(const void *page, uint64_t entry)
{
    return (int)hypercall3(__HYPERVISOR_update_va_mapping, (uintptr_t)page, entry, UVMF_INVLPG);
}

/* Puts a filled lowest table into the directory. Xen requires that it is mapped read-only. */
static int table_install(uint64_t *table, uintptr_t address)
{
    struct mmu_update update = {
        .ptr = entry_of(frame_of(directory), 0) + address / TABLE_SPAN * sizeof(*directory),
        .val = entry_of(frame_of(table), ENTRY_WRITE),
    };
    int rc = map(table, entry_of(frame_of(table), ENTRY_READ));

    if (rc < 0)
        return rc;
    return (int)hypercall4(__HYPERVISOR_mmu_update, (uintptr_t)&update, 1, 0, DOMID_SELF);
}

/* Makes the pages from address on usable: maps our own, and leaves the window's empty. */
static int table_add(uintptr_t address, uintptr_t end)
{
    uint64_t *table = page_alloc(1);
    int rc;

    if (!table)
        return -ENOMEM;
    for (unsigned int i = 0; i < TABLE_ENTRIES && address + i * PAGE_SIZE < end; i++)
        table[i] = entry_of(frames[address / PAGE_SIZE + i], ENTRY_WRITE);
    rc = table_install(table, address);
    if (rc == 0)
        memory_add(address, address + TABLE_SPAN < end ? address + TABLE_SPAN : end);
    return rc;
}

static uint64_t *table_below(const uint64_t *table)
{
    return page_of(table[0] >> 12 & 0xffffffffff);
}

/* In use are the image, what Xen put after it, and the page tables. The rest is free. */
static void memory_init(const struct start_info *info)
{
    uintptr_t end = info->nr_pages * PAGE_SIZE, used, mapped = 0;
    int rc = 0;

    if (end > MEMORY_MAX)
        end = MEMORY_MAX;
    directory = table_below(table_below((uint64_t *)info->pt_base));
    used = info->pt_base + info->nr_pt_frames * PAGE_SIZE;
    while (mapped < end && directory[mapped / TABLE_SPAN])
        mapped += TABLE_SPAN;
    memory_add(PAGE_SIZE, 0x100000); /* below the image */
    memory_add(used, mapped < end ? mapped : end);
    rc = table_add(MEMORY_MAX, 0);
    for (; rc == 0 && mapped < end; mapped += TABLE_SPAN)
        rc = table_add(mapped, end);
    if (rc < 0)
        die("cannot set up page tables: error %d", -rc);
}

static void block(void)
{
    hypercall(__HYPERVISOR_sched_op, SCHEDOP_block, NULL); /* this also enables events */
    platform.shared->vcpu_info[0].evtchn_upcall_mask = 1;
}

static int map_grants(void *place, unsigned int count)
{
    xen_pfn_t list[TABLE_ENTRIES];
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = count};
    int rc;

    set_xen_guest_handle(setup.frame_list, list);
    rc = (int)hypercall3(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, (uintptr_t)&setup, 1);
    if (rc == 0 && setup.status != GNTST_okay)
        rc = -EIO;
    for (unsigned int i = 0; rc == 0 && i < count; i++)
        rc = map((char *)place + i * PAGE_SIZE, entry_of(list[i], ENTRY_WRITE));
    return rc;
}

static void events_init(void)
{
    struct callback_register callback = {.type = CALLBACKTYPE_event,
                                         .address = (uintptr_t)upcall_pv};

    hypercall(__HYPERVISOR_callback_op, CALLBACKOP_register, &callback);
}

void pv_main(struct start_info *info)
{
    frames = (xen_pfn_t *)info->mfn_list;
    platform = (struct platform){
        .name = "PV",
        .command_line = (char *)info->cmd_line,
        .store = page_of(info->store_mfn),
        .store_port = info->store_evtchn,
        .console = page_of(info->console.domU.mfn),
        .console_port = info->console.domU.evtchn,
        .block = block,
        .frame_of = frame_of,
        .map_grants = map_grants,
    };
    memory_init(info);
    if (map(WINDOW_SHARED_INFO, info->shared_info | ENTRY_WRITE) < 0)
        die("cannot map the shared info page");
    platform.shared = (struct shared_info *)WINDOW_SHARED_INFO;
    events_init();
    main_loop();
}
