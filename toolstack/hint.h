/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel waits for, or what is wrong with it, in words: the states alone do not tell that
 * nobody serves it.
 */
#ifndef TOOLSTACK_HINT_H
#define TOOLSTACK_HINT_H

#include "toolstack/service.h"
#include "toolstack/view.h"

struct hint {
    char text[SERVICE_WORDS_MAX + 64]; /* empty: there is nothing to say */
    bool trouble;                      /* somebody has to do something */
};

/* Finds what there is to say of a channel. Asks Xen and libxenlight; never waits. */
void hint_look(struct tool *tool, const struct view *view, struct hint *hint);

/* What is wrong with a channel: the hint, or else the last error of a side; "": nothing. */
const char *hint_trouble(const struct view *view, const struct hint *hint);

#endif
