/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's configuration file: what this guest's channels are plugged into. Syntax and words are
 * those of the key vchan= in an xl config file: man/vchan-frontend.8.scd. (libxlutil, which reads
 * that, would bring all of the toolstack into the guest.)
 */
#ifndef FRONTEND_AGENT_CONFIG_H
#define FRONTEND_AGENT_CONFIG_H

#include <stddef.h>

#include "state/spec.h"

/* Room for any error line of agent_config_read and its NUL; a longer one is cut. */
#define AGENT_CONFIG_WHY_MAX (SPEC_WHY_MAX + 1024)

struct agent_config {
    struct spec *channels;
    size_t count;
};

/*
 * Reads a file. 0, and the caller owns the content: agent_config_free(). -EINVAL: something is
 * wrong in it; another negative errno: it cannot be read. On failure *config is empty, and why
 * holds one line that names file, line, entry and key, as far as there are any.
 */
int agent_config_read(const char *file, struct agent_config *config,
                      char why[AGENT_CONFIG_WHY_MAX]);

/* What is said of the channel of that name, or NULL. */
const struct spec *agent_config_find(const struct agent_config *config, const char *name);

/* Frees what agent_config_read made. An empty one is allowed. */
void agent_config_free(struct agent_config *config);

#endif
