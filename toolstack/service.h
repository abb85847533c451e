/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there is a vchan-backend, as far as this domain can tell, in words that say what to do.
 */
#ifndef TOOLSTACK_SERVICE_H
#define TOOLSTACK_SERVICE_H

#include "state/device.h"
#include "toolstack/tool.h"

/* Room for the words and their NUL. */
#define SERVICE_WORDS_MAX (TOOL_NAME_MAX + 128)

enum service_state {
    SERVICE_UNKNOWN, /* another domain's, which has been there: it may have died */
    SERVICE_UNSEEN,  /* another domain's, which keeps no statistics: as a rule there is none */
    SERVICE_DOWN,
    SERVICE_STOPPED, /* by a signal, or with its domain: it does nothing until somebody lets it */
    SERVICE_UP,
};

/* Looks for the service that serves a domain's backends. Never blocks, and touches nothing. */
enum service_state service_look(struct tool *tool, domid_t domid);

/* Whether a process plays the backend's side of a device, whatever the states say. */
enum served {
    SERVED_UNKNOWN, /* the backend's domain is another one, and the device is not connected */
    SERVED_NO,      /* no process does, or it does nothing until somebody lets it */
    SERVED_YES,
};

/*
 * Tells whether a device is served: by Xen's word on its event channel while the states say that it
 * is up; otherwise, in this domain, by the lock that a process has on the backend's side. Never
 * blocks, and touches nothing.
 */
enum served service_serves(struct tool *tool, const struct device_id *id);

/* Tells whether these states say that the backend has bound the frontend's event channel. */
bool service_states_up(enum xenbus_state frontend, enum xenbus_state backend);

/* Tells whether an application opens the backend's side of a device, and no service. */
bool service_is_app(struct tool *tool, const struct device_id *id);

/* What may be wrong where a backend does not do its part: "no vchan-backend runs in Domain-0 (…)".
 */
void service_words(struct tool *tool, domid_t domid, char words[SERVICE_WORDS_MAX]);

#endif
