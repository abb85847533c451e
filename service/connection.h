/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one side of a channel is plugged into locally. A kind of connection is one file in kinds/
 * and one row of SPEC_KINDS (state/spec.h).
 *
 * A connection lives as long as its device, while rings come and go: plug, (open, start, stir…,
 * close)…, unplug. All are called in the service's thread and must not block. The endpoint calls
 * open to close, also from within the kind's own calls of endpoint_set_…() and endpoint_fail():
 * after such a call the rings may be released, but the connection still exists.
 */
#ifndef SERVICE_CONNECTION_H
#define SERVICE_CONNECTION_H

#include <stdbool.h>

#include "service/statistics.h"
#include "service/handover/fdstore.h"
#include "service/log.h"
#include "service/kinds/place.h"
#include "service/quota.h"
#include "state/endpoint.h"
#include "state/spec.h"
#include "state/store.h"
#include "service/worker/worker.h"

struct event_base;

/*
 * Space for one line that says why something failed, with its NUL. The frontend can read the line
 * (B/error), so it must not contain what only B/private says. The log adds that.
 */
#define CONNECTION_WHY_MAX 256

struct connection {
    const struct connection_kind *kind;
    struct spec spec; /* as declared; a kind may use only the keys that it needs */
    struct event_base *base;
    struct endpoint *endpoint; /* set before open() */
    struct worker worker;      /* implements the endpoint's rings */
    struct fdstore *fdstore;   /* or NULL */
    struct store *store;
    domid_t peer;                 /* the other side's domain; DOMID_INVALID if not known */
    const char *id;               /* "5/0": the owner's name in the fdstore */
    char label[128];              /* "5/0 org.example.db", for the log */
    struct quota *quota;          /* the guest's; NULL: no limits */
    struct statistics statistics; /* each kind reports its program there */
    char path[SPEC_PATH_MAX + 1]; /* as declared or by default; "": none, or not known yet */
    struct place place;           /* if the kind needs a path */
    void *state;                  /* the kind's data */
};

struct connection_kind {
    const char *name;

    /* The device exists. Returns 0, or a negative errno with one line in why and nothing left. */
    int (*plug)(struct connection *connection, char why[CONNECTION_WHY_MAX]);
    /* Undoes plug(). Called after close(). */
    void (*unplug)(struct connection *connection);

    /*
     * The guest opens the channel. Calls endpoint_set_ready() or endpoint_fail(), now or later.
     * NULL: app.
     */
    void (*open)(struct connection *connection);
    /* The channel is Connected: bytes may flow. */
    void (*start)(struct connection *connection);
    /* After start(): the peer has signalled, so there may be bytes, room or an end. */
    void (*stir)(struct connection *connection);
    /*
     * The rings are released: undoes what open() and start() began, even if start() was not called.
     */
    void (*close)(struct connection *connection);
};

#define CONNECTION_KIND(kind, ...) extern const struct connection_kind connection_##kind;
SPEC_KINDS(CONNECTION_KIND)
#undef CONNECTION_KIND

/*
 * Sets connection->kind by the spec. Returns 0, or a negative errno with one line in why and kind
 * NULL: this version does not know the kind, or a key is missing.
 */
int connection_choose(struct connection *connection, char why[CONNECTION_WHY_MAX]);

/*
 * For a kind's open(): takes a descriptor that an earlier process kept of a connection that
 * continues. Returns the fd, which the caller owns, or -ENOENT: there is none, or the connection
 * begins anew. Then whatever else is left of the earlier one is closed, unless carrier_open() has
 * taken it.
 */
int connection_take(struct connection *connection, enum fdstore_item item);

/* Closes *fd, kept or not, and sets it to -1. Allowed if it is -1. */
void connection_close_fd(struct connection *connection, enum fdstore_item item, int *fd);

/* Returns the channel's name, or "" if it is not known. */
const char *connection_name(const struct connection *connection);

/* Between start() and close(): whether the peer has left, cleanly or not. */
bool connection_peer_left(const struct connection *connection);

/* Logs that the previous process's connection was lost, if there was one. */
void connection_log_lost(const struct connection *connection);

/* Whether the service serves such a connection, which it does for all kinds but app. */
bool connection_is_served(const struct connection *connection);

/*
 * Logs a line that begins with the connection's label. If the guest has had too many lines logged
 * lately, only counts it.
 */
void connection_log(const struct connection *connection, enum log_level level, const char *format,
                    ...) __attribute__((format(printf, 3, 4)));

/* As connection_log(), for a command that may outlive its connection, by label and quota. */
void log_guest(const char *label, struct quota *quota, enum log_level level, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/*
 * Describes the connection for the log: "connect /run/db.sock", "echo". Leaves out what could not
 * be read. If a visit to the path failed with -ENOKEY, adds which user can change the path.
 */
void connection_describe(const struct connection *connection, char *text, size_t size);

#endif
