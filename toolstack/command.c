/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/seconds.h"

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
        return command_usage(command, "%s: missing argument", argv[optind - 1]);
    if (optopt && !strchr(argv[optind - 1], optopt))
        return command_usage(command, "-%c: unknown option", optopt);
    return command_usage(command, "%s: unknown option", argv[optind - 1]);
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
    command_usage(command, "%s \"%s\": expected " SECONDS_WANTED, option, optarg);
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
        tool_complain(tool, "there is no channel \"%s\" (see xl-vchan list)", name);
    else if (rc < 0)
        tool_complain(tool, "%s", tool_why(rc));
    return rc;
}

int command_flush(const char *verb)
{
    if (fflush(stdout) == 0) {
        if (!ferror(stdout))
            return EXIT_SUCCESS;
        /* The errno of the earlier failed write is lost; another write gives it again. */
        if (write(STDOUT_FILENO, "\n", 1) == 1)
            errno = EIO;
    }
    fprintf(stderr, "xl-vchan: %s: cannot write: %s\n", verb, strerror(errno));
    return EXIT_FAILURE;
}
