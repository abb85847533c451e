/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the channels of a domain differ from those that a config file declares. */
#ifndef TOOLSTACK_DIFFERENCE_H
#define TOOLSTACK_DIFFERENCE_H

#include <json-c/json.h>

#include "toolstack/config.h"
#include "toolstack/present.h"
#include "toolstack/tool.h"

/* One channel that is not as declared. */
struct difference {
    const struct spec *want; /* NULL: not declared */
    const struct spec *have; /* NULL: not plugged */
    const struct device_id *id;     /* of the plugged one */
    domid_t backend;                /* of the declared one */
};

struct differences {
    domid_t domid; /* of the domain */
    struct config want;
    struct present have;
    struct difference *items; /* items point into these two */
    size_t count;
};

/*
 * Reads a config file (as JSON if json is set) and compares it with the domain named, or with the
 * domain that the file names if domain is NULL. Returns 0, or a negative errno after reporting it:
 * a mistake in the file, no such domain, no such backend. Call differences_free() in either case.
 */
int differences_read(struct tool *tool, const char *file, bool json, const char *domain,
                     struct differences *differences);

/* Reads again what the domain has. Returns as above. */
int differences_refresh(struct tool *tool, struct differences *differences);
void differences_free(struct differences *differences);

/* Prints one line each: "+ spec", "- spec" or "~ name: key: have -> want, …"; or prints JSON. */
void differences_print(const struct differences *differences);
void differences_print_json(const struct differences *differences);

#endif
