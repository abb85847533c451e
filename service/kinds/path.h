/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The path of a socket or a terminal: as declared, or by default SPEC_RUN_DIR/DOMID/NAME, in a
 * directory that the service creates for the peer's domain. SPEC_RUN_DIR/DOMAIN, with the domain's
 * name, is a link to that directory. The link is for people only: several domains can have one
 * name, and a domain can be renamed. See man/vchan-backend.8.scd, "DEFAULT PATHS".
 *
 * Only root can change SPEC_RUN_DIR, so all this is done as root, and no call blocks.
 */
#ifndef SERVICE_KINDS_PATH_H
#define SERVICE_KINDS_PATH_H

#include "service/connection.h"

/*
 * Sets connection->path. For a default path, creates the directory and the link to it. Returns 0,
 * or a negative errno with one line in why.
 */
int path_choose(struct connection *connection, char why[CONNECTION_WHY_MAX]);

/*
 * Call it when the channel's file at a default path is gone: removes the directory if it is empty,
 * and the links to it.
 */
void path_leave(const struct connection *connection);

/* For a default path: renames the link to the directory if the domain has been renamed. */
void path_follow_name(const struct connection *connection);

/*
 * Removes what killed processes of either service in this domain left at default paths, if its
 * channel is gone.
 */
void path_sweep(struct store *store);

#endif
