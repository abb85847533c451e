/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether vchan-backend runs, as far as this domain can see, in words that say what to do. */
#ifndef TOOLSTACK_SERVICE_H
#define TOOLSTACK_SERVICE_H

#include "state/device.h"
#include "toolstack/tool.h"

/* Room for the words and their NUL. */
#define SERVICE_WORDS_MAX (TOOL_NAME_MAX + 128)

enum service_state {
    SERVICE_UNKNOWN, /* in another domain; it has been there, but may have died */
    SERVICE_UNSEEN,  /* in another domain without statistics: usually there is none */
    SERVICE_DOWN,
    SERVICE_STOPPED, /* stopped by a signal, or with its domain, until a person continues it */
    SERVICE_UP,
};

/* Looks for the service of a domain's backends. Never blocks and changes nothing. */
enum service_state service_query(struct tool *tool, domid_t domid);

/* Whether a process plays the backend's side of a device, whatever the states say. */
enum served {
    SERVED_UNKNOWN, /* the backend is in another domain, and the device is not connected */
    SERVED_NO,      /* no process does, or it is stopped */
    SERVED_YES,
};

/*
 * Whether a device is served. While the states say that it is up, Xen's answer about its event
 * channel decides; otherwise, in this domain, the lock of the backend's side. Never blocks and
 * changes nothing.
 */
enum served service_serves(struct tool *tool, const struct device_id *id);

/* Whether these states mean that the backend has bound the frontend's event channel. */
bool service_states_up(enum xenbus_state frontend, enum xenbus_state backend);

/* Whether an application rather than a service plays the backend's side. */
bool service_is_app(struct tool *tool, const struct device_id *id);

/* Explains a backend that does not react: "no vchan-backend runs in Domain-0 (…)". */
void service_words(struct tool *tool, domid_t domid, char words[SERVICE_WORDS_MAX]);

#endif
