/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/connection.h"
#include "state/text.h"

static void read_domain_name(struct store *store, const char *dir, struct environment *environment)
{
    char name[STORE_VALUE_MAX];

    if (store_read_text(store, dir, "name", name, sizeof(name)) < 0)
        return;
    snprintf(environment->domain, sizeof(environment->domain), "%.*s",
             (int)sizeof(environment->domain) - 1, name);
    text_clean(environment->domain);
}

/* The node is a path, "/vm/UUID". */
static void read_domain_uuid(struct store *store, const char *dir, struct environment *environment)
{
    static const char before[] = "/vm/";
    char path[sizeof(before) + SPEC_UUID_MAX];
    const char *uuid = path + strlen(before);

    if (store_read_text(store, dir, "vm", path, sizeof(path)) == 0 &&
        strncmp(path, before, strlen(before)) == 0 &&
        strspn(uuid, "0123456789abcdefABCDEF-") == SPEC_UUID_MAX)
        snprintf(environment->uuid, sizeof(environment->uuid), "%s", uuid);
}

void environment_read(const struct connection *connection, struct environment *environment)
{
    char dir[DEVICE_PATH_MAX];

    *environment = (struct environment){.name = ""};
    snprintf(environment->name, sizeof(environment->name), "%s", connection_name(connection));
    if (!connection->store || connection->peer == DOMID_INVALID)
        return;
    snprintf(environment->domid, sizeof(environment->domid), "%u", connection->peer);
    snprintf(dir, sizeof(dir), "/local/domain/%u", connection->peer);
    read_domain_name(connection->store, dir, environment);
    read_domain_uuid(connection->store, dir, environment);
}

static void set_variable(const char *variable, const char *value)
{
    if (value[0])
        setenv(variable, value, 1);
}

void environment_set(const struct environment *environment)
{
    set_variable("VCHAN_NAME", environment->name);
    set_variable("VCHAN_DOMID", environment->domid);
    set_variable("VCHAN_DOMAIN", environment->domain);
    set_variable("VCHAN_UUID", environment->uuid);
}
