/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Xen provided at boot, and the few things that PV and PVH guests do differently. pv.c and
 * pvh.c fill it in; no other file distinguishes the two.
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

    /* Sleeps with events enabled until one comes. */
    void (*block)(void);
    /* The frame number by which Xen knows one of our pages. */
    xen_pfn_t (*frame_of)(const void *page);
    /* Maps frames of the grant table at a place in the window. Returns 0 or a negative errno. */
    int (*map_grants)(void *place, unsigned int frames);
};

extern struct platform platform;

/* Memory beyond this is not used. From here on lie the pages that Xen shares with us. */
#define MEMORY_MAX 0x20000000u
#define WINDOW     ((char *)(uintptr_t)MEMORY_MAX)

/* Addresses in the window. */
#define WINDOW_SHARED_INFO WINDOW
#define WINDOW_GRANTS      (WINDOW + PAGE_SIZE)

#define PAGE_SIZE 4096ul

extern char image_end[]; /* from link.ld */

/* Entered from start.S; then main.c's entry, called when platform is filled in. */
_Noreturn void pv_main(struct start_info *info);
_Noreturn void pvh_main(uint32_t start_info);
_Noreturn void main_loop(void);

/* Prints why, and ends the domain as crashed. */
_Noreturn void __attribute__((format(printf, 1, 2))) die(const char *format, ...);

#endif
