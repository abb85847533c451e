/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/plugged.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/devices.h"
#include "toolstack/identity.h"

/* Where T has a key's value. command is last, since it takes all the rest. */
static const struct {
    const char *node, *key;
} sources[] = {
    {"name", "name"},
    {"read-ring", "read-ring"},
    {"write-ring", "write-ring"},
    {"connection", "connection"},
    {"private/path", "path"},
    {"private/owner", "owner"},
    {"private/group", "group"},
    {"private/mode", "mode"},
    {"private/address", "address"},
    {"private/user", "user"},
    {"private/reconnect", "reconnect"},
    {"private/command", "command"},
};

static void describe(struct store *store, const char *dir, FILE *to)
{
    char value[STORE_VALUE_MAX];
    const char *comma = "";

    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (store_read_text(store, dir, sources[i].node, value, sizeof(value)) < 0)
            continue;
        fprintf(to, "%s%s=%s", comma, sources[i].key, value);
        comma = ",";
    }
}

static int read_channel(struct tool *tool, const struct device_id *id, struct declaration *channel)
{
    char dir[DEVICE_PATH_MAX], why[DECLARATION_WHY_MAX];
    char *text;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    int rc;

    if (!to)
        return -ENOMEM;
    device_libxl_path(id, dir);
    describe(tool->store, dir, to);
    if (fclose(to) != 0)
        return -ENOMEM;
    rc = declaration_parse_plugged(text, channel, why);
    free(text);
    channel->devid = id->devid;
    return rc == 0 ? identity_set_backend(tool, id->backend, channel) : rc;
}

/* What is not in T, or has lost its other end, is no channel. */
static bool is_whole(struct tool *tool, const struct device_id *id)
{
    char dir[DEVICE_PATH_MAX];

    device_libxl_path(id, dir);
    return id->backend != DEVICE_BACKEND_UNKNOWN && store_exists(tool->store, NULL, dir) &&
           device_backend_of(tool->store, id->frontend, id->devid) == id->backend &&
           tool_has_domain(tool, id->backend);
}

static int read_devices(struct tool *tool, domid_t frontend, const struct devices *devices,
                        struct plugged *plugged)
{
    struct config *config = &plugged->config;

    config->channels = calloc(devices->count + 1, sizeof(*config->channels));
    plugged->ids = calloc(devices->count + 1, sizeof(*plugged->ids));
    if (!config->channels || !plugged->ids)
        return -ENOMEM;
    for (size_t i = 0; i < devices->count; i++) {
        const struct device_id *id = &devices->ids[i];

        if (id->frontend == frontend && is_whole(tool, id) &&
            read_channel(tool, id, &config->channels[config->count]) == 0)
            plugged->ids[config->count++] = *id;
    }
    return 0;
}

int plugged_read(struct tool *tool, domid_t frontend, struct plugged *plugged)
{
    struct devices devices;
    int rc = devices_scan(tool->store, &devices);

    *plugged = (struct plugged){.ids = NULL};
    if (rc < 0)
        return rc;
    rc = read_devices(tool, frontend, &devices, plugged);
    devices_free(&devices);
    if (rc < 0)
        plugged_free(plugged);
    return rc;
}

void plugged_free(struct plugged *plugged)
{
    free(plugged->ids);
    config_free(&plugged->config);
    plugged->ids = NULL;
}
