/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of an endpoint share, and nobody else: endpoint.c looks, decides and writes the
 * states, endpoint-acts.c does what was decided.
 */
#ifndef VCHAN_ENDPOINT_OWN_H
#define VCHAN_ENDPOINT_OWN_H

#include <stdarg.h>

#include "vchan/endpoint.h"

/* A frontend's, as a backend reads them: 0 if there is none, or nonsense. */
struct keys {
    uint32_t ring_ref, port;
    int ring_ref_error, port_error;
};

struct endpoint {
    struct store *store;
    struct xen *xen;
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
    struct channel *channel;
    bool connected; /* we said so: bytes may flow */
    bool resumed;   /* the rings are those of an earlier process of this side */
    bool gone;      /* the channel knows that the peer let go of it */
    bool ended_well;
    int error;
    char reason[256];

    bool has_tried;    /* backend: to map, since its last state */
    struct keys tried; /* what that was, or what is mapped */
    struct endpoint_rings kept; /* if view.kept */

    bool replaced; /* what is in our directory now is another device */

    bool ending;  /* as if unplugged */
    bool running; /* in endpoint_run(): a callback that changes the view makes it go round again */
    bool again;
    bool told; /* the reason is news */
};

/* What an earlier process of the backend left can be gone on with by the next one. */
#define ENDPOINT_OFFER "feature-reattach"

/* "frontend" or "backend". */
const char *endpoint_peer_word(const struct endpoint *endpoint);

/* The peer signalled: a channel_owner's, with the endpoint as its argument. */
void endpoint_fired(struct channel *channel, void *arg);

/* ---- endpoint-acts.c ---- */

/* Does an action. Returns 0, or a negative errno, which is explained. */
int endpoint_act(struct endpoint *endpoint, enum machine_action action);

/* Unplugs and lets go of the channel, which there is; xenstore is not told. */
void endpoint_release_channel(struct endpoint *endpoint);

/* Has the owner look at the channel, if bytes may flow. */
void endpoint_stir(struct endpoint *endpoint);

/* What the frontend granted. As it is, for store (a transaction, maybe). */
void endpoint_read_keys(struct store *store, const struct endpoint *endpoint, struct keys *keys);

/* Notes why, and writes it to own_dir/error if it is news. error is a negative errno, or 0. */
void endpoint_explain_args(struct endpoint *endpoint, int error, const char *format, va_list args);
void endpoint_explain(struct endpoint *endpoint, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void endpoint_forget_reason(struct endpoint *endpoint);

#endif
