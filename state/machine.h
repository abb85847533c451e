/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a device, as a pure function: what one side does next, given what it knows now.
 *
 * There are no events, only a view. Whatever happens (a watch or a port fires, a connection opens
 * or ends), the caller refreshes its view and calls machine_step() until the answer is "wait". So a
 * lost, late or merged event loses nothing. See doc/protocol.md, "Life of a device".
 */
#ifndef STATE_MACHINE_H
#define STATE_MACHINE_H

#include <stdbool.h>

#include "state/xenbus.h"

enum machine_role { MACHINE_FRONTEND, MACHINE_BACKEND };

/* All that one side knows. The first group comes from xenstore, the rest from this process. */
struct machine_view {
    enum xenbus_state own;  /* our state node; Unknown: the device is gone */
    enum xenbus_state peer; /* the other side's; Unknown: gone or invalid */
    bool online;            /* B/online: the toolstack wants this device */
    bool reattach;          /* B/feature-reattach; for a backend also: it can do so */
    bool kept;              /* backend: an earlier process's rings can be mapped even so */

    bool begun;    /* this process has taken the device over (MACHINE_BEGIN was carried out) */
    bool held;     /* it holds the rings: granted as frontend, mapped as backend */
    bool ready;    /* its connection is open: bytes may flow */
    bool draining; /* it has been told that the peer sends no more (MACHINE_DRAIN) */
    bool drained;  /* it has delivered all that the peer sent */
    bool finished; /* it has no more to send itself */
    bool leaving;  /* it wants to close, whatever the peer does */
    bool failed;   /* something it cannot repair: a grant, a mapping, a corrupt ring */
    bool lost;     /* the shared page shows that the peer's process is gone */
};

enum machine_action {
    MACHINE_WAIT,    /* nothing to do until the view changes */
    MACHINE_MOVE,    /* only write the next state */
    MACHINE_BEGIN,   /* take over: remove what an earlier process left; backend: write the offers */
    MACHINE_GRANT,   /* frontend: grant the rings, bind a port, write ring-ref and event-channel */
    MACHINE_MAP,     /* backend: bind the port, map the rings, start opening the connection */
    /*
     * backend, instead of BEGIN: continue where an earlier process died. Write the offers, bind and
     * map what that one had mapped, start opening the connection. At Closing it is finished
     * already.
     */
    MACHINE_REATTACH,
    MACHINE_DRAIN,   /* the peer sends no more: deliver what is in the ring, then set drained */
    MACHINE_RELEASE, /* release the rings: unmap or revoke, close the port */
};

/* What to do, then the state to write (after the action, and only if it differs). */
struct machine_step {
    enum machine_action action;
    enum xenbus_state next;
};

/*
 * What the side does next. Pure: the same view gives the same answer. An action that succeeds
 * changes the view (BEGIN: begun; GRANT, MAP: held; REATTACH: both; DRAIN: draining; RELEASE:
 * !held, !draining). One that fails sets failed (BEGIN and REATTACH set begun, too). So repeated
 * calls reach MACHINE_WAIT after at most MACHINE_STEPS_MAX answers.
 */
struct machine_step machine_step(enum machine_role role, const struct machine_view *view);

#define MACHINE_STEPS_MAX 8

/* The name of an action, for a trace ("grant"). Never NULL. */
const char *machine_action_name(enum machine_action action);

#endif
