/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of all kinds of connection, from the rows of SPEC_KINDS. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "service/connection.h"

static const struct connection_kind *const kinds[] = {
#define ROW(kind, ...) &connection_##kind,
    SPEC_KINDS(ROW)
#undef ROW
};

const struct connection_kind connection_app = {.name = "app"};

static const struct connection_kind *kind_of_connection(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

static int check_needs(const struct spec *spec, char why[CONNECTION_WHY_MAX])
{
    enum spec_key needs = spec_main_key(spec);
    char value[SPEC_VALUE_MAX];

    if (needs == SPEC_KEYS || spec_value(spec, needs, value) || spec_has_default(spec, needs))
        return 0;
    snprintf(why, CONNECTION_WHY_MAX, "connection=%s needs %s= (node private/%s)", spec->connection,
             spec_fields[needs].key, spec_fields[needs].key);
    return -EINVAL;
}

int connection_choose(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    const struct spec *spec = &connection->spec;
    int rc;

    connection->kind = kind_of_connection(spec->connection);
    if (!connection->kind) {
        snprintf(why, CONNECTION_WHY_MAX, "connection kind \"%s\" is not supported by this version",
                 spec->connection);
        return -ENOTSUP;
    }
    rc = check_needs(spec, why);
    if (rc < 0)
        connection->kind = NULL;
    return rc;
}
