/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <curses.h>
#include <term.h> /* its macros, such as columns, need this file of their own */

int terminal_check(const struct tool *tool)
{
    const char *name = getenv("TERM");
    bool can;
    int known;

    if (!name || name[0] == '\0')
        tool_complain(tool, "TERM is not set (try TERM=xterm, or use xl-vchan watch)");
    else if (setupterm(name, STDOUT_FILENO, &known) != OK)
        tool_complain(
            tool, "TERM=%s: unknown terminal type (try TERM=xterm, or use xl-vchan watch)", name);
    else {
        can = tigetstr("cup") != NULL;
        del_curterm(cur_term);
        if (can)
            return 0;
        tool_complain(tool, "TERM=%s: this terminal is too simple (use xl-vchan watch)", name);
    }
    return -ENOTTY;
}
