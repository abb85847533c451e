/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan list: prints the channels as xenstore has them, including incomplete ones. */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/command.h"
#include "toolstack/hint.h"
#include "toolstack/present.h"
#include "toolstack/spec-json.h"
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
    COLUMN_RECEIVED,
    COLUMN_SENT,
    COLUMN_SINCE,
    COLUMN_PEER,
    COLUMN_COUNT,
};

static const enum column usual[] = {
    COLUMN_DOMAIN,        COLUMN_DEVID,    COLUMN_BACKEND, COLUMN_NAME, COLUMN_STATE,
    COLUMN_EVENT_CHANNEL, COLUMN_RING_REF, COLUMN_RINGS,   COLUMN_PATH, COLUMN_COUNT,
};
static const enum column longer[] = {
    COLUMN_DOMAIN,   COLUMN_DEVID, COLUMN_BACKEND, COLUMN_NAME, COLUMN_STATE, COLUMN_RINGS,
    COLUMN_RECEIVED, COLUMN_SENT,  COLUMN_SINCE,   COLUMN_PEER, COLUMN_COUNT,
};

/* The options. */
struct list {
    struct tool tool;
    const char *domain;         /* NULL: all */
    /* ends with COLUMN_COUNT; the first is skipped if one domain was named */
    const enum column *columns;
    bool json;
};

#define CELL_MAX (2ul * VIEW_TEXT_MAX)

struct row {
    char cells[COLUMN_COUNT][CELL_MAX];
};

static const struct row header = {{"Domain", "Idx", "BE", "Name", "FE/BE state", "evt-ch",
                                   "ring-ref", "r/w-ring", "BE-path", "FE>BE", "BE>FE",
                                   "Connected since", "Peer"}};

static void fill_traffic(const struct traffic *traffic, struct row *row)
{
    for (enum column i = COLUMN_RECEIVED; i <= COLUMN_PEER; i++)
        strcpy(row->cells[i], "-");
    if (!traffic->known)
        return;
    traffic_short(traffic->counts[TRAFFIC_RECEIVED], row->cells[COLUMN_RECEIVED], CELL_MAX);
    traffic_short(traffic->counts[TRAFFIC_SENT], row->cells[COLUMN_SENT], CELL_MAX);
    view_time(traffic->counts[TRAFFIC_SINCE], row->cells[COLUMN_SINCE], CELL_MAX);
    if (traffic->counts[TRAFFIC_STREAMS])
        snprintf(row->cells[COLUMN_PEER], CELL_MAX, "%" PRIu64 " stream%s",
                 traffic->counts[TRAFFIC_STREAMS],
                 traffic->counts[TRAFFIC_STREAMS] == 1 ? "" : "s");
    else
        snprintf(row->cells[COLUMN_PEER], CELL_MAX, "%s%s", view_text(traffic->peer),
                 traffic->counts[TRAFFIC_WAITING] ? " (another client is waiting)" : "");
}

static void fill_cells(const struct view *view, struct row *row)
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
    fill_traffic(&view->traffic, row);
}

static void widen_columns(const struct row *row, int *widths)
{
    for (int i = 0; i < COLUMN_COUNT; i++)
        if (text_width(row->cells[i]) > widths[i])
            widths[i] = text_width(row->cells[i]);
}

static void print_cells(const struct list *list, const struct row *row, const int *widths)
{
    const enum column *column = list->columns + (list->domain ? 1 : 0);

    for (; column[1] != COLUMN_COUNT; column++)
        printf("%s%*s ", row->cells[*column],
               widths[*column] - text_width(row->cells[*column]), "");
    puts(row->cells[*column]);
}

/* Prints what is wrong with a channel. */
static void print_troubles(struct tool *tool, const struct view *view)
{
    struct hint hint;

    hint_find(tool, view, &hint);
    if (view->texts[VIEW_FRONTEND_ERROR][0] != '\0')
        printf("    frontend: %s\n", view->texts[VIEW_FRONTEND_ERROR]);
    if (view->texts[VIEW_BACKEND_ERROR][0] != '\0')
        printf("    backend: %s\n", view->texts[VIEW_BACKEND_ERROR]);
    if (hint.trouble)
        printf("    %s\n", hint.text);
}

