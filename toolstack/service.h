/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there is a vchan-backend, as far as this domain can tell, in words that say what to do.
 */
#ifndef TOOLSTACK_SERVICE_H
#define TOOLSTACK_SERVICE_H

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

/* What may be wrong where a backend does not do its part: "no vchan-backend runs in Domain-0 (…)".
 */
void service_words(struct tool *tool, domid_t domid, char words[SERVICE_WORDS_MAX]);

#endif
