/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/command.h"

/*
 * Reads the options that a command takes (argv[0] is the command's name), with defaults for the
 * rest. Returns the number of words taken, argv[0] included; 0 if --help was asked for; or -1 after
 * a line on standard error.
 */
int options_parse(const struct command *command, int argc, char **argv, struct options *options);

#endif
