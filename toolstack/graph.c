/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan graph: prints domains and channels for dot(1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/command.h"
#include "toolstack/hint.h"
#include "toolstack/view.h"

/* Quotes for DOT. Domain names are clean already. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

/* Whether an earlier channel has the domain at one of its ends. */
static bool is_printed(const struct views *views, size_t before, domid_t domid)
{
    for (size_t i = 0; i < before; i++)
        if (views->items[i].id.frontend == domid || views->items[i].id.backend == domid)
            return true;
    return false;
}

static void print_domain(const struct views *views, size_t before, domid_t domid, const char *name)
{
    if (domid == DEVICE_BACKEND_UNKNOWN || is_printed(views, before, domid))
        return;
    printf("    d%u [label=", domid);
    print_quoted(name);
    puts("];");
}

static void print_domains(const struct views *views)
{
    for (size_t i = 0; i < views->count; i++) {
        const struct view *view = &views->items[i];

        print_domain(views, i, view->id.frontend, view->domain);
        print_domain(views, i, view->id.backend, view->backend);
    }
}

static const char *color_of(struct tool *tool, const struct view *view)
{
    struct hint hint;
    const char *frontend = view->texts[VIEW_FRONTEND_STATE];
    const char *backend = view->texts[VIEW_BACKEND_STATE];

    hint_find(tool, view, &hint);
    if (!hint.trouble && strcmp(frontend, "Connected") == 0 && strcmp(backend, "Connected") == 0)
        return "darkgreen";
    return hint_trouble(view, &hint)[0] ? "red" : "gray40";
}

static void print_channel(struct tool *tool, const struct view *view)
{
    const char *color = color_of(tool, view);
    char label[4 * VIEW_TEXT_MAX];

    if (view->id.backend == DEVICE_BACKEND_UNKNOWN)
        return;
    snprintf(label, sizeof(label), "%s (%s)", view_text(view->texts[VIEW_NAME]),
             view_text(view->texts[VIEW_CONNECTION]));
    printf("    d%u -> d%u [label=", view->id.frontend, view->id.backend);
    print_quoted(label);
    printf(", color=%s, fontcolor=%s, tooltip=", color, color);
    snprintf(label, sizeof(label), "%s/%s", view_text(view->texts[VIEW_FRONTEND_STATE]),
             view_text(view->texts[VIEW_BACKEND_STATE]));
    print_quoted(label);
    puts("];");
}

static void print_graph(struct tool *tool, const struct views *views)
{
    puts("digraph vchan {\n"
         "    rankdir=LR;\n"
         "    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n"
         "    edge [dir=both, arrowtail=dot, fontname=\"sans-serif\", fontsize=10];");
    print_domains(views);
    for (size_t i = 0; i < views->count; i++)
        print_channel(tool, &views->items[i]);
    puts("}");
}

static int graph(struct tool *tool)
{
    struct views views;
    int rc = views_read(tool, NULL, &views);

    if (rc < 0) {
        tool_complain(tool, "%s", tool_why(rc));
        return rc;
    }
    print_graph(tool, &views);
    views_free(&views);
    return 0;
}

static int run_graph(const struct command *command, int argc, char **argv)
{
    struct tool tool;
    int rc;

    if (argc != 1)
        return command_usage(command, "%s: takes no arguments", argv[1]);
    rc = tool_open(&tool, "graph", NULL);
    if (rc == 0)
        rc = graph(&tool);
    tool_close(&tool);
    return rc < 0 ? EXIT_FAILURE : command_flush("graph");
}

const struct command command_graph = {"graph", "",
                                      "Print domains and channels as a graph for dot(1)",
                                      "A line goes from the frontend's domain (a dot) to the "
                                      "backend's (an arrow): green if\nConnected, red if "
                                      "something is wrong.\n"
                                      "  xl-vchan graph | dot -Tsvg > channels.svg\n",
                                      run_graph};
