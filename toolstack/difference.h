/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the channels that a domain has differ from those that a config file declares for it.
 */
#ifndef TOOLSTACK_DIFFERENCE_H
#define TOOLSTACK_DIFFERENCE_H

#include <json-c/json.h>

#include "toolstack/config.h"
#include "toolstack/present.h"
#include "toolstack/tool.h"

/* One channel that is not as declared. */
struct difference {
    const struct spec *want; /* NULL: it is not declared */
    const struct spec *have; /* NULL: the domain does not have it */
    const struct device_id *id;     /* of what it has */
    domid_t backend;                /* of what is declared */
};

struct differences {
    domid_t domid; /* of the domain */
    struct config want;
    struct present have;
    struct difference *items; /* into these two */
    size_t count;
};

/*
 * Reads a config file (json: config_read_json()) and the domain that it is for: domain, or if that
 * is NULL the one it names. 0, or a negative errno after saying why: a mistake in the file, no such
 * domain, a backend that is not there. differences_free() is right in either case.
 */
int differences_read(struct tool *tool, const char *file, bool json, const char *domain,
                     struct differences *differences);

/* Reads again what the domain has. As above. */
int differences_refresh(struct tool *tool, struct differences *differences);
void differences_free(struct differences *differences);

/* Prints a line for each: "+ spec", "- spec", "~ name: key: have -> want, …"; or as JSON. */
void differences_print(const struct differences *differences);
void differences_print_json(const struct differences *differences);

#endif
