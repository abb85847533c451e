/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/log.h"

/* The longest line about a connection, with its NUL. */
#define LINE_MAX_BYTES 4096

bool connection_peer_left(const struct connection *connection)
{
    const struct rings *rings = &connection->worker.rings;

    return rings->ops->peer_left(rings);
}

const char *connection_name(const struct connection *connection)
{
    const char *blank = strchr(connection->label, ' ');

    return blank ? blank + 1 : "";
}

int connection_take(struct connection *connection, enum fdstore_item item)
{
    int fd = -ENOENT;

    if (endpoint_resumed(connection->endpoint))
        fd = fdstore_take(connection->fdstore, connection->id, item);
    if (fd < 0)
        fdstore_drop_untaken(connection->fdstore, connection->id);
    return fd;
}

void connection_close_fd(struct connection *connection, enum fdstore_item item, int *fd)
{
    if (*fd < 0)
        return;
    fdstore_drop(connection->fdstore, connection->id, item);
    close(*fd);
    *fd = -1;
}

void connection_log_lost(const struct connection *connection)
{
    if (endpoint_resumed(connection->endpoint))
        connection_log(connection, LOG_CHANGES,
                       "connection lost with the previous process; opening a new one");
}

bool connection_is_served(const struct connection *connection)
{
    return connection->kind->open != NULL;
}

__attribute__((format(printf, 5, 0))) static void
log_with_label(const char *label, struct quota *quota, const char *state, enum log_level level,
               const char *format, va_list args)
{
    const char *name = strchr(label, ' ');
    char text[LINE_MAX_BYTES], device[32];
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
    const struct spec *spec = &connection->spec;
    enum spec_key main = spec_main_key(spec);
    char detail[SPEC_VALUE_MAX] = "", others[256];

    if (main != SPEC_KEYS && !spec_value(spec, main, detail) && main == SPEC_PATH)
        snprintf(detail, sizeof(detail), "%s", connection->path);
    place_explain(&connection->place, others, sizeof(others));
    snprintf(text, size, "%s%s%s%s%s%s%s%s%s%s%s%s%s", spec->connection,
             spec->owner[0] ? " owner=" : "", spec->owner, spec->group[0] ? " group=" : "",
             spec->group, spec->user[0] ? " user=" : "", spec->user,
             spec->server_user[0] ? " server-user=" : "", spec->server_user, detail[0] ? " " : "",
             detail, others[0] ? ": " : "", others);
}
