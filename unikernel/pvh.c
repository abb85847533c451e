/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PVH guest. start.S has made page tables that map 4 GiB one to one; pages that Xen shares are
 * placed anywhere in that.
 */
#include <stddef.h>
#include <stdint.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>

#include "unikernel/hypercall.h"
#include "unikernel/memory.h"
#include "unikernel/platform.h"

#define EVENT_VECTOR   0x20
#define GATE_INTERRUPT 0x8e00u
#define CODE_SELECTOR  8u

struct gate {
    uint32_t selector_offset;
    uint32_t offset_type;
    uint32_t offset_high;
    uint32_t reserved;
};

extern char upcall_pvh[];
extern void block_pvh(void);
static struct gate gates[EVENT_VECTOR + 1];

static void hypercalls_init(void)
{
    uint32_t a = XEN_CPUID_LEAF(2), b, c = 0, d;
    uintptr_t page = (uintptr_t)hypercall_page;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    __asm__ volatile("wrmsr" : : "c"(b), "a"(page), "d"(0) : "memory");
}

static xen_pfn_t frame_of(const void *page)
{
    return (uintptr_t)page / PAGE_SIZE;
}

static int map_shared(unsigned int space, unsigned int index, const void *place)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = space, .idx = index, .gpfn = frame_of(place)};

    return (int)hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &add);
}

static int map_grants(void *place, unsigned int count)
{
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < count; i++)
        rc = map_shared(XENMAPSPACE_grant_table, i, (char *)place + i * PAGE_SIZE);
    return rc;
}

static uint64_t parameter(uint32_t index)
{
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index};

    hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, &param);
    return param.value;
}

/* Xen delivers events through a vector of our choice, to upcall_pvh. Other vectors stay empty. */
static void events_init(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {.limit = sizeof(gates) - 1, .base = (uintptr_t)gates};
    struct xen_hvm_param param = {
        .domid = DOMID_SELF,
        .index = HVM_PARAM_CALLBACK_IRQ,
        .value = (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | EVENT_VECTOR,
    };
    uint32_t handler = (uint32_t)(uintptr_t)upcall_pvh;

    gates[EVENT_VECTOR].selector_offset = CODE_SELECTOR << 16 | (handler & 0xffff);
    gates[EVENT_VECTOR].offset_type = (handler & 0xffff0000) | GATE_INTERRUPT;
    __asm__ volatile("lidt %0" : : "m"(pointer));
    if (hypercall(__HYPERVISOR_hvm_op, HVMOP_set_param, &param) < 0)
        die("cannot set the event vector of a PVH guest");
}

/* The end of the memory region that contains the image. */
static uintptr_t memory_end(const struct hvm_start_info *info)
{
    const struct hvm_memmap_table_entry *piece = (const void *)info->memmap_paddr;
    uint64_t end = 0;

    for (uint32_t i = 0; i < info->memmap_entries; i++) {
        if (piece[i].type == XEN_HVM_MEMMAP_TYPE_RAM && piece[i].addr <= (uintptr_t)image_end &&
            piece[i].addr + piece[i].size > (uintptr_t)image_end)
            end = piece[i].addr + piece[i].size;
    }
    return end < MEMORY_MAX ? end : MEMORY_MAX;
}

/* The end of what Xen put after the image: start_info and what it points to, contiguously. */
static uintptr_t used_end(const struct hvm_start_info *info)
{
    uintptr_t ends[] = {
        (uintptr_t)image_end,
        (uintptr_t)(info + 1),
        info->cmdline_paddr + PAGE_SIZE,
        info->memmap_paddr + info->memmap_entries * sizeof(struct hvm_memmap_table_entry),
        info->modlist_paddr + info->nr_modules * sizeof(struct hvm_modlist_entry),
    };
    uintptr_t end = 0;

    for (unsigned int i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        end = ends[i] > end && ends[i] < MEMORY_MAX ? ends[i] : end;
    return end;
}

void pvh_main(uint32_t start_info)
{
    const struct hvm_start_info *info = (const void *)(uintptr_t)start_info;
    static char nothing[1];

    hypercalls_init();
    platform = (struct platform){
        .name = "PVH",
        .command_line = info->cmdline_paddr ? (char *)info->cmdline_paddr : nothing,
        .store = (void *)(parameter(HVM_PARAM_STORE_PFN) * PAGE_SIZE),
        .store_port = (evtchn_port_t)parameter(HVM_PARAM_STORE_EVTCHN),
        .console = (void *)(parameter(HVM_PARAM_CONSOLE_PFN) * PAGE_SIZE),
        .console_port = (evtchn_port_t)parameter(HVM_PARAM_CONSOLE_EVTCHN),
        .block = block_pvh,
        .frame_of = frame_of,
        .map_grants = map_grants,
    };
    memory_add(used_end(info), memory_end(info));
    if (map_shared(XENMAPSPACE_shared_info, 0, WINDOW_SHARED_INFO) < 0)
        die("cannot map the shared info page");
    platform.shared = (struct shared_info *)WINDOW_SHARED_INFO;
    events_init();
    main_loop();
}
