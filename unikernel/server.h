/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plain vchans: libxenvchan's rendezvous at a path, for one client after the other. */
#ifndef UNIKERNEL_SERVER_H
#define UNIKERNEL_SERVER_H

#include <stdbool.h>

#include "unikernel/options.h"

/* Takes what the command line asks for. -EINVAL: its sizes cannot be had. */
int servers_init(const struct options *options, domid_t self);

/* Does all that is to be done now. Returns whether there is more at once. */
bool servers_run(void);

/* Whether one waits for memory: it tries again when it is run. */
bool servers_wait(void);

/* Ends them. */
void servers_close(void);

#endif
