/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The variables that describe a command's channel to it: VCHAN_NAME, VCHAN_DOMID, VCHAN_DOMAIN and
 * VCHAN_UUID (man/vchan-backend.8.scd, "ENVIRONMENT").
 */
#ifndef SERVICE_KINDS_ENVIRONMENT_H
#define SERVICE_KINDS_ENVIRONMENT_H

#include "state/device.h"
#include "state/spec.h"

struct connection;

/* The variables' values; one that is not known is "". */
struct environment {
    char name[DEVICE_NAME_MAX + 1];
    char domid[8];
    char domain[256];
    char uuid[SPEC_UUID_MAX + 1];
};

/* Reads the values from xenstore. Those that cannot be read are "". */
void environment_read(const struct connection *connection, struct environment *environment);

/* Sets the variables that have a value. Call it in the process that becomes the command. */
void environment_set(const struct environment *environment);

#endif
