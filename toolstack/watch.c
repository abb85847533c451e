/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan watch: prints a line for each change of a channel's state, for people and scripts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/command.h"
#include "toolstack/json.h"
#include "toolstack/monitor.h"
#include "toolstack/view.h"

struct watch {
    struct tool tool;
    struct monitor monitor;
    bool unwritten; /* output failed, and that was reported */
    struct monitor_filter filter;
    struct monitor_goal goal;
    const char *until, *timeout; /* as given */
    int ms;                      /* --timeout */
    bool json;
};

static const char *const side_names[MONITOR_SIDES] = {"frontend", "backend"};

/* NULL: the side did not exist, or no longer exists. */
static const char *state_name(enum xenbus_state state)
{
    return state == XenbusStateUnknown ? NULL : xenbus_state_name(state);
}

/* The side's error node if this is its end; otherwise "". */
static void read_side_error(const struct watch *watch, const struct monitor_change *change,
                            char *error, size_t size)
{
    enum xenbus_state state = change->channel->states[change->side];
    char dir[DEVICE_PATH_MAX], whole[STORE_VALUE_MAX] = "";

    error[0] = '\0';
    if (state != XenbusStateClosing && state != XenbusStateClosed)
        return;
    if (change->side == MONITOR_FRONTEND)
        device_frontend_path(&change->channel->id, dir);
    else
        device_backend_path(&change->channel->id, dir);
    if (store_read_text(watch->tool.store, dir, "error", whole, sizeof(whole)) < 0)
        return;
    snprintf(error, size, "%.*s", (int)size - 1, whole);
    text_clean(error);
}

static void format_time(const struct timespec *when, char *text, size_t size)
{
    struct tm local;
    size_t length;

    localtime_r(&when->tv_sec, &local);
    length = strftime(text, size, "%F %T", &local);
    snprintf(text + length, size - length, ".%06ld", when->tv_nsec / 1000);
}

static void print_change(const struct monitor_change *change, const char *error)
{
    const struct monitored *channel = change->channel;
    const char *from = state_name(change->from), *to = state_name(channel->states[change->side]);
    char when[64];

    format_time(&change->when, when, sizeof(when));
    printf("%s %s %s %s: %s -> %s%s%s\n", when, channel->domain, view_text(channel->name),
           side_names[change->side], from ? from : "-", to ? to : "-", error[0] ? ": " : "", error);
}

static void add_channel(struct json_object *object, const struct monitored *channel)
{
    bool known = channel->id.backend != DEVICE_BACKEND_UNKNOWN;

    json_object_object_add(object, "domain", json_text(channel->domain));
    json_object_object_add(object, "domid", json_object_new_int(channel->id.frontend));
    json_object_object_add(object, "devid", json_object_new_int64(channel->id.devid));
    json_object_object_add(object, "backend", json_text(channel->backend));
    json_object_object_add(object, "backend_domid",
                           known ? json_object_new_int(channel->id.backend) : NULL);
    json_object_object_add(object, "name", json_text(channel->name));
}

static void print_change_json(const struct monitor_change *change, const char *error)
{
    struct json_object *object = json_object_new_object();
    const enum xenbus_state *states = change->channel->states;
    char when[64];

    snprintf(when, sizeof(when), "%lld.%06ld", (long long)change->when.tv_sec,
             change->when.tv_nsec / 1000);
    json_object_object_add(object, "time", json_object_new_double_s(strtod(when, NULL), when));
    add_channel(object, change->channel);
    json_object_object_add(object, "side", json_text(side_names[change->side]));
    json_object_object_add(object, "from", json_text(state_name(change->from)));
    json_object_object_add(object, "to", json_text(state_name(states[change->side])));
    json_object_object_add(object, "frontend_state",
                           json_text(state_name(states[MONITOR_FRONTEND])));
    json_object_object_add(object, "backend_state", json_text(state_name(states[MONITOR_BACKEND])));
    json_object_object_add(object, "error", json_text(error));
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

static void on_change(const struct monitor_change *change, void *arg)
{
    struct watch *watch = arg;
    char error[VIEW_TEXT_MAX];

    if (watch->unwritten || !monitor_matches(change->channel, &watch->filter))
        return;
    read_side_error(watch, change, error, sizeof(error));
    if (watch->json)
        print_change_json(change, error);
    else
        print_change(change, error);
    watch->unwritten = command_flush("watch") != EXIT_SUCCESS;
    if (watch->unwritten)
        watch->monitor.failed = -EIO;
}

static int watch_changes(struct watch *watch)
{
    struct monitor *monitor = &watch->monitor;
    int rc = monitor_open(monitor, &watch->tool, false, on_change, watch);

    if (rc == 0)
        rc = monitor_run(monitor, &watch->filter, watch->until ? &watch->goal : NULL, watch->ms);
    monitor_close(monitor);
    return rc;
}

/* Returns the exit code. A watch without a goal normally ends by a signal. */
static int watch_end(struct watch *watch, int rc)
{
    if (watch->unwritten)
        return EXIT_FAILURE;
    if (rc > 0 || (!watch->until && (rc == -EINTR || rc == -ETIMEDOUT)))
        return EXIT_SUCCESS;
    if (rc == -ETIMEDOUT) {
        tool_complain(&watch->tool, "not %s within %s s", watch->until, watch->timeout);
        return EXIT_NOT_SO;
    }
    tool_complain(&watch->tool, "%s", tool_why(rc));
    return EXIT_FAILURE;
}

static int watch_parsed(struct watch *watch)
{
    int code = EXIT_FAILURE;

    if (tool_open(&watch->tool, "watch", watch->filter.domain) == 0)
        code = watch_end(watch, watch_changes(watch));
    tool_close(&watch->tool);
    return code;
}

static int take_watch_option(const struct command *command, int opt, char **argv,
                             struct watch *watch)
{
    switch (opt) {
    case 'j':
        watch->json = true;
        return 0;
    case 'u':
        watch->until = optarg;
        if (monitor_goal_parse(optarg, &watch->goal))
            return 0;
        return command_usage(command, "--until: \"%s\" is not a state", optarg);
    case 't':
        watch->timeout = optarg;
        return command_seconds(command, "--timeout", &watch->ms) ? 0 : EXIT_USAGE;
    default:
        return command_bad_option(command, opt, argv);
    }
}

static int run_watch(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"until", required_argument, NULL, 'u'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {0}};
    struct watch watch = {.ms = -1};
    int opt, code = 0;

    while (code == 0 && (opt = getopt_long(argc, argv, ":ju:t:", options, NULL)) != -1)
        code = take_watch_option(command, opt, argv, &watch);
    if (code)
        return code;
    if (argc - optind > 2)
        return command_usage(command, "expected at most a DOMAIN and a NAME");
    watch.filter.domain = optind < argc ? argv[optind] : NULL;
    watch.filter.name = optind + 1 < argc ? argv[optind + 1] : NULL;
    return watch_parsed(&watch);
}

const struct command command_watch = {
    "watch", "[--json] [--until STATE] [--timeout SECS] [DOMAIN [NAME]]",
    "Print each change of a channel's state",
    "Begins with the current states. DOMAIN need not exist yet.\n"
    "  -j, --json          one JSON object a line, described in xl-vchan(8)\n"
    "  -u, --until STATE   end once all these channels (at least one) are in that state:\n"
    "                      Connected, Closed, gone, ...\n"
    "  -t, --timeout SECS  end after that time; with --until, with exit code 3\n",
    run_watch};
