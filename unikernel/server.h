/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plain vchans: libxenvchan's rendezvous at a path, for one client after another. */
#ifndef UNIKERNEL_SERVER_H
#define UNIKERNEL_SERVER_H

#include <stdbool.h>

#include "unikernel/options.h"

/* Prepares the servers of the command line. -EINVAL: impossible ring sizes. */
int servers_init(const struct options *options, domid_t self);

/* Does all that is to be done now. Returns whether there is more to do at once. */
bool servers_run(void);

/* Whether a server waits for memory; servers_run() tries again. */
bool servers_wait(void);

/* Closes them. */
void servers_close(void);

#endif
