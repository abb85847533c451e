/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of xl-vchan: one file and one row of main.c's table each.
 */
#ifndef TOOLSTACK_COMMAND_H
#define TOOLSTACK_COMMAND_H

#include <getopt.h>

#include "toolstack/devices.h"
#include "toolstack/tool.h"

/* Exit codes, as xl's; and one for an answer that is no: not reached in time, or not the same. */
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
 * Says what is wrong with the arguments, in one line with the synopsis; gives the exit code. For an
 * option that getopt_long (with a ":" before its short options) did not take: command_bad_option.
 */
int command_usage(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int command_bad_option(const struct command *command, int answer, char **argv);

/*
 * Takes the options of a command that has --json (-j) only; optind is then at the first argument.
 * 0, or the exit code after saying what is wrong.
 */
int command_take_json(const struct command *command, int argc, char **argv, bool *json);

/*
 * Takes the seconds that an option ("--wait") has in optarg, as milliseconds (-1: inf). False: it
 * said what is wrong.
 */
bool command_seconds(const struct command *command, const char *option, int *ms);

/*
 * Finds a channel that the user names by its domain (which may be the id of one that is gone) and
 * its name or devid. 0, or a negative errno after saying why.
 */
int command_find_channel(struct tool *tool, const char *domain, const char *name,
                         struct device_id *id);

/* Makes sure that what was printed got out. An exit code, after saying why not. */
int command_flush(const char *verb);

#endif
