/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolstack/identity.h"
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

/* For people, and to know whose config file it was: the name it had first, if it can be written. */
static int set_name(struct tool *tool, domid_t domid, struct config *config)
{
    char name[TOOL_NAME_MAX], clean[TOOL_NAME_MAX];

    if (config->name)
        return 0;
    tool_domain_key(tool, domid, name);
    tool_domain_name(tool, domid, clean);
    if (strcmp(name, clean) != 0)
        return 0;
    config->name = strdup(name);
    return config->name ? 0 : -ENOMEM;
}

/* One record, one live domain. */
static int check_holder(struct tool *tool, domid_t domid, const struct hold *hold)
{
    domid_t holder;

    if (identity_by_uuid(tool, hold->uuid, (uint32_t)hold->config.domid, &holder) < 0 ||
        holder == domid)
        return 0;
    tool_complain(tool,
                  "domain %u has the same uuid and came first: its channels are not given to "
                  "domain %u (give one of them another uuid)",
                  holder, domid);
    return -EEXIST;
}

static int read_config(struct tool *tool, domid_t domid, struct hold *hold)
{
    int rc = record_read(tool, hold->uuid, &hold->config);

    if (rc == -ENOENT || rc == -EBADMSG)
        return read_plugged(tool, domid, &hold->config);
    return rc;
}

static int find_uuid(struct tool *tool, domid_t domid, struct hold *hold)
{
    if (identity_uuid(tool, domid, hold->uuid) == 0)
        return 0;
    tool_complain(tool, "the domain went away");
    return -ESRCH;
}

int hold_read(struct tool *tool, domid_t domid, struct hold *hold)
{
    int rc = find_uuid(tool, domid, hold);

    if (rc < 0)
        return rc;
    rc = read_config(tool, domid, hold);
    if (rc == 0)
        rc = check_holder(tool, domid, hold);
    if (rc == 0)
        rc = set_name(tool, domid, &hold->config);
    hold->config.domid = domid;
    return rc;
}

int hold_enter(struct tool *tool, domid_t domid, struct hold *hold)
{
    int rc = find_uuid(tool, domid, hold);

    if (rc == 0)
        rc = record_wait_lock(tool, hold->locks, hold->uuid);
    return rc == 0 ? hold_read(tool, domid, hold) : rc;
}

int hold_open(struct tool *tool, domid_t domid, struct hold *hold)
{
    char name[TOOL_NAME_MAX];

    *hold = HOLD_NONE;
    tool_domain_key(tool, domid, name);
    hold->locks = record_lock(tool, name);
    return hold->locks < 0 ? hold->locks : hold_enter(tool, domid, hold);
}

/* A record that holds a devid twice cannot be read back. */
static int check_devid(struct tool *tool, const struct config *config,
                       const struct spec *channel)
{
    for (size_t i = 0; i < config->count && channel->devid != SPEC_DEVID_ANY; i++) {
        const struct spec *other = &config->channels[i];

        if (other->devid != channel->devid || strcmp(other->name, channel->name) == 0)
            continue;
        tool_complain(tool, "channel \"%s\": devid %u is taken by channel \"%s\"", channel->name,
                      channel->devid, other->name);
        return -EEXIST;
    }
    return 0;
}

int hold_put(struct tool *tool, struct hold *hold, const struct spec *channel)
{
    struct spec lasting = *channel;
    domid_t backend;
    int rc = check_devid(tool, &hold->config, channel);

    if (rc < 0)
        return rc;
    if (identity_of_backend(tool, channel, &backend) == 0) {
        if (backend == tool->own)
            lasting.backend[0] = lasting.backend_uuid[0] = '\0';
        else
            identity_uuid(tool, backend, lasting.backend_uuid);
        if (lasting.backend_uuid[0] != '\0' && identity_is_id(lasting.backend))
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
