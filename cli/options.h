/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/command.h"

/*
 * Parses a command's options (argv[0] is the command's name); the rest get defaults. Returns the
 * number of words consumed, including argv[0]; 0 if --help was given; or -1 after a line on
 * standard error.
 */
int options_parse(const struct command *command, int argc, char **argv, struct options *options);

#endif
