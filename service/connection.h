/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel is plugged into here. A kind of connection is one file in kinds/ and one row of
 * SPEC_KINDS (state/spec.h).
 *
 * A connection lives as long as its device, the rings come and go: plug, (open, start, stir…,
 * close)…, unplug. All run in the service's thread and never block. From open to close they are
 * called by the endpoint, also in the middle of the kind's own calls of endpoint_set_…() and
 * endpoint_fail(): after such a call the rings may be gone, the connection is not.
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
 * Room for why something cannot be, one line with its NUL. The frontend can read it (B/error), so
 * that it names nothing of B/private: the log has those in the device's description.
 */
#define CONNECTION_WHY_MAX 256

struct connection {
    const struct connection_kind *kind;
    struct spec spec; /* what it is to be: of it only what a kind may need */
    struct event_base *base;
    struct endpoint *endpoint; /* set before open */
    struct worker worker; /* has the endpoint's rings */
    struct fdstore *fdstore;         /* what outlives the process, or NULL */
    struct store *store;
    domid_t peer;              /* the other side's domain; DOMID_INVALID: not known */
    const char *id;            /* "5/0": who keeps it */
    char label[128];           /* "5/0 org.example.db", for the log */
    struct quota *quota;       /* of the guest; or NULL: there are no limits */
    struct statistics statistics;    /* each kind reports its program here */
    char path[SPEC_PATH_MAX + 1]; /* as declared or by default; "": not known yet, or none */
    struct place place;        /* of a kind that needs a path */
    void *state;               /* the kind's own */
};

struct connection_kind {
    const char *name;

    /* The device is there. 0, or a negative errno with one line in why and nothing left. */
    int (*plug)(struct connection *connection, char why[CONNECTION_WHY_MAX]);
    /* Undoes plug. The rings are gone. */
    void (*unplug)(struct connection *connection);

    /* The guest opens it: endpoint_set_ready() or endpoint_fail(), now or later. NULL: app. */
    void (*open)(struct connection *connection);
    /* Bytes may flow from now on. */
    void (*start)(struct connection *connection);
    /* After start: the peer has come, sent something, or left. */
    void (*stir)(struct connection *connection);
    /* The rings go: lets go of everything that open and start began, whether start came or not. */
    void (*close)(struct connection *connection);
};

#define CONNECTION_KIND(kind, ...) extern const struct connection_kind connection_##kind;
SPEC_KINDS(CONNECTION_KIND)
#undef CONNECTION_KIND

/*
 * Finds the kind that the connection's spec asks for. 0, or a negative errno with one line in why:
 * it is not known here, or misses a key. kind is NULL then.
 */
int connection_choose(struct connection *connection, char why[CONNECTION_WHY_MAX]);

/*
 * For a kind's open(): what an earlier process kept of the connection that this one goes on with,
 * an fd that the caller owns; -ENOENT if there is none, or the connection is to be a new one: then
 * whatever else is left of the earlier one, and was not taken (carrier_open()), is closed.
 */
int connection_take(struct connection *connection, const char *what);

/* Closes a descriptor, kept or not, and sets it to -1. One of -1 is none. */
void connection_close_fd(struct connection *connection, const char *what, int *fd);

/* The channel's name; "": it is not known. */
const char *connection_name(const struct connection *connection);

/* From start to close: whether the peer has left, in order or not. */
bool connection_peer_left(const struct connection *connection);

/* For the log: there was a connection, but it went with the process that had it. */
void connection_log_lost(const struct connection *connection);

/* Whether the service opens such a connection (all but app). */
bool connection_is_served(const struct connection *connection);

/*
 * Logs a line that begins with the connection's label, unless its guest has had too many lines
 * logged lately: then they are counted.
 */
void connection_log(const struct connection *connection, enum log_level level, const char *format,
                    ...) __attribute__((format(printf, 3, 4)));

/* As connection_log(), about what may outlive the connection: with its label and quota. */
void log_guest(const char *label, struct quota *quota, enum log_level level, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/*
 * For the log: "connect /run/db.sock", "echo"; what could not be read is left out. With who else can
 * have the path lead elsewhere, where that was the error.
 */
void connection_describe(const struct connection *connection, char *text, size_t size);

#endif
