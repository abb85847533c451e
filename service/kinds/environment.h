/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a command's environment says of its channel: VCHAN_NAME, VCHAN_DOMID, VCHAN_DOMAIN and
 * VCHAN_UUID (man/vchan-backend.8.scd, "ENVIRONMENT").
 */
#ifndef SERVICE_KINDS_ENVIRONMENT_H
#define SERVICE_KINDS_ENVIRONMENT_H

#include "state/device.h"
#include "state/spec.h"

struct connection;

/* Empty: not known here. */
struct environment {
    char name[DEVICE_NAME_MAX + 1];
    char domid[8];
    char domain[256];
    char uuid[SPEC_UUID_MAX + 1];
};

/* Asks xenstore; what it does not say is left out. */
void environment_read(const struct connection *connection, struct environment *environment);

/* Sets the variables, in the process that is to be the command. */
void environment_set(const struct environment *environment);

#endif
