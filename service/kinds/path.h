/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The path of a socket or a terminal: as declared, or by default SPEC_RUN_DIR/DOMID/NAME, in a
 * directory that is made for the peer's domain. SPEC_RUN_DIR/DOMAIN, with the domain's name, is a
 * link to that directory: for people only, since several domains can have one name, and a domain
 * can be renamed. man/vchan-backend.8.scd, "DEFAULT PATHS".
 *
 * Only root can change anything in SPEC_RUN_DIR, so nothing here blocks, or is done as another user.
 */
#ifndef SERVICE_KINDS_PATH_H
#define SERVICE_KINDS_PATH_H

#include "service/connection.h"

/*
 * Sets connection->path, and makes the directory of a default path and the link to it. 0, or a
 * negative errno with one line in why.
 */
int path_choose(struct connection *connection, char why[CONNECTION_WHY_MAX]);

/*
 * The channel has left its path: removes the directory of a default path, and the links to it, if
 * nothing else is in it.
 */
void path_leave(const struct connection *connection);

/* Has the link to the directory of a default path follow the domain's name. */
void path_follow_name(const struct connection *connection);

/*
 * Removes what killed processes left at default paths of channels that are gone, of either side's
 * service in this domain.
 */
void path_sweep(struct store *store);

#endif
