/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of an endpoint share, and nobody else: endpoint.c looks, decides and writes the
 * states, endpoint-acts.c does what was decided.
 */
#ifndef STATE_ENDPOINT_OWN_H
#define STATE_ENDPOINT_OWN_H

#include <stdarg.h>

#include "state/endpoint.h"

/* A frontend's keys, as a backend reads them: 0 if there is none, or nonsense. */
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
    struct claims *claims; /* the owner's; NULL: it has none */

    char own_dir[STORE_PATH_MAX];
    char peer_dir[STORE_PATH_MAX];
    char name[DEVICE_NAME_MAX + 1];
    off_t lock;
    domid_t peer;
    struct ring_orders orders; /* as declared: a frontend's own, a backend's upper limit */

    struct machine_view view;
    bool connected; /* we said so: bytes may flow */
    bool resumed;   /* the rings are those of an earlier process of this side */
    bool gone;      /* the rings know that the peer let go of them */
    bool ended_well;
    int error;
    char reason[256];

    bool has_tried;    /* backend: to map, since its last state */
    struct read_keys tried; /* what that was, or what is mapped */
    struct endpoint_rings kept; /* if view.kept */

    bool replaced; /* what is in our directory now is another device */

    bool ending;  /* as if unplugged */
    bool running; /* in endpoint_run(): a callback that changes the view makes it go round again */
    bool again;
    bool told; /* the reason is news */
};

/* What an earlier process of the backend left can be gone on with by the next one. */
#define ENDPOINT_OFFER "feature-reattach"

static inline const char *endpoint_peer_word(const struct endpoint *endpoint)
{
    return endpoint->role == MACHINE_BACKEND ? "frontend" : "backend";
}

/* ---- endpoint-acts.c ---- */

/* Does an action. Returns 0, or a negative errno, which is explained. */
int endpoint_act(struct endpoint *endpoint, enum machine_action action);

/* Unplugs and lets go of the rings, which there are; xenstore is not told. */
void endpoint_release_rings(struct endpoint *endpoint);

/* Has the owner look at the rings, if bytes may flow. */
void endpoint_stir(struct endpoint *endpoint);

/* What the frontend granted. As it is, for store (a transaction, maybe). */
void endpoint_read_keys(struct store *store, const struct endpoint *endpoint,
                        struct read_keys *read);

/* Notes why, and writes it to own_dir/error if it is news. error is a negative errno, or 0. */
void endpoint_explain_args(struct endpoint *endpoint, int error, const char *format, va_list args);
void endpoint_explain(struct endpoint *endpoint, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void endpoint_forget_reason(struct endpoint *endpoint);

#endif
