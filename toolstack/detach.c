/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan detach: removes a channel from a domain, or what a dead domain left behind. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "toolstack/command.h"
#include "toolstack/edit.h"
#include "toolstack/plug.h"

struct detach {
    const char *domain, *name;
    int ms; /* --wait */
    bool force;
};

static int close_channel(struct tool *tool, const struct detach *detach, const struct device_id *id)
{
    return detach->force ? 0 : plug_close(tool, id, detach->name, detach->ms);
}

/* Removes it from the record, so that it does not come back. */
static int stage_without(struct tool *tool, struct edit *edit, const struct device_id *id)
{
    char name[DEVICE_NAME_MAX + 1];

    int rc = device_name_of(tool->store, id, name);

    if (rc == 0)
        config_drop(&edit->config, name);
    if (rc == 0 || rc == -ENOENT)
        return edit_stage(tool, edit);
    tool_complain(tool, "%s", tool_why(rc));
    return rc;
}

static int unplug_recorded(struct tool *tool, const struct detach *detach,
                           const struct device_id *id)
{
    struct edit edit;
    int rc = edit_open_if_alive(tool, id->frontend, &edit);

    if (rc == 0)
        rc = stage_without(tool, &edit, id);
    if (rc == 0)
        rc = close_channel(tool, detach, id);
    /* Commit before removing: either step can be repeated if it fails. */
    if (rc == 0)
        rc = edit_commit(tool, &edit);
    if (rc == 0)
        rc = plug_remove(tool, id, detach->name);
    edit_close(&edit);
    return rc;
}

static int detach_channel(struct tool *tool, const struct detach *detach)
{
    struct device_id id;
    int rc = command_find_channel(tool, detach->domain, detach->name, &id);

    if (rc < 0)
        return rc;
    rc = unplug_recorded(tool, detach, &id);
    /* The domain is gone, or the record belongs to another one: leave the record. */
    if (rc != -ESRCH && rc != -EEXIST)
        return rc;
    rc = close_channel(tool, detach, &id);
    return rc == 0 ? plug_remove(tool, &id, detach->name) : rc;
}

static int detach_parsed(const struct detach *detach)
{
    struct tool tool;
    int rc = tool_open(&tool, "detach", detach->domain);

    if (rc == 0)
        rc = detach_channel(&tool, detach);
    tool_close(&tool);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_detach(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'}, {"wait", required_argument, NULL, 'w'}, {0}};
    struct detach detach = {.ms = TOOL_WAIT_DEFAULT};
    int opt;

    while ((opt = getopt_long(argc, argv, ":fw:", options, NULL)) != -1) {
        if (opt == 'f')
            detach.force = true;
        else if (opt != 'w')
            return command_bad_option(command, opt, argv);
        else if (!command_seconds(command, "--wait", &detach.ms))
            return EXIT_USAGE;
    }
    if (argc - optind != 2)
        return command_usage(command, "expected a DOMAIN and the NAME of its channel");
    detach.domain = argv[optind];
    detach.name = argv[optind + 1];
    return detach_parsed(&detach);
}

const struct command command_detach = {
    "detach", "[--force] [--wait SECS] DOMAIN NAME", "Unplug a channel from a domain",
    "NAME is the channel's name, or its Idx in xl-vchan list. DOMAIN may be the id of a domain "
    "that\n"
    "is gone, to remove what it left.\n"
    "  -f, --force      remove it even if the backend does not close it\n"
    "  -w, --wait SECS  how long the backend may take to close it (default 10)\n",
    run_detach};
