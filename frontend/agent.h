/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serves this guest's channels as its configuration says: finds them, and looks at those whose
 * nodes changed. Channels that the configuration does not mention are left to applications.
 */
#ifndef FRONTEND_AGENT_H
#define FRONTEND_AGENT_H

#include "frontend/agent-config.h"

/*
 * Serves channels until a signal. Reads file again on SIGHUP. *config is what the file contained at
 * first; takes ownership of it. Returns the exit code (service/loop.h).
 */
int agent_run(const char *file, struct agent_config *config);

#endif
