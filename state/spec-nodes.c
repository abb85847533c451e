/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A channel as nodes in xenstore: doc/protocol.md, "Nodes". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "state/spec.h"
#include "state/store.h"

/*
 * Sizes are in bytes in nodes, which every implementation can read; the rest is as people write it.
 */
static int write_field(struct store *store, const char *dir, const struct spec *spec,
                       enum spec_key key)
{
    char value[SPEC_VALUE_MAX];

    if (spec_fields[key].type == SPEC_TYPE_SIZE)
        return store_write_number(store, dir, spec_fields[key].key, spec_number(spec, key));
    if (!spec_value(spec, key, value))
        return 0;
    return store_write_text(store, dir, spec_fields[key].key, value);
}

int spec_write(struct store *store, const char *dir, enum spec_place place, const struct spec *spec)
{
    int rc = 0;

    for (enum spec_key key = 0; key < SPEC_KEYS && rc == 0; key++)
        if (spec_fields[key].place == place)
            rc = write_field(store, dir, spec, key);
    return rc;
}

static const char *read_error(int rc)
{
    switch (rc) {
    case -EOVERFLOW:
        return "too long";
    case -EINVAL:
    case -ERANGE:
        return "invalid value";
    default:
        return strerror(-rc);
    }
}

static void node_of(enum spec_key key, char node[32])
{
    snprintf(node, 32, "%s%s", spec_fields[key].place == SPEC_AT_PRIVATE ? "private/" : "",
             spec_fields[key].key);
}

/* Checks the value like a new one, except that the kind may be unknown. */
static int take_node(struct spec_build *build, enum spec_key key, const char *value)
{
    if (key != SPEC_CONNECTION)
        return spec_take(build, spec_fields[key].key, value);
    if (strlen(value) > SPEC_KIND_MAX)
        return -EOVERFLOW;
    strcpy(build->spec->connection, value);
    build->given |= SPEC_BIT(CONNECTION);
    return 0;
}

static int read_field(struct store *store, const char *dir, struct spec_build *build,
                      enum spec_key key)
{
    char node[32], value[STORE_VALUE_MAX], secret[SPEC_WHY_MAX], *why = build->why;
    int rc;

    node_of(key, node);
    rc = store_read_text(store, dir, node, value, sizeof(value));
    if (rc == -ENOENT && key != SPEC_CONNECTION)
        return 0;
    build->why = secret; /* why would contain the value */
    if (rc == 0 && (value[0] != '\0' || key == SPEC_CONNECTION))
        rc = take_node(build, key, value);
    build->why = why;
    if (rc < 0)
        snprintf(why, SPEC_WHY_MAX, "node %s: %s", node, read_error(rc));
    return rc;
}

static int read_place(struct store *store, const char *dir, struct spec_build *build,
                      enum spec_place place)
{
    int rc = 0;

    for (enum spec_key key = 0; key < SPEC_KEYS && rc == 0; key++)
        if (spec_fields[key].place == place)
            rc = read_field(store, dir, build, key);
    return rc;
}

int spec_read_connection(struct store *store, const char *dir, struct spec *spec,
                         char why[SPEC_WHY_MAX])
{
    struct spec_build build = spec_begin(spec, SPEC_STORED, why);
    int rc = read_place(store, dir, &build, SPEC_AT_BACKEND);

    if (rc < 0 || spec_is_app(spec))
        return rc; /* an application's other nodes are not checked */
    return read_place(store, dir, &build, SPEC_AT_PRIVATE);
}

int spec_read(struct store *store, const char *dir, struct spec *spec, char why[SPEC_WHY_MAX])
{
    struct spec_build build = spec_begin(spec, SPEC_STORED, why);
    int rc = read_place(store, dir, &build, SPEC_AT_SHARED);

    if (rc == 0)
        rc = read_place(store, dir, &build, SPEC_AT_BACKEND);
    if (rc == 0 || rc == -ENOENT)
        rc = read_place(store, dir, &build, SPEC_AT_PRIVATE);
    if (rc == -EOVERFLOW)
        return -EINVAL; /* too long for any channel */
    return rc == 0 ? spec_end(&build) : rc;
}
