/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/present.h"

#include <errno.h>
#include <stdlib.h>

#include "toolstack/devices.h"
#include "toolstack/identity.h"

/*
 * Returns 1, 0 or a negative errno. A device without T, or without its other end, is not a channel.
 */
static int is_whole(struct tool *tool, const struct device_id *id)
{
    char dir[DEVICE_PATH_MAX];
    domid_t backend;
    int rc;

    device_libxl_path(id, dir);
    if (id->backend == DEVICE_BACKEND_UNKNOWN)
        return 0;
    rc = store_has(tool->store, NULL, dir);
    if (rc <= 0)
        return rc;
    rc = device_read_backend(tool->store, id->frontend, id->devid, &backend);
    return rc < 0 ? rc : backend == id->backend && tool_has_domain(tool, id->backend);
}

int present_read_one(struct tool *tool, const struct device_id *id, struct spec *channel)
{
    char dir[DEVICE_PATH_MAX], why[SPEC_WHY_MAX];
    int rc = is_whole(tool, id);

    if (rc <= 0)
        return rc;
    device_libxl_path(id, dir);
    rc = spec_read(tool->store, dir, channel, why);
    channel->devid = id->devid;
    if (rc == 0)
        rc = identity_set_backend(tool, id->backend, channel);
    if (rc == -EINVAL || rc == -ENOENT) /* it is not a channel; or its backend has just gone */
        return 0;
    return rc < 0 ? rc : 1;
}

static int read_devices(struct tool *tool, domid_t frontend, const struct devices *devices,
                        struct present *present)
{
    struct config *config = &present->config;

    config->channels = calloc(devices->count + 1, sizeof(*config->channels));
    present->ids = calloc(devices->count + 1, sizeof(*present->ids));
    if (!config->channels || !present->ids)
        return -ENOMEM;
    for (size_t i = 0; i < devices->count; i++) {
        const struct device_id *id = &devices->ids[i];
        int rc = 0;

        if (id->frontend == frontend)
            rc = present_read_one(tool, id, &config->channels[config->count]);
        if (rc < 0)
            return rc;
        if (rc > 0)
            present->ids[config->count++] = *id;
    }
    return 0;
}

int present_read(struct tool *tool, domid_t frontend, struct present *present)
{
    struct devices devices;
    int rc = devices_scan(tool->store, &devices);

    *present = (struct present){.ids = NULL};
    if (rc < 0)
        return rc;
    rc = read_devices(tool, frontend, &devices, present);
    devices_free(&devices);
    if (rc < 0)
        present_free(present);
    return rc;
}

void present_free(struct present *present)
{
    free(present->ids);
    config_free(&present->config);
    present->ids = NULL;
}
