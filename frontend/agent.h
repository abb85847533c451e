/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This guest's channels, plugged into what its configuration says of them: finds them, and has them
 * look when something of theirs changed. Those of which it says nothing are left to applications.
 */
#ifndef FRONTEND_AGENT_H
#define FRONTEND_AGENT_H

#include "frontend/agent-config.h"

/*
 * Serves them until a signal. file is read again on SIGHUP; *config is what it said at first, and
 * is the agent's from now on. Gives the exit code (service/loop.h).
 */
int agent_run(const char *file, struct agent_config *config);

#endif
