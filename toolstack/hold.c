/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolstack/plugged.h"

static int read_plugged(struct tool *tool, domid_t domid, struct config *config)
{
    struct plugged plugged;
    int rc = plugged_read(tool, domid, &plugged);

    if (rc < 0) {
        tool_complain(tool, "%s", tool_why(rc));
        return rc;
    }
    *config = plugged.config;
    plugged.config = (struct config){.count = 0};
    plugged_free(&plugged);
    return 0;
}

/* It may have been renamed since. */
static int set_name(struct tool *tool, domid_t domid, struct config *config)
{
    char name[TOOL_NAME_MAX];

    tool_domain_name(tool, domid, name);
    free(config->name);
    config->name = strdup(name);
    return config->name ? 0 : -ENOMEM;
}

int hold_read(struct tool *tool, domid_t domid, struct hold *hold)
{
    int rc;

    if (record_uuid(tool, domid, hold->uuid) < 0) {
        tool_complain(tool, "the domain went away");
        return -ESRCH;
    }
    rc = record_read(tool, hold->uuid, &hold->config);
    if (rc == -ENOENT)
        return read_plugged(tool, domid, &hold->config);
    return rc == 0 ? set_name(tool, domid, &hold->config) : rc;
}

int hold_open(struct tool *tool, domid_t domid, struct hold *hold)
{
    char name[TOOL_NAME_MAX];

    *hold = HOLD_NONE;
    tool_domain_key(tool, domid, name);
    hold->locks = record_lock(tool, name);
    return hold->locks < 0 ? hold->locks : hold_read(tool, domid, hold);
}

int hold_put(struct tool *tool, struct hold *hold, const struct declaration *channel)
{
    struct declaration lasting = *channel;
    domid_t backend;
    int rc;

    if (channel->backend[0] != '\0' && tool_find_domain(tool, channel->backend, &backend) == 0) {
        tool_domain_name(tool, backend, lasting.backend);
        if (backend == tool->own)
            lasting.backend[0] = '\0';
    }
    rc = config_put(&hold->config, &lasting);
    if (rc < 0)
        tool_complain(tool, "%s", tool_why(rc));
    return rc;
}

int hold_stage(struct tool *tool, struct hold *hold)
{
    int rc = record_stage(tool, hold->uuid, &hold->config);

    hold->staged = rc == 0;
    return rc;
}

int hold_commit(struct tool *tool, struct hold *hold)
{
    int rc = record_commit(tool, hold->uuid);

    hold->staged = rc < 0;
    return rc;
}

void hold_close(struct hold *hold)
{
    if (hold->staged)
        record_abandon(hold->uuid);
    if (hold->locks >= 0)
        close(hold->locks);
    config_free(&hold->config);
    *hold = HOLD_NONE;
}
