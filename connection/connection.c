/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection/connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct connection_kind *const kinds[] = {
    &connection_app, &connection_echo, &connection_socket, &connection_connect, &connection_exec,
};

const struct connection_kind connection_app = {.name = "app"};

static const struct connection_kind *kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

static const char *read_error(int rc)
{
    switch (rc) {
    case -EOVERFLOW:
        return "too long";
    case -EINVAL:
    case -ERANGE:
        return "makes no sense";
    default:
        return strerror(-rc);
    }
}

/* One text of B/private; none is not an error here. */
static int read_private(struct store *store, const char *dir, const char *key, char *text,
                        size_t size, char why[CONNECTION_WHY_MAX])
{
    int rc = store_read_text(store, dir, key, text, size);

    if (rc == -ENOENT) {
        text[0] = '\0';
        return 0;
    }
    if (rc < 0)
        snprintf(why, CONNECTION_WHY_MAX, "node %s: %s", key, read_error(rc));
    return rc;
}

static int read_reconnect(struct store *store, const char *dir, bool *reconnect,
                          char why[CONNECTION_WHY_MAX])
{
    uint32_t value = 1;
    int rc = store_read_number(store, dir, "private/reconnect", 1, &value);

    *reconnect = value;
    if (rc == 0 || rc == -ENOENT)
        return 0;
    snprintf(why, CONNECTION_WHY_MAX, "node private/reconnect: %s (0 or 1)", read_error(rc));
    return rc;
}

/* The field without which the kind cannot be; "" if there is none, or nothing in it. */
static const char *spec_needed(const struct connection *connection)
{
    const char *needs = connection->kind->needs;

    if (!needs)
        return "";
    return strcmp(needs, "command") == 0 ? connection->spec.command : connection->spec.path;
}

static int check_needs(const struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    const struct connection_spec *spec = &connection->spec;
    const char *needs = connection->kind->needs;

    if (!needs || spec_needed(connection)[0])
        return 0;
    snprintf(why, CONNECTION_WHY_MAX, "connection=%s needs %s= (node private/%s)", spec->kind,
             needs, needs);
    return -EINVAL;
}

int connection_read(struct store *store, const char *dir, struct connection_spec *spec,
                    char why[CONNECTION_WHY_MAX])
{
    int rc;

    memset(spec, 0, sizeof(*spec));
    rc = store_read_text(store, dir, "connection", spec->kind, sizeof(spec->kind));
    if (rc < 0)
        snprintf(why, CONNECTION_WHY_MAX, "node connection: %s", read_error(rc));
    if (rc < 0 || strcmp(spec->kind, connection_app.name) == 0)
        return rc; /* an application's other nodes are not ours to judge */
    rc = read_private(store, dir, "private/path", spec->path, sizeof(spec->path), why);
    if (rc == 0)
        rc = read_private(store, dir, "private/command", spec->command, sizeof(spec->command), why);
    return rc < 0 ? rc : read_reconnect(store, dir, &spec->reconnect, why);
}

int connection_choose(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    const struct connection_spec *spec = &connection->spec;
    int rc;

    connection->kind = kind_find(spec->kind);
    if (!connection->kind) {
        snprintf(why, CONNECTION_WHY_MAX,
                 "connection kind \"%s\" is not supported by this version", spec->kind);
        return -ENOTSUP;
    }
    rc = check_needs(connection, why);
    if (rc < 0)
        connection->kind = NULL;
    return rc;
}

bool connection_is_served(const struct connection *connection)
{
    return connection->kind->open != NULL;
}

void connection_describe(const struct connection *connection, char *text, size_t size)
{
    const char *detail = connection->kind ? spec_needed(connection) : "";

    snprintf(text, size, "%s%s%s", connection->spec.kind, detail[0] ? " " : "", detail);
}
