/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making the world match what is declared: one look at all domains and devices, as often as
 * anything may have changed. It needs no history, so that nothing is lost that happened while
 * nobody looked.
 */
#ifndef TOOLSTACK_RECONCILE_H
#define TOOLSTACK_RECONCILE_H

#include "toolstack/config-search.h"
#include "toolstack/devices.h"
#include "toolstack/tool.h"

/* A backend that was asked to close the device of a dead frontend. */
struct grave {
    struct device_id id;
    int64_t deadline; /* clock_ms() when it is removed anyway */
    bool found;       /* by the look under way, which still had to wait for it */
};

/* A live domain that was seen. */
struct known {
    domid_t domid;
    bool looked; /* its declaration was looked for */
    bool named;  /* its name is watched: so far it is that of one that comes from elsewhere */
    bool second; /* when it came, another one had its uuid, */
    bool barred; /* and it was not that one's migration: it gets nothing */
    char comes_as[TOOL_NAME_MAX]; /* else that one's name, which it is to have */
};

struct reconcile {
    struct tool *tool;
    const struct config_dirs *dirs;
    int locks; /* record_open_locks() */

    libxl_dominfo *domains; /* of the look under way */
    int domain_count;
    struct devices devices;

    struct known *known;
    size_t known_count;
    int64_t day; /* clock_ms() when the records are a day older */
    struct grave *graves;
    size_t grave_count;

    bool deferred; /* somebody else has the lock of a domain that wants channels: look again then */
};

/* Looks, and does what is to be done, waiting for nobody. 0, or a negative errno after saying why.
 */
int reconcile_look(struct reconcile *reconcile);

/* When to look again though nothing happens: clock_ms(), or -1 for never. */
int64_t reconcile_deadline(const struct reconcile *reconcile);

/* Looks for the declarations of all domains anew. */
void reconcile_forget(struct reconcile *reconcile);

void reconcile_free(struct reconcile *reconcile);

#endif
