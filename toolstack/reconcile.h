/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes xenstore match what is declared: looks at all domains and devices whenever anything may
 * have changed. It needs no history, so events that it missed do not matter.
 */
#ifndef TOOLSTACK_RECONCILE_H
#define TOOLSTACK_RECONCILE_H

#include "toolstack/config-search.h"
#include "toolstack/devices.h"
#include "toolstack/tool.h"

/* A backend that was asked to close the device of a dead frontend. */
struct grave {
    struct device_id id;
    int64_t deadline; /* clock_ms() at which it is removed anyway */
    bool found;       /* the current look still has to wait for it */
};

/* A live domain seen so far. */
struct known {
    domid_t domid;
    bool looked; /* its declaration has been searched for */
    bool named;  /* its name is watched, since the domain is arriving from another host */
    bool second; /* when it came, another domain had its uuid */
    bool barred; /* second, and not the other's migration: it gets nothing */
    char comes_as[TOOL_NAME_MAX]; /* otherwise: the other's name, which it will get */
};

struct reconcile {
    struct tool *tool;
    const struct config_dirs *dirs;
    int locks; /* from record_open_locks() */

    libxl_dominfo *domains; /* of the current look */
    int domain_count;
    struct devices devices;

    struct known *known;
    size_t known_count;
    int64_t day; /* clock_ms() at which the records become a day older */
    struct grave *graves;
    size_t grave_count;

    /* another process has the lock of a domain that needs channels: look again later */
    bool deferred;
    int error; /* what xenstore did not answer in this look; 0: nothing */
};

/*
 * Looks, and does what is to be done without waiting. Returns 0, or a negative errno after
 * reporting it.
 */
int reconcile_look(struct reconcile *reconcile);

/* When to look again without an event: clock_ms(), or -1 for never. */
int64_t reconcile_deadline(const struct reconcile *reconcile);

/* Makes the next look search for the declarations of all domains again. */
void reconcile_forget(struct reconcile *reconcile);

void reconcile_free(struct reconcile *reconcile);

#endif
