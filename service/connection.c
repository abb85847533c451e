/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/log.h"

static const struct connection_kind *const kinds[] = {
    &connection_app, &connection_echo, &connection_socket, &connection_connect,
    &connection_tcp, &connection_pty,  &connection_exec,
};

/* B/private: where a spec has a node's text. */
static const struct text {
    const char *key;
    size_t offset, size;
} texts[] = {
#define TEXT(field)                                                                                \
    {                                                                                              \
        #field, offsetof(struct connection_spec, field),                                           \
            sizeof(((struct connection_spec *)0)->field)                                           \
    }
    TEXT(path), TEXT(address), TEXT(command), TEXT(owner), TEXT(group), TEXT(mode), TEXT(user),
#undef TEXT
};

#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

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
static int read_private(struct store *store, const char *dir, struct connection_spec *spec,
                        const struct text *text, char why[CONNECTION_WHY_MAX])
{
    char *to = (char *)spec + text->offset;
    char key[32];
    int rc;

    snprintf(key, sizeof(key), "private/%s", text->key);
    rc = store_read_text(store, dir, key, to, text->size);
    if (rc == -ENOENT) {
        to[0] = '\0';
        return 0;
    }
    if (rc < 0)
        snprintf(why, CONNECTION_WHY_MAX, "node %s: %s", key, read_error(rc));
    return rc;
}

static int read_reconnect(struct store *store, const char *dir, bool *reconnect,
                          char why[CONNECTION_WHY_MAX])
{
    uint32_t value = 0;
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

    for (size_t i = 0; needs && i < TEXT_COUNT; i++)
        if (strcmp(needs, texts[i].key) == 0)
            return (const char *)&connection->spec + texts[i].offset;
    return "";
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
    for (size_t i = 0; i < TEXT_COUNT && rc == 0; i++)
        rc = read_private(store, dir, spec, &texts[i], why);
    return rc < 0 ? rc : read_reconnect(store, dir, &spec->reconnect, why);
}

int connection_choose(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    const struct connection_spec *spec = &connection->spec;
    int rc;

    connection->kind = kind_find(spec->kind);
    if (!connection->kind) {
        snprintf(why, CONNECTION_WHY_MAX, "connection kind \"%s\" is not supported by this version",
                 spec->kind);
        return -ENOTSUP;
    }
    rc = check_needs(connection, why);
    if (rc < 0)
        connection->kind = NULL;
    return rc;
}

struct channel *connection_channel(const struct connection *connection)
{
    return endpoint_is_connected(connection->endpoint) ? connection->rings.channel : NULL;
}

int connection_take(struct connection *connection, const char *what)
{
    int fd = -ENOENT;

    if (endpoint_resumed(connection->endpoint))
        fd = keep_take(connection->keep, connection->id, what);
    if (fd < 0)
        keep_forget(connection->keep, connection->id);
    return fd;
}

void connection_let_go(struct connection *connection, const char *what, int *fd)
{
    if (*fd < 0)
        return;
    keep_drop(connection->keep, connection->id, what);
    close(*fd);
    *fd = -1;
}

void connection_mourn(const struct connection *connection)
{
    if (endpoint_resumed(connection->endpoint))
        connection_log(connection, LOG_CHANGES,
                       "its connection went with the earlier process: a new one is opened");
}

bool connection_is_served(const struct connection *connection)
{
    return connection->kind->open != NULL;
}

static void log_with_label(const char *label, struct quota *quota, const char *state,
                           enum log_level level, const char *format, va_list args)
{
    const char *name = strchr(label, ' ');
    char text[CONNECTION_COMMAND_MAX], device[32];
    const struct log_subject subject = {
        .device = device, .name = name ? name + 1 : NULL, .state = state};
    unsigned int unlogged;

    if (!log_shows(level) || !quota_take_line(quota, &unlogged))
        return;
    snprintf(device, sizeof(device), "%.*s", (int)strcspn(label, " "), label);
    if (unlogged)
        log_about(&subject, LOG_ERRORS, "%s: %u lines about this guest were not logged", label,
                  unlogged);
    vsnprintf(text, sizeof(text), format, args);
    log_about(&subject, level, "%s: %s", label, text);
}

void log_guest(const char *label, struct quota *quota, enum log_level level, const char *format,
               ...)
{
    va_list args;

    va_start(args, format);
    log_with_label(label, quota, NULL, level, format, args);
    va_end(args);
}

void connection_log(const struct connection *connection, enum log_level level, const char *format,
                    ...)
{
    const struct endpoint *endpoint = connection->endpoint;
    va_list args;

    va_start(args, format);
    log_with_label(connection->label, connection->quota,
                   endpoint ? xenbus_state_name(endpoint_own_state(endpoint)) : NULL, level, format,
                   args);
    va_end(args);
}

void connection_describe(const struct connection *connection, char *text, size_t size)
{
    const struct connection_spec *spec = &connection->spec;
    const char *detail = connection->kind ? spec_needed(connection) : "";
    char others[256];

    place_explain(&connection->place, others, sizeof(others));
    snprintf(text, size, "%s%s%s%s%s%s%s%s%s%s%s", spec->kind, spec->owner[0] ? " owner=" : "",
             spec->owner, spec->group[0] ? " group=" : "", spec->group,
             spec->user[0] ? " user=" : "", spec->user, detail[0] ? " " : "", detail,
             others[0] ? ": " : "", others);
}
