/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan: manages vchan devices, next to xl. See man/xl-vchan.8.scd. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/descriptor.h"
#include "toolstack/command.h"
#include "toolstack/record.h"

static const struct command command_help;

static const struct command *const commands[] = {
    &command_create, &command_attach, &command_detach, &command_diff, &command_apply,
    &command_list,   &command_show,   &command_watch,  &command_wait, &command_top,
    &command_graph,  &command_daemon, &command_help,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
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
        return command_usage(command, "expected at most one COMMAND");
    if (argc < 2) {
        print_overview(stdout);
        return command_flush("help");
    }
    topic = find_command(argv[1]);
    return topic ? print_help(topic) : unknown(argv[1]);
}

static const struct command command_help = {
    "help", "[COMMAND]", "Explain the commands, or one of them", "", run_help,
};

static int run_command(int argc, char **argv)
{
    const struct command *command = find_command(argv[0]);

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
