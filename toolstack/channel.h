/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One declared channel, and its text form "KEY=VALUE, KEY=VALUE, …", as an entry of vchan= in an xl
 * config file and as the argument of xl-vchan attach. Syntax: man/xl-vchan.cfg.5.scd.
 */
#ifndef TOOLSTACK_CHANNEL_H
#define TOOLSTACK_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "state/device.h"

/* The longest values, without their NUL. A path must fit a Unix socket's address. */
#define CHANNEL_BACKEND_MAX 255
#define CHANNEL_PATH_MAX    107
#define CHANNEL_ADDRESS_MAX 262
#define CHANNEL_COMMAND_MAX 2048
#define CHANNEL_ACCOUNT_MAX 32 /* of a user or a group */
#define CHANNEL_MODE_MAX    4

/* As a devid: the toolstack picks the first that is free. */
#define CHANNEL_DEVID_ANY UINT32_MAX

/* Room for the error line of channel_parse and its NUL; a longer one is cut. */
#define CHANNEL_WHY_MAX 1024

/* Texts that were not given are empty. */
struct channel {
    char name[DEVICE_NAME_MAX + 1];
    char backend[CHANNEL_BACKEND_MAX + 1]; /* a domain's name or id; empty: the toolstack's */
    uint32_t devid;                        /* or CHANNEL_DEVID_ANY */
    uint32_t read_ring;                    /* bytes, seen from the frontend, */
    uint32_t write_ring;                   /* rounded up to what the wire takes */
    const char *connection;                /* the kind, a constant: "app", "socket", … */
    char path[CHANNEL_PATH_MAX + 1];
    char address[CHANNEL_ADDRESS_MAX + 1];
    char command[CHANNEL_COMMAND_MAX + 1];
    char owner[CHANNEL_ACCOUNT_MAX + 1]; /* of the socket or pty: a name or a number */
    char group[CHANNEL_ACCOUNT_MAX + 1];
    char mode[CHANNEL_MODE_MAX + 1]; /* four octal digits */
    char user[CHANNEL_ACCOUNT_MAX + 1]; /* who runs the command */
    bool reconnect;                     /* false where the kind does not take it */
};

/*
 * Parses one channel. 0, or -ENOMEM or -EINVAL with one line in why that names the key and says
 * what to write; *channel is then undefined.
 */
int channel_parse(const char *spec, struct channel *channel, char why[CHANNEL_WHY_MAX]);

/*
 * The text that channel_parse makes the same channel of, with what is not as by default. 0, and the
 * caller frees *text; or -ENOMEM.
 */
int channel_format(const struct channel *channel, char **text);

/* Tells whether an application opens the backend's side itself, so that no service takes it. */
bool channel_is_app(const struct channel *channel);

/* Tells whether reconnect means something for its kind of connection. */
bool channel_takes_reconnect(const struct channel *channel);

#endif
