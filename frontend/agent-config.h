/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file of vchan-frontend, which says what this guest's channels are plugged into.
 * Its syntax is that of the key vchan= in an xl config file (man/vchan-frontend.8.scd). It is
 * parsed here, since libxlutil would bring the whole toolstack into the guest.
 */
#ifndef FRONTEND_AGENT_CONFIG_H
#define FRONTEND_AGENT_CONFIG_H

#include <stddef.h>

#include "state/spec.h"

/* Space for an error line of agent_config_read() with its NUL; longer ones are cut. */
#define AGENT_CONFIG_WHY_MAX (SPEC_WHY_MAX + 1024)

struct agent_config {
    struct spec *channels;
    size_t count;
};

/*
 * Reads a file. Returns 0; the caller then owns the content (agent_config_free()). Otherwise
 * returns -EINVAL (the file is invalid), or another negative errno (it cannot be read), with
 * *config empty and one line in why, which names file, line, entry and key as far as possible.
 */
int agent_config_read(const char *file, struct agent_config *config,
                      char why[AGENT_CONFIG_WHY_MAX]);

/* Returns the spec of the channel with this name, or NULL. */
const struct spec *agent_config_find(const struct agent_config *config, const char *name);

/* Frees the content and makes *config empty. Allowed if it is empty. */
void agent_config_free(struct agent_config *config);

#endif
