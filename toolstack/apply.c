/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xl-vchan apply: gives a domain the channels that a config file declares; if that fails, restores
 * those that it had.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "toolstack/command.h"
#include "toolstack/difference.h"
#include "toolstack/edit.h"
#include "toolstack/plug.h"

struct apply {
    struct tool tool;
    const char *file, *domain;
    int ms; /* --wait */
    bool json, dry, quiet, force;
    struct differences differences;
    struct edit edit;
    struct device_id *written; /* one for each difference with a channel to plug, in their order */
    size_t written_count;
    const struct difference *closing; /* its backend was asked to close, and has not; or NULL */
};

/* Removes old channels first, so that their names and devids become free. */
static int unplug_old(struct apply *apply)
{
    int rc = 0;

    for (size_t i = 0; i < apply->differences.count && rc == 0; i++) {
        const struct difference *item = &apply->differences.items[i];

        if (!item->have)
            continue;
        apply->closing = item;
        if (!apply->force)
            rc = plug_close(&apply->tool, item->id, item->have->name, apply->ms);
        if (rc == 0)
            rc = plug_remove(&apply->tool, item->id, item->have->name);
        if (rc == 0)
            apply->closing = NULL;
    }
    return rc;
}

static int plug_new(struct apply *apply)
{
    struct roster roster = ROSTER_OF(apply->differences.domid);
    int rc = 0;

    for (size_t i = 0; i < apply->differences.count && rc == 0; i++) {
        const struct difference *item = &apply->differences.items[i];

        if (!item->want)
            continue;
        rc = plug_write(&apply->tool, item->want, &roster, item->backend,
                        &apply->written[apply->written_count]);
        apply->written_count += rc == 0;
    }
    roster_free(&roster);
    return rc;
}

static int await_new(struct apply *apply)
{
    const struct device_id *id = apply->written;
    int rc = 0;

    for (size_t i = 0; i < apply->differences.count && rc == 0; i++)
        if (apply->differences.items[i].want)
            rc = plug_await(&apply->tool, apply->differences.items[i].want, id++, apply->ms);
    return rc;
}

/* Unplugs new channels that failed, to make room for the old ones. */
static void take_back(struct apply *apply)
{
    const struct present *had = &apply->differences.have;
    struct roster roster = ROSTER_OF(apply->differences.domid);
    struct device_id id;

    if (apply->closing)
        plug_cancel_close(&apply->tool, apply->closing->id, apply->closing->have->name);
    while (apply->written_count > 0)
        plug_remove(&apply->tool, &apply->written[--apply->written_count], "new");
    roster_update(&roster, apply->tool.store);
    for (size_t i = 0; i < had->config.count; i++) {
        const struct spec *channel = &had->config.channels[i];

        if (!roster_has_name(&roster, channel->name))
            plug_write(&apply->tool, channel, &roster, had->ids[i].backend, &id);
    }
    roster_free(&roster);
}

static int change(struct apply *apply)
{
    int rc = unplug_old(apply);

    if (rc == 0)
        rc = plug_new(apply);
    if (rc == 0)
        rc = await_new(apply);
    if (rc == 0)
        rc = edit_commit(&apply->tool, &apply->edit);
    if (rc < 0)
        take_back(apply);
    return rc;
}

/* From now on the domain's record has exactly the channels in the file. */
static int stage_file(struct apply *apply)
{
    const struct config *want = &apply->differences.want;
    int rc = 0;

    apply->edit.config.count = 0;
    for (size_t i = 0; i < want->count && rc == 0; i++)
        rc = edit_put(&apply->tool, &apply->edit, &want->channels[i]);
    return rc == 0 ? edit_stage(&apply->tool, &apply->edit) : rc;
}

static int apply_held(struct apply *apply)
{
    /* Another command may have changed something while this one waited for the lock. */
    int rc = differences_refresh(&apply->tool, &apply->differences);

    if (rc == 0)
        rc = stage_file(apply);
    if (rc < 0)
        return rc;
    apply->written = calloc(apply->differences.count + 1, sizeof(*apply->written));
    rc = apply->written ? change(apply) : -ENOMEM;
    free(apply->written);
    if (rc == 0 && !apply->quiet)
        differences_print(&apply->differences);
    return rc;
}

static int apply_read(struct apply *apply)
{
    struct tool *tool = &apply->tool;
    int rc = differences_read(tool, apply->file, apply->json, apply->domain, &apply->differences);

    if (rc < 0)
        return rc;
    if (apply->dry) {
        differences_print(&apply->differences);
        return 0;
    }
    rc = edit_open(tool, apply->differences.domid, &apply->edit);
    return rc == 0 ? apply_held(apply) : rc;
}

static int apply_parsed(struct apply *apply)
{
    int rc = tool_open(&apply->tool, "apply", apply->file);

    apply->edit = EDIT_NONE;
    if (rc == 0) {
        rc = apply_read(apply);
        differences_free(&apply->differences);
    }
    edit_close(&apply->edit);
    tool_close(&apply->tool);
    return rc < 0 ? EXIT_FAILURE : command_flush("apply");
}

static int run_apply(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"dry-run", no_argument, NULL, 'n'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"force", no_argument, NULL, 'f'},
                                            {"wait", required_argument, NULL, 'w'},
                                            {0}};
    struct apply apply = {.ms = TOOL_WAIT_DEFAULT};
    int opt;

    while ((opt = getopt_long(argc, argv, ":jnqfw:", options, NULL)) != -1) {
        if (opt == ':' || opt == '?')
            return command_bad_option(command, opt, argv);
        if (opt == 'w' && !command_seconds(command, "--wait", &apply.ms))
            return EXIT_USAGE;
        apply.json |= opt == 'j';
        apply.dry |= opt == 'n';
        apply.quiet |= opt == 'q';
        apply.force |= opt == 'f';
    }
    if (argc - optind < 1 || argc - optind > 2)
        return command_usage(command, "expected CONFIG and at most one DOMAIN");
    apply.file = argv[optind];
    apply.domain = argc - optind == 2 ? argv[optind + 1] : NULL;
    return apply_parsed(&apply);
}

const struct command command_apply = {
    "apply", "[--json] [--dry-run] [--quiet] [--force] [--wait SECS] CONFIG [DOMAIN]",
    "Give a running domain the channels of a config file",
    "Detaches channels that the file does not declare, attaches missing ones, and replaces those\n"
    "that differ; then prints the changes, as diff does. Channels that are as declared are not\n"
    "touched. If anything fails, the previous channels are attached again.\n"
    "  -j, --json       CONFIG (-: standard input) is a JSON array of channels, as attach takes\n"
    "                   them\n"
    "  -n, --dry-run    only print the changes\n"
    "  -q, --quiet      do not print the changes\n"
    "  -f, --force      detach channels even if their backends do not close them\n"
    "  -w, --wait SECS  how long each backend may take to answer (default 10)\n",
    run_apply};
