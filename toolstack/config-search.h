/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the file that declares a domain which plain xl created: xl keeps no link to it.
 */
#ifndef TOOLSTACK_CONFIG_SEARCH_H
#define TOOLSTACK_CONFIG_SEARCH_H

#include "toolstack/config.h"
#include "toolstack/record.h"
#include "toolstack/tool.h"

/* Where it is looked for. */
struct config_dirs {
    const char **dirs;
    size_t count;
};

/*
 * Files whose names end like a copy's (".bak", "~", ".dpkg-old", …) are ignored, with a warning if
 * one declares the domain. Files whose names begin with a dot are ignored silently.
 *
 * Reads the declaration of a domain out of the one file in these directories that has its uuid, or
 * else its name and no uuid: *by_name tells. 0, and the caller owns *config: config_free().
 * -ENOENT: there is none (says nothing). Another negative errno, after saying why: several files,
 * or a mistake in it.
 */
int config_search(struct tool *tool, const struct config_dirs *dirs, const char *name,
                  const char *uuid, struct config *config, bool *by_name);

#endif
