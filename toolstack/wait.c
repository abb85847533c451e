/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan wait: waits until a channel is up, or has another given state. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "toolstack/command.h"
#include "toolstack/hint.h"
#include "toolstack/monitor.h"

struct waiting {
    struct tool tool;
    struct monitor_filter filter;
    struct monitor_goal goal;
    const char *state;
    int ms; /* --timeout */
};

static void complain_channel(struct waiting *waiting, const struct monitored *channel)
{
    struct view view;
    struct hint hint;
    const char *error;

    view_read(&waiting->tool, &channel->id, &view);
    error = view.texts[VIEW_BACKEND_ERROR];
    hint_find(&waiting->tool, &view, &hint);
    tool_complain(&waiting->tool, "channel \"%s\": not %s in time (it is %s/%s%s%s)%s%s",
                  waiting->filter.name, waiting->state,
                  xenbus_state_name(channel->states[MONITOR_FRONTEND]),
                  xenbus_state_name(channel->states[MONITOR_BACKEND]),
                  error[0] ? "; backend: " : "", error, hint.text[0] ? ": " : "", hint.text);
}

static bool has_domain(struct waiting *waiting)
{
    domid_t domid;

    return tool_find_domain(&waiting->tool, waiting->filter.domain, &domid) == 0 &&
           tool_has_domain(&waiting->tool, domid);
}

static void complain_timeout(struct waiting *waiting, const struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->count; i++) {
        const struct monitored *channel = &monitor->channels[i];

        if (!monitor_matches(channel, &waiting->filter))
            continue;
        complain_channel(waiting, channel);
        return;
    }
    tool_complain(&waiting->tool, "channel \"%s\": not %s in time (there is no such %s)",
                  waiting->filter.name, waiting->state, has_domain(waiting) ? "channel" : "domain");
}

static int wait_goal(struct waiting *waiting)
{
    struct monitor monitor;
    int rc = monitor_open(&monitor, &waiting->tool, false, NULL, NULL);

    if (rc == 0)
        rc = monitor_run(&monitor, &waiting->filter, &waiting->goal, waiting->ms);
    if (rc == -ETIMEDOUT)
        complain_timeout(waiting, &monitor);
    else if (rc < 0)
        tool_complain(&waiting->tool, "%s", tool_why(rc));
    monitor_close(&monitor);
    if (rc > 0)
        return EXIT_SUCCESS;
    return rc == -ETIMEDOUT ? EXIT_NOT_SO : EXIT_FAILURE;
}

static int wait_parsed(struct waiting *waiting)
{
    int code = EXIT_FAILURE;

    if (tool_open(&waiting->tool, "wait", waiting->filter.domain) == 0)
        code = wait_goal(waiting);
    tool_close(&waiting->tool);
    return code;
}

static int run_wait(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"timeout", required_argument, NULL, 't'}, {0}};
    struct waiting waiting = {.state = "Connected", .ms = -1};
    int opt;

    while ((opt = getopt_long(argc, argv, ":t:", options, NULL)) != -1) {
        if (opt != 't')
            return command_bad_option(command, opt, argv);
        if (!command_seconds(command, "--timeout", &waiting.ms))
            return EXIT_USAGE;
    }
    if (argc - optind < 2 || argc - optind > 3)
        return command_usage(command, "expected a DOMAIN and the NAME of its channel");
    waiting.filter.domain = argv[optind];
    waiting.filter.name = argv[optind + 1];
    if (argc - optind == 3)
        waiting.state = argv[optind + 2];
    if (!monitor_goal_parse(waiting.state, &waiting.goal))
        return command_usage(command, "\"%s\" is not a state", waiting.state);
    return wait_parsed(&waiting);
}

const struct command command_wait = {
    "wait", "[--timeout SECS] DOMAIN NAME [STATE]", "Wait until a channel is in a state",
    "STATE is Connected (at both sides) unless given; or Closed, gone, ... DOMAIN need not exist\n"
    "yet.\n"
    "  -t, --timeout SECS  give up after that time, with exit code 3\n",
    run_wait};
