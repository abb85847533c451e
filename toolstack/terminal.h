/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether standard output is a terminal that can show a screen. */
#ifndef TOOLSTACK_TERMINAL_H
#define TOOLSTACK_TERMINAL_H

#include "toolstack/tool.h"

/* Returns 0, or -ENOTTY after reporting what is wrong with TERM. */
int terminal_check(const struct tool *tool);

#endif
