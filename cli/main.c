/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "cli/command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "state/descriptor.h"

#define CHANNEL  "NAME | --client DOMID PATH | --server DOMID PATH"
#define CHANNELS "NAME... | --client DOMID PATH... | --server DOMID PATH..."

static const struct command commands[] = {
    {"cat", "[OPTION...] " CHANNEL,
     "connect standard input and output to a channel\n"
     "  --timeout SECS      wait at most so long for the peer\n"
     "  -t, --linger SECS   with --client, --server: after the end of input, close the channel\n"
     "                      once the peer has been silent for so long (0.5, or 10 if it has\n"
     "                      not answered)\n"
     "  --read-ring SIZE, --write-ring SIZE\n"
     "                      with --server: sizes of the rings (64K)",
     "csTtrw", cat_run},
    {"echo", "[OPTION...] " CHANNELS,
     "send back what each channel receives; with --server, serve one client after the other\n"
     "  --once              with --server: one client only\n"
     "  --timeout SECS, --read-ring SIZE, --write-ring SIZE   as for cat",
     "csTrwo", echo_run},
    {"list", "[--json]", "show the channels of this domain", "j", list_run},
    {"wait", "[--state STATE] [--timeout SECS] NAME",
     "wait until this domain's side of a channel is Connected, or in STATE", "ST", wait_run},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_command(const struct command *command)
{
    printf("vchan %s %s\n  %s\n", command->name, command->synopsis, command->summary);
}

static void print_all(void)
{
    puts("Uses the vchan channels of this domain.\n");
    for (size_t i = 0; i < COMMANDS; i++)
        print_command(&commands[i]);
    puts("vchan help [COMMAND] | --version\n\nSee vchan(1), also for exit codes.");
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    complain(EXIT_USAGE, "\"%s\": no such command (see vchan help)", name);
    return NULL;
}

static int help(int argc, char **argv)
{
    const struct command *command;

    if (argc < 1) {
        print_all();
        return output_end();
    }
    command = command_find(argv[0]);
    if (!command)
        return EXIT_USAGE;
    print_command(command);
    return output_end();
}

static int run(const struct command *command, int argc, char **argv)
{
    struct options options;
    int taken = options_parse(command, argc, argv, &options);

    if (taken < 0)
        return EXIT_USAGE;
    if (taken == 0) {
        print_command(command);
        return output_end();
    }
    return command->run(&options, argc - taken, argv + taken);
}

static bool is(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

int main(int argc, char **argv)
{
    const struct command *command;

    descriptor_open_standard();
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return complain(EXIT_USAGE, "missing command: cat, echo, list or wait (see vchan help)");
    if (is(argv[1], "help", "--help") || strcmp(argv[1], "-h") == 0)
        return help(argc - 2, argv + 2);
    if (is(argv[1], "--version", "version")) {
        puts(PACKAGE_STRING);
        return output_end();
    }
    command = command_find(argv[1]);
    return command ? run(command, argc - 1, argv + 1) : EXIT_USAGE;
}
