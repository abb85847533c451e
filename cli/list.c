/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vchan list: prints the channels of this domain as a table or as JSON. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpvchan/channels.h"
#include "cli/command.h"

#define COLUMNS    6
#define CELL_BYTES (2 * CHANNELS_ERROR_MAX + 32)

static const char *role_name(const struct channel_view *view)
{
    return view->role == MACHINE_FRONTEND ? "frontend" : "backend";
}

static const char *state_text(enum xenbus_state state)
{
    return state == XenbusStateUnknown ? "-" : xenbus_state_name(state);
}

static const char *or_dash(const char *text)
{
    return text[0] ? text : "-";
}

/* ---- the table ---- */

static void set_cell(char *cell, const char *text)
{
    snprintf(cell, CELL_BYTES, "%s", text);
}

static void fill_peer(const struct channel_view *view, char *cell)
{
    if (view->peer == DOMID_INVALID)
        set_cell(cell, "-");
    else
        snprintf(cell, CELL_BYTES, "%u", view->peer);
}

static void fill_error(const struct channel_view *view, char *cell)
{
    bool both = view->frontend_error[0] && view->backend_error[0];
    const char *none = view->peer_state == XenbusStateUnknown ? "the peer is not there" : "-";

    if (both)
        snprintf(cell, CELL_BYTES, "frontend: %s; backend: %s", view->frontend_error,
                 view->backend_error);
    else
        set_cell(cell, view->frontend_error[0]  ? view->frontend_error
                       : view->backend_error[0] ? view->backend_error
                                                : none);
}

static void fill_row(const struct channel_view *view, char cells[COLUMNS][CELL_BYTES])
{
    static const char *const headings[COLUMNS] = {"NAME",  "ROLE",       "PEER",
                                                  "STATE", "PEER-STATE", "ERROR"};

    if (!view) {
        for (size_t i = 0; i < COLUMNS; i++)
            set_cell(cells[i], headings[i]);
        return;
    }
    set_cell(cells[0], or_dash(view->name));
    set_cell(cells[1], role_name(view));
    fill_peer(view, cells[2]);
    set_cell(cells[3], state_text(view->state));
    set_cell(cells[4], state_text(view->peer_state));
    fill_error(view, cells[5]);
}

/* Calls use() for the headings and for each row. */
static void each_row(const struct channel_view *views, size_t count, int widths[COLUMNS],
                     void (*use)(char cells[COLUMNS][CELL_BYTES], int widths[COLUMNS]))
{
    char cells[COLUMNS][CELL_BYTES];

    for (size_t i = 0; i <= count; i++) {
        fill_row(i == 0 ? NULL : &views[i - 1], cells);
        use(cells, widths);
    }
}

static void widen(char cells[COLUMNS][CELL_BYTES], int widths[COLUMNS])
{
    for (size_t i = 0; i < COLUMNS - 1; i++) /* the last column needs no width */
        if (widths[i] < (int)strlen(cells[i]))
            widths[i] = (int)strlen(cells[i]);
}

static void print_row(char cells[COLUMNS][CELL_BYTES], int widths[COLUMNS])
{
    for (size_t i = 0; i < COLUMNS - 1; i++)
        printf("%-*s  ", widths[i], cells[i]);
    puts(cells[COLUMNS - 1]);
}

static void print_table(const struct channel_view *views, size_t count)
{
    int widths[COLUMNS] = {0};

    each_row(views, count, widths, widen);
    each_row(views, count, widths, print_row);
}

/* ---- JSON ---- */

static struct json_object *json_text(const char *text)
{
    return text[0] ? json_object_new_string(text) : NULL;
}

static struct json_object *json_state(enum xenbus_state state)
{
    return state == XenbusStateUnknown ? NULL : json_object_new_string(xenbus_state_name(state));
}

static struct json_object *json_view(const struct channel_view *view)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "name", json_text(view->name));
    json_object_object_add(object, "role", json_object_new_string(role_name(view)));
    json_object_object_add(object, "devid", json_object_new_int64(view->devid));
    json_object_object_add(object, "peer",
                           view->peer == DOMID_INVALID ? NULL : json_object_new_int(view->peer));
    json_object_object_add(object, "state", json_state(view->state));
    json_object_object_add(object, "peer_state", json_state(view->peer_state));
    json_object_object_add(object, "frontend_error", json_text(view->frontend_error));
    json_object_object_add(object, "backend_error", json_text(view->backend_error));
    return object;
}

static void print_json(const struct channel_view *views, size_t count)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < count; i++)
        json_object_array_add(array, json_view(&views[i]));
    puts(json_object_to_json_string_ext(array,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(array);
}

int list_run(const struct options *options, int argc, char **argv)
{
    struct channel_view *views;
    struct store *store;
    size_t count;
    int rc;

    if (argc > 0)
        return complain(EXIT_USAGE, "list: \"%s\": unexpected argument", argv[0]);
    rc = store_open(&store);
    if (rc < 0)
        return complain(EXIT_LOCAL,
                        "cannot connect to xenstore: %s (run it as root in a Xen domain)",
                        strerror(-rc));
    rc = channels_list(store, &views, &count);
    store_close(store);
    if (rc < 0)
        return complain(EXIT_LOCAL, "cannot list the channels: %s", strerror(-rc));
    (options->json ? print_json : print_table)(views, count);
    free(views);
    return output_end();
}
