/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan: vchan devices, next to xl. man/xl-vchan.8.scd. */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/descriptor.h"
#include "state/seconds.h"
#include "toolstack/command.h"
#include "toolstack/record.h"

static const struct command command_help;

static const struct command *const commands[] = {
    &command_create, &command_attach, &command_detach, &command_diff, &command_apply,
    &command_list,   &command_show,   &command_watch,  &command_wait, &command_top,
    &command_graph,  &command_daemon, &command_help,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

int command_usage(const struct command *command, const char *format, ...)
{
    char *message = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&message, format, args) >= 0)
        tool_say("%s: %s (usage: xl-vchan %s%s%s)", command->name, message, command->name,
                 command->args[0] ? " " : "", command->args);
    va_end(args);
    free(message);
    return EXIT_USAGE;
}

int command_bad_option(const struct command *command, int answer, char **argv)
{
    if (answer == ':')
        return command_usage(command, "%s: its argument is missing", argv[optind - 1]);
    if (optopt && !strchr(argv[optind - 1], optopt))
        return command_usage(command, "-%c: no such option", optopt);
    return command_usage(command, "%s: no such option", argv[optind - 1]);
}

int command_take_json(const struct command *command, int argc, char **argv, bool *json)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    int opt;

    *json = false;
    while ((opt = getopt_long(argc, argv, ":j", options, NULL)) != -1) {
        if (opt != 'j')
            return command_bad_option(command, opt, argv);
        *json = true;
    }
    return 0;
}

bool command_seconds(const struct command *command, const char *option, int *ms)
{
    if (parse_seconds(optarg, ms) == 0)
        return true;
    command_usage(command, "%s \"%s\": give " SECONDS_WANTED, option, optarg);
    return false;
}

int command_find_channel(struct tool *tool, const char *domain, const char *name,
                         struct device_id *id)
{
    domid_t frontend;
    int rc = tool_find_domain(tool, domain, &frontend);

    if (rc < 0) {
        tool_complain(tool, "there is no such domain");
        return rc;
    }
    rc = device_find(tool->store, frontend, name, id);
    if (rc == -ENOENT)
        tool_complain(tool, "it has no channel \"%s\" (see xl-vchan list)", name);
    else if (rc < 0)
        tool_complain(tool, "%s", tool_why(rc));
    return rc;
}

int command_flush(const char *verb)
{
    if (fflush(stdout) == 0) {
        if (!ferror(stdout))
            return EXIT_SUCCESS;
        /* Nobody kept why a write before this failed: another one tells. */
        if (write(STDOUT_FILENO, "\n", 1) == 1)
            errno = EIO;
    }
    fprintf(stderr, "xl-vchan: %s: cannot write: %s\n", verb, strerror(errno));
    return EXIT_FAILURE;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static bool is_help(const char *arg)
{
    return arg && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0);
}

static int unknown(const char *name)
{
    tool_say("%s: no such command (see xl-vchan help)", name);
    return EXIT_USAGE;
}

static void print_overview(FILE *to)
{
    fprintf(to, "Usage: xl-vchan [--state-dir DIR] COMMAND ...\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to, "\nMore: xl-vchan help COMMAND, xl-vchan(8), xl-vchan.cfg(5)\n");
}

static int print_help(const struct command *command)
{
    printf("Usage: xl-vchan %s%s%s\n\n%s.\n%s", command->name, command->args[0] ? " " : "",
           command->args, command->summary, command->help);
    return command_flush("help");
}

static int run_help(const struct command *command, int argc, char **argv)
{
    const struct command *topic;

    if (argc > 2)
        return command_usage(command, "wants one COMMAND, or none");
    if (argc < 2) {
        print_overview(stdout);
        return command_flush("help");
    }
    topic = command_find(argv[1]);
    return topic ? print_help(topic) : unknown(argv[1]);
}

static const struct command command_help = {
    "help", "[COMMAND]", "Explain the commands, or one of them", "", run_help,
};

static int run_command(int argc, char **argv)
{
    const struct command *command = command_find(argv[0]);

    if (!command)
        return unknown(argv[0]);
    if (is_help(argv[1]))
        return print_help(command);
    return command->run(command, argc, argv);
}

int main(int argc, char **argv)
{
    descriptor_open_standard();
    if (argc >= 3 && strcmp(argv[1], "--state-dir") == 0) {
        record_set_dir(argv[2]);
        argc -= 2;
        argv += 2;
    }
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("xl-vchan (%s) %s\n", PACKAGE_NAME, PACKAGE_VERSION);
        return command_flush("--version");
    }
    if (is_help(argv[1]))
        return run_help(&command_help, 1, argv);
    return run_command(argc - 1, argv + 1);
}
