/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One declared channel, and its text form "KEY=VALUE, KEY=VALUE, …", as an entry of vchan= in an xl
 * config file and as the argument of xl-vchan attach. Syntax: man/xl-vchan.cfg.5.scd.
 */
#ifndef STATE_DECLARATION_H
#define STATE_DECLARATION_H

#include <stdbool.h>
#include <stdint.h>

#include "state/device.h"

/* The longest values, without their NUL. A path must fit a Unix socket's address. */
#define DECLARATION_BACKEND_MAX 255
#define DECLARATION_UUID_MAX    36
#define DECLARATION_PATH_MAX    107
#define DECLARATION_ADDRESS_MAX 262
#define DECLARATION_COMMAND_MAX 2048
#define DECLARATION_ACCOUNT_MAX 32 /* of a user or a group */
#define DECLARATION_MODE_MAX    4

/* As a devid: the toolstack picks the first that is free. */
#define DECLARATION_DEVID_ANY UINT32_MAX

/* Room for the error line of declaration_parse and its NUL; a longer one is cut. */
#define DECLARATION_WHY_MAX 1024

/* Texts that were not given are empty. */
struct declaration {
    char name[DEVICE_NAME_MAX + 1];
    char backend[DECLARATION_BACKEND_MAX + 1]; /* a domain's name or id */
    char backend_uuid[DECLARATION_UUID_MAX + 1]; /* goes first; both empty: the toolstack's */
    uint32_t devid;                        /* or DECLARATION_DEVID_ANY */
    uint32_t read_ring;                    /* bytes, seen from the frontend, */
    uint32_t write_ring;                   /* rounded up to what the wire takes */
    const char *connection;                /* the kind, a constant: "app", "socket", … */
    char path[DECLARATION_PATH_MAX + 1];
    char address[DECLARATION_ADDRESS_MAX + 1];
    char command[DECLARATION_COMMAND_MAX + 1];
    char owner[DECLARATION_ACCOUNT_MAX + 1]; /* of the socket or pty: a name or a number */
    char group[DECLARATION_ACCOUNT_MAX + 1];
    char mode[DECLARATION_MODE_MAX + 1]; /* four octal digits */
    char user[DECLARATION_ACCOUNT_MAX + 1]; /* runs the command */
    bool reconnect;                     /* false where the kind does not take it */
};

/*
 * Parses one channel. 0, or -ENOMEM or -EINVAL with one line in why that names the key and says
 * what to write; *channel is then undefined.
 */
int declaration_parse(const char *spec, struct declaration *channel, char why[DECLARATION_WHY_MAX]);

/*
 * As above, for a channel that is plugged already: an older toolstack may have left out the user of
 * a command.
 */
int declaration_parse_plugged(const char *spec, struct declaration *channel,
                              char why[DECLARATION_WHY_MAX]);

/*
 * As declaration_parse(), for what a guest says of its own side: backend, devid and the rings'
 * sizes are not its to say, and connection is not to be left out.
 */
int declaration_parse_guest(const char *spec, struct declaration *channel,
                            char why[DECLARATION_WHY_MAX]);

/*
 * The text that declaration_parse_plugged makes the same channel of, with what is not as by
 * default: it is parsed and compared. 0, and the caller frees *text; -EINVAL: no text says it (a
 * name with a comma, a control character); or -ENOMEM.
 */
int declaration_format(const struct declaration *channel, char **text);

/* Tells whether two channels are declared alike in everything. */
bool declaration_equal(const struct declaration *a, const struct declaration *b);

/* Tells whether an application opens the backend's side itself, so that no service takes it. */
bool declaration_is_app(const struct declaration *channel);

/* Tells whether reconnect means something for its kind of connection. */
bool declaration_takes_reconnect(const struct declaration *channel);

#endif