static void print_rows(struct list *list, const struct views *views, struct row *rows)
{
    int widths[COLUMN_COUNT] = {0};

    widen_columns(&header, widths);
    for (size_t i = 0; i < views->count; i++) {
        fill_cells(&views->items[i], &rows[i]);
        widen_columns(&rows[i], widths);
    }
    print_cells(list, &header, widths);
    for (size_t i = 0; i < views->count; i++) {
        print_cells(list, &rows[i], widths);
        print_troubles(&list->tool, &views->items[i]);
    }
}

static int print_views(struct list *list, const struct views *views)
{
    struct row *rows = calloc(views->count + 1, sizeof(*rows));

    if (!rows)
        return -ENOMEM;
    print_rows(list, views, rows);
    free(rows);
    return 0;
}

/* --- JSON --- */

/* The form that attach --json accepts. null: the toolstack's nodes do not describe a channel. */
static struct json_object *channel_json(struct tool *tool, const struct device_id *id)
{
    struct spec spec;

    return present_read_one(tool, id, &spec) == 1 ? spec_to_json(&spec) : NULL;
}

static int print_views_json(struct tool *tool, const struct views *views)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < views->count; i++) {
        struct hint hint;

        struct json_object *object;

        hint_find(tool, &views->items[i], &hint);
        object = view_json(&views->items[i], hint_trouble(&views->items[i], &hint), hint.text);
        json_object_object_add(object, "channel", channel_json(tool, &views->items[i].id));
        json_object_array_add(array, object);
    }
    view_print_json(array);
    return 0;
}

/* --- the command --- */

/* A dead domain's leftovers are shown, too, if its id was given. */
static int check_found(struct tool *tool, const domid_t *only, const struct views *views)
{
    if (!only || views->count > 0 || tool_has_domain(tool, *only))
        return 0;
    tool_complain(tool, "there is no such domain");
    return -ENOENT;
}

static int list_views(struct list *list, const domid_t *only)
{
    struct views views;
    int rc = views_read(&list->tool, only, &views);

    if (rc < 0) {
        tool_complain(&list->tool, "%s", tool_why(rc));
        return rc;
    }
    rc = check_found(&list->tool, only, &views);
    if (rc == 0)
        rc = list->json ? print_views_json(&list->tool, &views) : print_views(list, &views);
    views_free(&views);
    return rc;
}

static int list_domain(struct list *list)
{
    domid_t domid;

    if (!list->domain)
        return list_views(list, NULL);
    if (tool_find_domain(&list->tool, list->domain, &domid) == 0)
        return list_views(list, &domid);
    tool_complain(&list->tool, "there is no such domain");
    return -ENOENT;
}

static int list_parsed(struct list *list)
{
    int rc = tool_open(&list->tool, "list", list->domain);

    if (rc == 0)
        rc = list_domain(list);
    tool_close(&list->tool);
    return rc < 0 ? EXIT_FAILURE : command_flush("list");
}

static int run_list(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"long", no_argument, NULL, 'l'}, {0}};
    struct list list = {.columns = usual};
    int opt;

    while ((opt = getopt_long(argc, argv, ":jl", options, NULL)) != -1) {
        if (opt == 'j')
            list.json = true;
        else if (opt == 'l')
            list.columns = longer;
        else
            return command_bad_option(command, opt, argv);
    }
    if (argc - optind > 1)
        return command_usage(command, "expected at most one DOMAIN");
    list.domain = argv[optind];
    setlocale(LC_CTYPE, "");
    return list_parsed(&list);
}

const struct command command_list = {
    "list", "[--long | --json] [DOMAIN]", "Show the channels of a domain, or of all",
    "  -l, --long  show traffic and connected programs in place of ports and paths\n"
    "  -j, --json  as a JSON array with everything, described in xl-vchan(8)\n",
    run_list};
