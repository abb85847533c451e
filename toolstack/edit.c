/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/edit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolstack/identity.h"
#include "toolstack/present.h"

static int read_present(struct tool *tool, domid_t domid, struct config *config)
{
    struct present present;
    int rc = present_read(tool, domid, &present);

    if (rc < 0) {
        tool_complain(tool, "%s", tool_why(rc));
        return rc;
    }
    *config = present.config;
    present.config = (struct config){.count = 0};
    present_free(&present);
    return 0;
}

/*
 * Sets the name for people, and for finding the config file: the domain's first name, if it can be
 * written.
 */
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

/* Only one live domain may use a record. */
static int check_only_owner(struct tool *tool, domid_t domid, const struct edit *edit)
{
    domid_t owner;

    if (identity_by_uuid(tool, edit->uuid, (uint32_t)edit->config.domid, &owner) < 0 ||
        owner == domid)
        return 0;
    tool_complain(tool,
                  "domain %u has the same uuid and came first: its channels are not given to "
                  "domain %u (give one of them another uuid)",
                  owner, domid);
    return -EEXIST;
}

static int read_config(struct tool *tool, domid_t domid, struct edit *edit)
{
    int rc = record_read(tool, edit->uuid, &edit->config);

    if (rc == -ENOENT || rc == -EBADMSG)
        return read_present(tool, domid, &edit->config);
    return rc;
}

static int find_uuid(struct tool *tool, domid_t domid, struct edit *edit)
{
    return identity_uuid(tool, domid, edit->uuid) == 0 ? 0 : -ESRCH;
}

int edit_read(struct tool *tool, domid_t domid, struct edit *edit)
{
    int rc = find_uuid(tool, domid, edit);

    if (rc < 0)
        return rc;
    rc = read_config(tool, domid, edit);
    if (rc == 0)
        rc = check_only_owner(tool, domid, edit);
    if (rc == 0)
        rc = set_name(tool, domid, &edit->config);
    edit->config.domid = domid;
    return rc;
}

static int enter_if_alive(struct tool *tool, domid_t domid, struct edit *edit)
{
    int rc = find_uuid(tool, domid, edit);

    if (rc == 0)
        rc = record_wait_lock(tool, edit->locks, edit->uuid);
    return rc == 0 ? edit_read(tool, domid, edit) : rc;
}

int edit_open_if_alive(struct tool *tool, domid_t domid, struct edit *edit)
{
    char name[TOOL_NAME_MAX];

    *edit = EDIT_NONE;
    tool_domain_key(tool, domid, name);
    edit->locks = record_lock(tool, name);
    return edit->locks < 0 ? edit->locks : enter_if_alive(tool, domid, edit);
}

static int complain_gone(struct tool *tool, int rc)
{
    if (rc == -ESRCH)
        tool_complain(tool, "the domain went away");
    return rc;
}

int edit_enter(struct tool *tool, domid_t domid, struct edit *edit)
{
    return complain_gone(tool, enter_if_alive(tool, domid, edit));
}

int edit_open(struct tool *tool, domid_t domid, struct edit *edit)
{
    return complain_gone(tool, edit_open_if_alive(tool, domid, edit));
}

/* A record with the same devid twice could not be read back. */
static int check_devid_once(struct tool *tool, const struct config *config,
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

int edit_put(struct tool *tool, struct edit *edit, const struct spec *channel)
{
    struct spec lasting = *channel;
    domid_t backend;
    int rc = check_devid_once(tool, &edit->config, channel);

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
    rc = config_put(&edit->config, &lasting);
    if (rc < 0)
        tool_complain(tool, "%s", tool_why(rc));
    return rc;
}

int edit_stage(struct tool *tool, struct edit *edit)
{
    int rc = record_stage(tool, edit->uuid, &edit->config);

    edit->staged = rc == 0;
    return rc;
}

int edit_commit(struct tool *tool, struct edit *edit)
{
    int rc = record_commit(tool, edit->uuid);

    edit->staged = rc < 0;
    return rc;
}

void edit_close(struct edit *edit)
{
    if (edit->staged)
        record_abandon(edit->uuid);
    if (edit->locks >= 0)
        close(edit->locks);
    config_free(&edit->config);
    *edit = EDIT_NONE;
}
