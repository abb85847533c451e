/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel waits for, or what is wrong with it, in words: the states alone do not show that
 * it is not served.
 */
#ifndef TOOLSTACK_HINT_H
#define TOOLSTACK_HINT_H

#include "toolstack/service.h"
#include "toolstack/view.h"

struct hint {
    char text[SERVICE_WORDS_MAX + 64]; /* empty: nothing to report */
    bool trouble;                      /* a person must do something */
};

/* Finds a channel's hint. Asks Xen and libxenlight; never waits. */
void hint_find(struct tool *tool, const struct view *view, struct hint *hint);

/*
 * What is wrong with a channel: the hint, or otherwise the last error of a side; "" if nothing is.
 */
const char *hint_trouble(const struct view *view, const struct hint *hint);

#endif
