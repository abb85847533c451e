/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the config file of a domain that plain xl created, because xl keeps no link to it. */
#ifndef TOOLSTACK_CONFIG_SEARCH_H
#define TOOLSTACK_CONFIG_SEARCH_H

#include "toolstack/config.h"
#include "toolstack/record.h"
#include "toolstack/tool.h"

/* The directories to search. */
struct config_dirs {
    const char **dirs;
    size_t count;
};

/*
 * Files whose names end like a copy's (".bak", "~", ".dpkg-old", …) are ignored, with a warning if
 * one declares the domain. Files whose names begin with a dot are ignored silently.
 *
 * Reads the declaration of a domain from the one file in these directories that has its uuid, or
 * otherwise its name and no uuid; then *by_name is true. Returns 0, and the caller frees *config
 * with config_free(); -ENOENT, silently, if there is none; or another negative errno after
 * reporting it: several files match, or a file has a mistake.
 */
int config_search(struct tool *tool, const struct config_dirs *dirs, const char *name,
                  const char *uuid, struct config *config, bool *by_name);

#endif
