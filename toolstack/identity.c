/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxl_utils.h>
#include <libxl_uuid.h>

static void format_uuid(const libxl_dominfo *info, char uuid[SPEC_UUID_MAX + 1])
{
    snprintf(uuid, SPEC_UUID_MAX + 1, LIBXL_UUID_FMT, LIBXL_UUID_BYTES(info->uuid));
}

int identity_uuid(struct tool *tool, domid_t domid, char uuid[SPEC_UUID_MAX + 1])
{
    libxl_dominfo info;
    int rc;

    libxl_dominfo_init(&info);
    rc = libxl_domain_info(tool->ctx, &info, domid);
    if (rc == 0)
        format_uuid(&info, uuid);
    libxl_dominfo_dispose(&info);
    return rc == 0 ? 0 : -ENOENT;
}

int identity_by_name(struct tool *tool, const char *name, domid_t *domid)
{
    uint32_t id;

    if (libxl_name_to_domid(tool->ctx, name, &id))
        return -ENOENT;
    *domid = (domid_t)id;
    return 0;
}

bool identity_is_id(const char *text)
{
    return text[strspn(text, "0123456789")] == '\0';
}

static bool lives_with(const libxl_dominfo *info, const char *uuid)
{
    char own[SPEC_UUID_MAX + 1];

    format_uuid(info, own);
    return !info->dying && !info->shutdown && strcmp(own, uuid) == 0;
}

int identity_by_uuid(struct tool *tool, const char *uuid, uint32_t hint, domid_t *domid)
{
    uint32_t found = IDENTITY_NO_HINT;
    bool has_hint = false;
    int count;
    libxl_dominfo *list = libxl_list_domain(tool->ctx, &count);

    if (!list)
        return -EIO;
    for (int i = 0; i < count; i++) {
        if (!lives_with(&list[i], uuid))
            continue;
        if (list[i].domid == hint || (list[i].domid < found && !has_hint))
            found = list[i].domid;
        has_hint |= list[i].domid == hint;
    }
    libxl_dominfo_list_free(list, count);
    *domid = (domid_t)found;
    return found == IDENTITY_NO_HINT ? -ENOENT : 0;
}

int identity_of_backend(struct tool *tool, const struct spec *channel, domid_t *domid)
{
    const char *uuid = channel->backend_uuid;

    if (uuid[0] != '\0' && identity_by_uuid(tool, uuid, IDENTITY_NO_HINT, domid) == 0)
        return 0;
    if (channel->backend[0] != '\0')
        return tool_find_domain(tool, channel->backend, domid);
    *domid = tool->own;
    return uuid[0] == '\0' ? 0 : -ENOENT;
}

_Static_assert(SPEC_BACKEND_MAX + 1 == TOOL_NAME_MAX, "a backend is a domain's name");

int identity_set_backend(struct tool *tool, domid_t domid, struct spec *channel)
{
    char clean[TOOL_NAME_MAX];
    char *text;

    channel->backend[0] = channel->backend_uuid[0] = '\0';
    if (domid == tool->own)
        return 0;
    if (identity_uuid(tool, domid, channel->backend_uuid) < 0)
        return -ENOENT;
    tool_domain_key(tool, domid, channel->backend);
    tool_domain_name(tool, domid, clean);
    if (identity_is_id(channel->backend) || strcmp(channel->backend, clean) != 0 ||
        spec_format(channel, &text) < 0)
        channel->backend[0] = '\0';
    else
        free(text);
    return 0;
}
