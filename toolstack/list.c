/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan list: the channels, as xenstore has them, odd ones too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>

#include "toolstack/command.h"
#include "toolstack/devices.h"

/* Room for a node's text and its NUL; a longer one is cut. */
#define TEXT_MAX 256

enum kind { KIND_TEXT, KIND_NUMBER, KIND_STATE, KIND_FLAG };

enum node {
    NODE_NAME,
    NODE_CONNECTION,
    NODE_ONLINE,
    NODE_FRONTEND_STATE,
    NODE_BACKEND_STATE,
    NODE_EVENT_CHANNEL,
    NODE_RING_REF,
    NODE_READ_RING,
    NODE_WRITE_RING,
    NODE_FRONTEND_ERROR,
    NODE_BACKEND_ERROR,
    NODE_COUNT,
};

/* Where a node is, and what it is called in JSON. */
static const struct {
    void (*path_of)(const struct device_id *id, char path[DEVICE_PATH_MAX]);
    const char *key, *json;
    enum kind kind;
} nodes[NODE_COUNT] = {
    [NODE_NAME] = {NULL, "name", "name", KIND_TEXT}, /* wherever there is one */
    [NODE_CONNECTION] = {device_backend_path, "connection", "connection", KIND_TEXT},
    [NODE_ONLINE] = {device_backend_path, "online", "online", KIND_FLAG},
    [NODE_FRONTEND_STATE] = {device_frontend_path, "state", "frontend_state", KIND_STATE},
    [NODE_BACKEND_STATE] = {device_backend_path, "state", "backend_state", KIND_STATE},
    [NODE_EVENT_CHANNEL] = {device_frontend_path, "event-channel", "event_channel", KIND_NUMBER},
    [NODE_RING_REF] = {device_frontend_path, "ring-ref", "ring_ref", KIND_NUMBER},
    [NODE_READ_RING] = {device_frontend_path, "read-ring", "read_ring", KIND_NUMBER},
    [NODE_WRITE_RING] = {device_frontend_path, "write-ring", "write_ring", KIND_NUMBER},
    [NODE_FRONTEND_ERROR] = {device_frontend_path, "error", "frontend_error", KIND_TEXT},
    [NODE_BACKEND_ERROR] = {device_backend_path, "error", "backend_error", KIND_TEXT},
};

/* A device as it is shown; a text that is empty: there is no such node. */
struct view {
    struct device_id id;
    char domain[TOOL_NAME_MAX];
    char backend[TOOL_NAME_MAX];
    char texts[NODE_COUNT][TEXT_MAX];
};

static void read_node(struct store *store, enum node node, struct view *view)
{
    char *text = view->texts[node], dir[DEVICE_PATH_MAX], whole[STORE_VALUE_MAX];
    uint32_t state;

    nodes[node].path_of(&view->id, dir);
    if (store_read_text(store, dir, nodes[node].key, whole, sizeof(whole)) < 0)
        return;
    tool_clean(whole);
    if (nodes[node].kind != KIND_STATE)
        snprintf(text, TEXT_MAX, "%.*s", TEXT_MAX - 1, whole);
    else if (parse_number(whole, XenbusStateReconfigured, &state) == 0)
        snprintf(text, TEXT_MAX, "%s", xenbus_state_name((enum xenbus_state)state));
    else
        snprintf(text, TEXT_MAX, "?%.*s", TEXT_MAX - 2, whole);
}

static void read_view(struct tool *tool, const struct device_id *id, struct view *view)
{
    *view = (struct view){.id = *id};
    tool_domain_name(tool, id->frontend, view->domain);
    if (id->backend != DEVICE_BACKEND_UNKNOWN)
        tool_domain_name(tool, id->backend, view->backend);
    if (device_name_of(tool->store, id, view->texts[NODE_NAME]) < 0)
        view->texts[NODE_NAME][0] = '\0';
    for (enum node node = 0; node < NODE_COUNT; node++)
        if (nodes[node].path_of)
            read_node(tool->store, node, view);
}

struct views {
    struct view *items;
    size_t count;
};

/* Reads all devices, or those of one domain. */
static int read_views(struct tool *tool, const domid_t *only, struct views *views)
{
    struct devices devices;
    int rc = devices_scan(tool->store, &devices);

    *views = (struct views){.count = 0};
    if (rc < 0)
        return rc;
    views->items = calloc(devices.count + 1, sizeof(*views->items));
    for (size_t i = 0; i < devices.count && views->items; i++)
        if (!only || devices.ids[i].frontend == *only)
            read_view(tool, &devices.ids[i], &views->items[views->count++]);
    devices_free(&devices);
    return views->items ? 0 : -ENOMEM;
}

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

#define CELL_MAX (2 * TEXT_MAX)

struct row {
    char cells[COLUMN_COUNT][CELL_MAX];
};

static const struct row header = {
    {"Domain", "Idx", "BE", "Name", "FE/BE state", "evt-ch", "ring-ref", "r/w-ring", "BE-path"}};

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

/* 65536 as 64K; what is no number as it is. */
static void format_size(const char *text, char *out, size_t size)
{
    uint32_t bytes;

    if (parse_number(text, UINT32_MAX, &bytes) < 0)
        snprintf(out, size, "%s", or_dash(text));
    else if (bytes && bytes % (1 << 20) == 0)
        snprintf(out, size, "%uM", bytes >> 20);
    else if (bytes && bytes % (1 << 10) == 0)
        snprintf(out, size, "%uK", bytes >> 10);
    else
        snprintf(out, size, "%u", bytes);
}

