/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Xen gave us at boot, and the few things that a PV and a PVH guest do in different ways. pv.c
 * and pvh.c fill it in; nothing else knows which of the two it is.
 */
#ifndef UNIKERNEL_PLATFORM_H
#define UNIKERNEL_PLATFORM_H

#include <stdint.h>
#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/xen.h>

struct platform {
    const char *name;
    char *command_line;
    struct shared_info *shared;

    struct xenstore_domain_interface *store;
    evtchn_port_t store_port;
    struct xencons_interface *console;
    evtchn_port_t console_port;

    /* Sleeps with events let through until there is one. */
    void (*block)(void);
    /* The number by which Xen knows a page of ours. */
    xen_pfn_t (*frame_of)(const void *page);
    /* Maps frames of the grant table at a place in the window. Returns 0 or a negative errno. */
    int (*map_grants)(void *place, unsigned int frames);
};

extern struct platform platform;

/* Memory beyond this is not used. From here on are the pages that Xen shares with us. */
#define MEMORY_MAX 0x20000000u
#define WINDOW     ((char *)(uintptr_t)MEMORY_MAX)

/* Places in the window. */
#define WINDOW_SHARED_INFO WINDOW
#define WINDOW_GRANTS      (WINDOW + PAGE_SIZE)

#define PAGE_SIZE 4096u

extern char image_end[]; /* link.ld */

/* Where start.S goes to, and where those go to when platform is filled in: main.c. */
_Noreturn void pv_main(struct start_info *info);
_Noreturn void pvh_main(uint32_t start_info);
_Noreturn void main_loop(void);

/* Says why and ends the domain as crashed. */
_Noreturn void __attribute__((format(printf, 1, 2))) die(const char *format, ...);

#endif
