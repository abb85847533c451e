/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan list: the channels, as xenstore has them, odd ones too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/command.h"
#include "toolstack/hint.h"
#include "toolstack/view.h"

/* --- the table --- */

enum column {
    COLUMN_DOMAIN,
    COLUMN_DEVID,
    COLUMN_BACKEND,
    COLUMN_NAME,
    COLUMN_STATE,
    COLUMN_EVENT_CHANNEL,
    COLUMN_RING_REF,
    COLUMN_RINGS,
    COLUMN_PATH,
    COLUMN_COUNT,
};

#define CELL_MAX (2 * VIEW_TEXT_MAX)

struct row {
    char cells[COLUMN_COUNT][CELL_MAX];
};

static const struct row header = {
    {"Domain", "Idx", "BE", "Name", "FE/BE state", "evt-ch", "ring-ref", "r/w-ring", "BE-path"}};

static void fill_row(const struct view *view, struct row *row)
{
    const char(*texts)[VIEW_TEXT_MAX] = view->texts;
    char read[VIEW_TEXT_MAX], write[VIEW_TEXT_MAX];

    view_size(texts[VIEW_READ_RING], read, sizeof(read));
    view_size(texts[VIEW_WRITE_RING], write, sizeof(write));
    snprintf(row->cells[COLUMN_DOMAIN], CELL_MAX, "%s", view->domain);
    snprintf(row->cells[COLUMN_DEVID], CELL_MAX, "%u", view->id.devid);
    snprintf(row->cells[COLUMN_BACKEND], CELL_MAX, "%s", view_text(view->backend));
    snprintf(row->cells[COLUMN_NAME], CELL_MAX, "%s", view_text(texts[VIEW_NAME]));
    snprintf(row->cells[COLUMN_STATE], CELL_MAX, "%s/%s", view_text(texts[VIEW_FRONTEND_STATE]),
             view_text(texts[VIEW_BACKEND_STATE]));
    snprintf(row->cells[COLUMN_EVENT_CHANNEL], CELL_MAX, "%s",
             view_text(texts[VIEW_EVENT_CHANNEL]));
    snprintf(row->cells[COLUMN_RING_REF], CELL_MAX, "%s", view_text(texts[VIEW_RING_REF]));
    snprintf(row->cells[COLUMN_RINGS], CELL_MAX, "%s/%s", read, write);
    if (view->id.backend == DEVICE_BACKEND_UNKNOWN)
        snprintf(row->cells[COLUMN_PATH], CELL_MAX, "-");
    else
        device_backend_path(&view->id, row->cells[COLUMN_PATH]);
}

static void widen(const struct row *row, int *widths)
{
    for (int i = 0; i < COLUMN_COUNT; i++)
        if ((int)strlen(row->cells[i]) > widths[i])
            widths[i] = (int)strlen(row->cells[i]);
}

static void print_row(const struct row *row, const int *widths, int first)
{
    for (int i = first; i < COLUMN_COUNT - 1; i++)
        printf("%-*s ", widths[i], row->cells[i]);
    puts(row->cells[COLUMN_COUNT - 1]);
}

/* What is wrong with it. */
static void print_troubles(struct tool *tool, const struct view *view)
{
    struct hint hint;

    hint_look(tool, view, &hint);
    if (view->texts[VIEW_FRONTEND_ERROR][0] != '\0')
        printf("    frontend: %s\n", view->texts[VIEW_FRONTEND_ERROR]);
    if (view->texts[VIEW_BACKEND_ERROR][0] != '\0')
        printf("    backend: %s\n", view->texts[VIEW_BACKEND_ERROR]);
    if (hint.trouble)
        printf("    %s\n", hint.text);
}

static void print_rows(struct tool *tool, const struct views *views, struct row *rows, bool one_domain)
{
    int first = one_domain ? COLUMN_DEVID : COLUMN_DOMAIN;
    int widths[COLUMN_COUNT] = {0};

    widen(&header, widths);
    for (size_t i = 0; i < views->count; i++) {
        fill_row(&views->items[i], &rows[i]);
        widen(&rows[i], widths);
    }
    print_row(&header, widths, first);
    for (size_t i = 0; i < views->count; i++) {
        print_row(&rows[i], widths, first);
        print_troubles(tool, &views->items[i]);
    }
}

static int print_table(struct tool *tool, const struct views *views, bool one_domain)
{
    struct row *rows = calloc(views->count + 1, sizeof(*rows));

    if (!rows)
        return -ENOMEM;
    print_rows(tool, views, rows, one_domain);
    free(rows);
    return 0;
}

/* --- JSON --- */

static int print_json(struct tool *tool, const struct views *views)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < views->count; i++) {
        struct hint hint;

        hint_look(tool, &views->items[i], &hint);
        json_object_array_add(array, view_json(&views->items[i], &hint));
    }
    view_print_json(array);
    return 0;
}

/* --- the command --- */

/* What a domain that is gone left behind is shown too, given its id. */
static int check_found(struct tool *tool, const domid_t *only, const struct views *views)
{
    if (!only || views->count > 0 || tool_has_domain(tool, *only))
        return 0;
    tool_complain(tool, "there is no such domain");
    return -ENOENT;
}

static int list(struct tool *tool, const domid_t *only, bool json)
{
    struct views views;
    int rc = views_read(tool, only, &views);

    if (rc < 0) {
        tool_complain(tool, "%s", tool_why(rc));
        return rc;
    }
    rc = check_found(tool, only, &views);
    if (rc == 0)
        rc = json ? print_json(tool, &views) : print_table(tool, &views, only);
    views_free(&views);
    return rc;
}

static int list_domain(struct tool *tool, const char *domain, bool json)
{
    domid_t domid;

    if (!domain)
        return list(tool, NULL, json);
    if (tool_find_domain(tool, domain, &domid) == 0)
        return list(tool, &domid, json);
    tool_complain(tool, "there is no such domain");
    return -ENOENT;
}

static int list_parsed(const char *domain, bool json)
{
    struct tool tool;
    int rc = tool_open(&tool, "list", domain);

    if (rc == 0)
        rc = list_domain(&tool, domain, json);
    tool_close(&tool);
    return rc < 0 ? EXIT_FAILURE : command_flush("list");
}

static int run(const struct command *command, int argc, char **argv)
{
    bool json;
    int code = command_take_json(command, argc, argv, &json);

    if (code)
        return code;
    if (argc - optind > 1)
        return command_usage(command, "wants one DOMAIN, or none");
    return list_parsed(argv[optind], json);
}

const struct command command_list = {
    "list", "[--json] [DOMAIN]", "Show the channels of a domain, or of all",
    "  -j, --json  as a JSON array, described in xl-vchan(8)\n", run};
