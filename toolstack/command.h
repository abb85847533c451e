/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of xl-vchan. Each has one file and one row of main.c's table. */
#ifndef TOOLSTACK_COMMAND_H
#define TOOLSTACK_COMMAND_H

#include <getopt.h>

#include "toolstack/devices.h"
#include "toolstack/tool.h"

/* Exit codes like xl's; NOT_SO: the condition was not met (not reached in time, or not equal). */
#define EXIT_USAGE  2
#define EXIT_NOT_SO 3

struct command {
    const char *name;
    const char *args;    /* its synopsis, without the name */
    const char *summary; /* one line */
    const char *help;    /* the rest, lines of text */
    /* argv[0] is the command's name. Returns the exit code. */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_apply, command_attach, command_create, command_daemon,
    command_detach, command_diff, command_list, command_graph, command_show, command_top,
    command_wait, command_watch;

/*
 * Reports a usage error in one line with the synopsis, and returns the exit code.
 * command_bad_option() does so for an option that getopt_long() refused (its short options must
 * begin with ":").
 */
int command_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int command_bad_option(const struct command *command, int answer, char **argv);

/*
 * Parses the options of a command whose only option is --json (-j), and leaves optind at the first
 * argument. Returns 0, or the exit code after reporting the error.
 */
int command_take_json(const struct command *command, int argc, char **argv, bool *json);

/*
 * Parses optarg, the seconds of an option such as "--wait", into milliseconds (-1: inf). Returns
 * false after reporting the error.
 */
bool command_seconds(const struct command *command, const char *option, int *ms);

/*
 * Finds a channel by domain (whose id may be that of a domain that is gone) and by name or devid.
 * Returns 0, or a negative errno after reporting it.
 */
int command_find_channel(struct tool *tool, const char *domain, const char *name,
                         struct device_id *id);

/* Flushes standard output. Returns an exit code, after reporting a failure. */
int command_flush(const char *verb);

#endif
