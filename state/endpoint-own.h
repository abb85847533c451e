/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private to the endpoint's two files: endpoint.c watches, decides and writes the states,
 * endpoint-acts.c carries the decisions out.
 */
#ifndef STATE_ENDPOINT_OWN_H
#define STATE_ENDPOINT_OWN_H

#include <stdarg.h>

#include "state/endpoint.h"

/* A frontend's keys, as the backend reads them. Missing or invalid: 0. */
struct read_keys {
    struct rings_keys keys;
    int ring_ref_error, port_error;
};

struct endpoint {
    struct store *store;
    struct rings *rings; /* the owner's */
    enum machine_role role;
    const struct endpoint_ops *ops;
    void *arg;
    struct claims *claims; /* the owner's, or NULL */

    char own_dir[STORE_PATH_MAX];
    char peer_dir[STORE_PATH_MAX];
    char name[DEVICE_NAME_MAX + 1];
    off_t lock;
    domid_t peer;
    struct ring_orders orders; /* as declared: exact for a frontend, an upper limit for a backend */
    uint32_t declared_streams; /* 0: none */
    uint32_t streams;          /* what both sides agreed on */

    struct machine_view view;
    bool connected; /* this side was Connected: bytes may flow */
    bool resumed;   /* the rings were mapped by an earlier process of this side */
    bool gone;      /* the rings have been told that the peer released them */
    bool ended_well;
    int error;
    char reason[256];

    bool has_tried;    /* backend: tried was read since the last state written */
    struct read_keys tried; /* the keys last tried, or those mapped */
    /* The action whose rings are in progress; MACHINE_WAIT if none are. */
    enum machine_action asking;
    bool adopting;  /* they could not be mapped, so they are adopted */
    bool remapping; /* rings that were held and lost are being mapped again */
    struct endpoint_rings kept; /* if view.kept */

    bool replaced; /* another device is now in our directory */

    bool ending;  /* end as if unplugged */
    bool running; /* in endpoint_run(): a callback that changes the view makes it run once more */
    bool again;
    bool told; /* the reason has changed since ops->moved */
};

/* Written by a backend whose rings survive it: its next process can take over. */
#define ENDPOINT_OFFER "feature-reattach"

static inline const char *endpoint_peer_word(const struct endpoint *endpoint)
{
    return endpoint->role == MACHINE_BACKEND ? "frontend" : "backend";
}

/* ---- endpoint-acts.c ---- */

/*
 * Carries out an action. Returns 0, -EINPROGRESS (endpoint->asking), or another negative errno with
 * the reason set.
 */
int endpoint_act(struct endpoint *endpoint, enum machine_action action);

/* Unplugs and releases the rings, which must be held. Writes nothing to xenstore. */
void endpoint_release_rings(struct endpoint *endpoint);

/* Gives up what is in progress. */
void endpoint_stop_asking(struct endpoint *endpoint);

/* Begins to map lost rings again, or continues. Returns what endpoint_act() returns. */
int endpoint_remap(struct endpoint *endpoint);

/* Calls ops->stirred if bytes may flow. */
void endpoint_stir(struct endpoint *endpoint);

/* Reads what the frontend granted. store may be inside a transaction. */
void endpoint_read_keys(struct store *store, const struct endpoint *endpoint,
                        struct read_keys *read);

/* Sets the reason, and writes it to own_dir/error if it is new. error is a negative errno, or 0. */
void endpoint_explain_args(struct endpoint *endpoint, int error, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
void endpoint_explain(struct endpoint *endpoint, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void endpoint_forget_reason(struct endpoint *endpoint);

#endif
