/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether standard output is a terminal on which a screen can be drawn.
 */
#ifndef TOOLSTACK_TERMINAL_H
#define TOOLSTACK_TERMINAL_H

#include "toolstack/tool.h"

/* 0, or -ENOTTY after saying what is the matter with TERM. */
int terminal_check(const struct tool *tool);

#endif