static void fill_row(const struct view *view, struct row *row)
{
    const char(*texts)[TEXT_MAX] = view->texts;
    char read[TEXT_MAX], write[TEXT_MAX];

    format_size(texts[NODE_READ_RING], read, sizeof(read));
    format_size(texts[NODE_WRITE_RING], write, sizeof(write));
    snprintf(row->cells[COLUMN_DOMAIN], CELL_MAX, "%s", view->domain);
    snprintf(row->cells[COLUMN_DEVID], CELL_MAX, "%u", view->id.devid);
    snprintf(row->cells[COLUMN_BACKEND], CELL_MAX, "%s", or_dash(view->backend));
    snprintf(row->cells[COLUMN_NAME], CELL_MAX, "%s", or_dash(texts[NODE_NAME]));
    snprintf(row->cells[COLUMN_STATE], CELL_MAX, "%s/%s", or_dash(texts[NODE_FRONTEND_STATE]),
             or_dash(texts[NODE_BACKEND_STATE]));
    snprintf(row->cells[COLUMN_EVENT_CHANNEL], CELL_MAX, "%s", or_dash(texts[NODE_EVENT_CHANNEL]));
    snprintf(row->cells[COLUMN_RING_REF], CELL_MAX, "%s", or_dash(texts[NODE_RING_REF]));
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

static void print_errors(const struct view *view)
{
    if (view->texts[NODE_FRONTEND_ERROR][0] != '\0')
        printf("    frontend: %s\n", view->texts[NODE_FRONTEND_ERROR]);
    if (view->texts[NODE_BACKEND_ERROR][0] != '\0')
        printf("    backend: %s\n", view->texts[NODE_BACKEND_ERROR]);
}

static void print_rows(const struct views *views, struct row *rows, bool one_domain)
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
        print_errors(&views->items[i]);
    }
}

static int print_table(const struct views *views, bool one_domain)
{
    struct row *rows = calloc(views->count + 1, sizeof(*rows));

    if (!rows)
        return -ENOMEM;
    print_rows(views, rows, one_domain);
    free(rows);
    return 0;
}

/* --- JSON --- */

/* null: no such node. A number or a flag that is none stays a string. */
static struct json_object *node_json(const struct view *view, enum node node)
{
    const char *text = view->texts[node];
    uint32_t value;

    if (text[0] == '\0')
        return NULL;
    if (nodes[node].kind == KIND_NUMBER && parse_number(text, UINT32_MAX, &value) == 0)
        return json_object_new_int64(value);
    if (nodes[node].kind == KIND_FLAG && parse_number(text, 1, &value) == 0)
        return json_object_new_boolean((json_bool)value);
    return json_object_new_string(text);
}

static void add_paths(struct json_object *object, const struct device_id *id)
{
    char path[DEVICE_PATH_MAX];

    device_frontend_path(id, path);
    json_object_object_add(object, "frontend_path", json_object_new_string(path));
    device_backend_path(id, path);
    json_object_object_add(object, "backend_path",
                           id->backend == DEVICE_BACKEND_UNKNOWN ? NULL
                                                                 : json_object_new_string(path));
}

static struct json_object *view_json(const struct view *view)
{
    struct json_object *object = json_object_new_object();
    bool known = view->id.backend != DEVICE_BACKEND_UNKNOWN;

    json_object_object_add(object, "domain", json_object_new_string(view->domain));
    json_object_object_add(object, "domid", json_object_new_int(view->id.frontend));
    json_object_object_add(object, "devid", json_object_new_int64(view->id.devid));
    json_object_object_add(object, "backend", known ? json_object_new_string(view->backend) : NULL);
    json_object_object_add(object, "backend_domid",
                           known ? json_object_new_int(view->id.backend) : NULL);
    for (enum node node = 0; node < NODE_COUNT; node++)
        json_object_object_add(object, nodes[node].json, node_json(view, node));
    add_paths(object, &view->id);
    return object;
}

static int print_json(const struct views *views)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < views->count; i++)
        json_object_array_add(array, view_json(&views->items[i]));
    puts(json_object_to_json_string_ext(array,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(array);
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
    int rc = read_views(tool, only, &views);

    if (rc < 0) {
        tool_complain(tool, "%s", tool_why(rc));
        return rc;
    }
    rc = check_found(tool, only, &views);
    if (rc == 0)
        rc = json ? print_json(&views) : print_table(&views, only);
    free(views.items);
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
    if (rc == 0 && fflush(stdout) != 0) {
        fprintf(stderr, "xl-vchan: list: cannot write: %s\n", strerror(errno));
        rc = -EIO;
    }
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    bool json = false;
    int opt;

    while ((opt = getopt_long(argc, argv, ":j", options, NULL)) != -1) {
        if (opt != 'j')
            return command_bad_option(command, opt, argv);
        json = true;
    }
    if (argc - optind > 1)
        return command_usage(command, "wants one DOMAIN, or none");
    return list_parsed(argv[optind], json);
}

const struct command command_list = {
    "list", "[--json] [DOMAIN]", "Show the channels of a domain, or of all",
    "  -j, --json  as a JSON array, described in xl-vchan(8)\n", run};
