/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/machine.h"

#include <stddef.h>

static struct machine_step step(enum machine_action action, enum xenbus_state next)
{
    return (struct machine_step){.action = action, .next = next};
}

static struct machine_step nothing(const struct machine_view *view)
{
    return step(MACHINE_WAIT, view->own);
}

/* Writes Closed once; nothing else is to be done there. */
static struct machine_step stay_closed(const struct machine_view *view)
{
    return view->own == XenbusStateClosed ? nothing(view) : step(MACHINE_MOVE, XenbusStateClosed);
}

/*
 * No rings are held. The frontend starts over: it goes to Initialising whatever an earlier process
 * left, and grants when the backend is at InitWait.
 */
static struct machine_step frontend_idle(const struct machine_view *view)
{
    if (!view->begun)
        return step(MACHINE_BEGIN, XenbusStateInitialising);
    if (view->own != XenbusStateInitialising)
        return stay_closed(view);
    if (view->peer == XenbusStateInitWait)
        return step(MACHINE_GRANT, XenbusStateInitialised);
    return nothing(view);
}

/* The backend's state while no rings are granted: InitWait, unless the frontend is Closed. */
static enum xenbus_state backend_rest(const struct machine_view *view)
{
    bool fresh = view->own == XenbusStateInitialising || view->own == XenbusStateInitWait;

    if (view->peer == XenbusStateInitialising)
        return XenbusStateInitWait;
    return fresh && view->peer != XenbusStateClosed ? XenbusStateInitWait : XenbusStateClosed;
}

/*
 * An earlier process died with the rings in use, and the frontend waits for a successor; or the
 * frontend has gone, but what it wrote is still there.
 */
static bool can_reattach(const struct machine_view *view)
{
    bool used = view->own == XenbusStateConnected || view->own == XenbusStateReconfiguring ||
                view->own == XenbusStateClosing;
    bool awaited = view->peer == XenbusStateInitialised || view->peer == XenbusStateConnected ||
                   view->peer == XenbusStateClosing;

    return view->reattach && !view->begun && used && (awaited || view->kept);
}

/* A state at the end stays; any other becomes Reconfiguring until the connection is open. */
static struct machine_step reattach(const struct machine_view *view)
{
    if (view->own == XenbusStateConnected)
        return step(MACHINE_MOVE, XenbusStateReconfiguring);
    return step(MACHINE_REATTACH, view->own);
}

/*
 * The backend offers when the frontend begins, and maps when the frontend has granted. A state
 * above InitWait that this process did not write is left from one that died. If that connection
 * cannot be resumed, Closed tells the frontend, which starts over.
 */
static struct machine_step backend_idle(const struct machine_view *view)
{
    enum xenbus_state rest = backend_rest(view);

    if (can_reattach(view))
        return reattach(view);
    if (!view->begun)
        return step(MACHINE_BEGIN, rest);
    if (view->own == XenbusStateInitWait && view->peer == XenbusStateInitialised)
        return step(MACHINE_MAP, XenbusStateInitWait);
    return view->own == rest ? nothing(view) : step(MACHINE_MOVE, rest);
}

static struct machine_step idle(enum machine_role role, const struct machine_view *view)
{
    if (view->own == XenbusStateUnknown)
        return nothing(view); /* removed: a write would recreate the node */
    if (view->leaving || view->failed || !view->online)
        return stay_closed(view);
    return role == MACHINE_FRONTEND ? frontend_idle(view) : backend_idle(view);
}

/* Whether the peer may have our rings open, by its state. */
static bool peer_has_ring(enum machine_role role, const struct machine_view *view)
{
    switch (view->peer) {
    case XenbusStateConnected:
    case XenbusStateClosing:
    case XenbusStateReconfiguring:
    case XenbusStateReconfigured:
        return true;
    case XenbusStateInitialised: /* it waits for us to be Connected, or has not seen it yet */
        return role == MACHINE_BACKEND;
    case XenbusStateInitialising: /* it has not begun, or has not seen our grant yet */
    case XenbusStateInitWait:
        return role == MACHINE_FRONTEND && view->own == XenbusStateInitialised;
    default:
        return false;
    }
}

/* A clean end passes Closing, so that the peer can tell it from a crash. */
static struct machine_step release(const struct machine_view *view)
{
    if (view->own == XenbusStateConnected || view->own == XenbusStateReconfiguring)
        return step(MACHINE_MOVE, XenbusStateClosing);
    return step(MACHINE_RELEASE, view->own == XenbusStateUnknown ? view->own : XenbusStateClosed);
}

/* Rings are held, but not both sides are Connected yet. */
static struct machine_step connecting(enum machine_role role, const struct machine_view *view,
                                      bool peer_here)
{
    bool up = role == MACHINE_FRONTEND ? view->peer == XenbusStateConnected ||
                                             view->peer == XenbusStateClosing
                                       : view->ready;

    if (!peer_here || !view->online)
        return release(view);
    return up ? step(MACHINE_MOVE, XenbusStateConnected) : nothing(view);
}

/*
 * Bytes flow in at least one direction. All bytes of the peer are delivered, whatever happens to
 * it, before the rings are released.
 */
static struct machine_step connected(const struct machine_view *view, bool peer_here)
{
    bool peer_ended = !peer_here || view->peer == XenbusStateClosing || !view->online;
    /*
     * A backend that died at the end may not have read everything: its successor must map the rest.
     */
    bool we_ended = view->own == XenbusStateClosing && view->finished && !view->lost;

    if (peer_ended && !view->draining)
        return step(MACHINE_DRAIN, view->own);
    if (view->drained && (!peer_here || !view->online || we_ended))
        return release(view);
    if (view->finished && view->own == XenbusStateConnected)
        return step(MACHINE_MOVE, XenbusStateClosing);
    return nothing(view);
}

/*
 * A frontend that was offered feature-reattach goes by the backend's state alone: if the process
 * died, a successor will come.
 */
static bool peer_is_here(enum machine_role role, const struct machine_view *view)
{
    bool process = !view->lost || (role == MACHINE_FRONTEND && view->reattach);

    return process && peer_has_ring(role, view);
}

static struct machine_step held(enum machine_role role, const struct machine_view *view)
{
    bool peer_here = peer_is_here(role, view);

    if (view->leaving || view->failed)
        return release(view);
    switch (view->own) {
    case XenbusStateReconfiguring: /* like Connected, but bytes wait for the connection */
        return view->ready ? step(MACHINE_MOVE, XenbusStateConnected) : nothing(view);
    case XenbusStateInitWait:
    case XenbusStateInitialised:
        return connecting(role, view, peer_here);
    case XenbusStateConnected:
    case XenbusStateClosing:
        return connected(view, peer_here);
    default:
        return connected(view, false); /* the device is gone, or something else wrote our state */
    }
}

struct machine_step machine_step(enum machine_role role, const struct machine_view *view)
{
    return view->held ? held(role, view) : idle(role, view);
}

const char *machine_action_name(enum machine_action action)
{
    static const char *const names[] = {
        [MACHINE_WAIT] = "wait", [MACHINE_MOVE] = "move", [MACHINE_BEGIN] = "begin",
        [MACHINE_GRANT] = "grant", [MACHINE_MAP] = "map", [MACHINE_REATTACH] = "reattach",
        [MACHINE_DRAIN] = "drain", [MACHINE_RELEASE] = "release",
    };

    return (size_t)action < sizeof(names) / sizeof(names[0]) ? names[action] : "?";
}
