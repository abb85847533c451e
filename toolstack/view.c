/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "state/size.h"
#include "toolstack/json.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_STATE, KIND_FLAG };

/* Where a node is, and its name in JSON. */
static const struct {
    void (*path_of)(const struct device_id *id, char path[DEVICE_PATH_MAX]);
    const char *key, *json;
    enum kind kind;
} nodes[VIEW_COUNT] = {
    [VIEW_NAME] = {NULL, "name", "name", KIND_TEXT}, /* in whichever directory has it */
    [VIEW_CONNECTION] = {device_backend_path, "connection", "connection", KIND_TEXT},
    [VIEW_ONLINE] = {device_backend_path, "online", "online", KIND_FLAG},
    [VIEW_FRONTEND_STATE] = {device_frontend_path, "state", "frontend_state", KIND_STATE},
    [VIEW_BACKEND_STATE] = {device_backend_path, "state", "backend_state", KIND_STATE},
    [VIEW_EVENT_CHANNEL] = {device_frontend_path, "event-channel", "event_channel", KIND_NUMBER},
    [VIEW_RING_REF] = {device_frontend_path, "ring-ref", "ring_ref", KIND_NUMBER},
    [VIEW_READ_RING] = {device_frontend_path, "read-ring", "read_ring", KIND_NUMBER},
    [VIEW_WRITE_RING] = {device_frontend_path, "write-ring", "write_ring", KIND_NUMBER},
    [VIEW_FRONTEND_ERROR] = {device_frontend_path, "error", "frontend_error", KIND_TEXT},
    [VIEW_BACKEND_ERROR] = {device_backend_path, "error", "backend_error", KIND_TEXT},
};

static void read_node(struct store *store, enum view_node node, struct view *view)
{
    char *text = view->texts[node], dir[DEVICE_PATH_MAX], whole[STORE_VALUE_MAX];
    uint32_t state;

    nodes[node].path_of(&view->id, dir);
    if (store_read_text(store, dir, nodes[node].key, whole, sizeof(whole)) < 0)
        return;
    if (nodes[node].kind != KIND_STATE)
        snprintf(text, VIEW_TEXT_MAX, "%.*s", VIEW_TEXT_MAX - 1, whole);
    else if (parse_number(whole, XenbusStateReconfigured, &state) == 0)
        snprintf(text, VIEW_TEXT_MAX, "%s", xenbus_state_name((enum xenbus_state)state));
    else
        snprintf(text, VIEW_TEXT_MAX, "?%.*s", VIEW_TEXT_MAX - 2, whole);
    text_clean(text);
}

/* A service writes its statistics only now and then; newer knowledge wins. */
static void settle_traffic(struct view *view)
{
    enum xenbus_state state = view_state(view, VIEW_BACKEND_STATE);
    bool closed = state == XenbusStateClosed || view->served == SERVED_NO;

    if (!closed && state != XenbusStateInitWait)
        return;
    view->traffic.counts[TRAFFIC_SINCE] = view->traffic.counts[TRAFFIC_WAITING] = 0;
    view->traffic.counts[TRAFFIC_STREAMS] = view->traffic.counts[TRAFFIC_STORED] = 0;
    if (closed)
        view->traffic.peer[0] = '\0';
}

void view_read(struct tool *tool, const struct device_id *id, struct view *view)
{
    *view = (struct view){.id = *id};
    tool_domain_name(tool, id->frontend, view->domain);
    if (id->backend != DEVICE_BACKEND_UNKNOWN)
        tool_domain_name(tool, id->backend, view->backend);
    if (device_name_of(tool->store, id, view->texts[VIEW_NAME]) < 0)
        view->texts[VIEW_NAME][0] = '\0';
    for (enum view_node node = 0; node < VIEW_COUNT; node++)
        if (nodes[node].path_of)
            read_node(tool->store, node, view);
    if (id->backend != DEVICE_BACKEND_UNKNOWN)
        traffic_read(tool->store, id, &view->traffic);
    view->served = service_serves(tool, id);
    settle_traffic(view);
}

int views_read(struct tool *tool, const domid_t *only, struct views *views)
{
    struct devices devices;
    int rc = devices_scan(tool->store, &devices);

    *views = (struct views){.count = 0};
    if (rc < 0)
        return rc;
    views->items = calloc(devices.count + 1, sizeof(*views->items));
    for (size_t i = 0; i < devices.count && views->items; i++)
        if (!only || devices.ids[i].frontend == *only)
            view_read(tool, &devices.ids[i], &views->items[views->count++]);
    devices_free(&devices);
    return views->items ? 0 : -ENOMEM;
}

void views_free(struct views *views)
{
    free(views->items);
    *views = (struct views){.count = 0};
}

const char *view_text(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

void view_size(const char *text, char *out, size_t size)
{
    char few[SIZE_TEXT_MAX];
    uint32_t bytes;
    bool known = parse_number(text, UINT32_MAX, &bytes) == 0;

    if (known)
        size_format(bytes, few);
    snprintf(out, size, "%s", known ? few : view_text(text));
}

/* null: no such node. An invalid number or flag stays a string. */
static struct json_object *node_json(const struct view *view, enum view_node node)
{
    const char *text = view->texts[node];
    uint32_t value;

    if (text[0] == '\0')
        return NULL;
    if (nodes[node].kind == KIND_NUMBER && parse_number(text, UINT32_MAX, &value) == 0)
        return json_object_new_int64(value);
    if (nodes[node].kind == KIND_FLAG && parse_number(text, 1, &value) == 0)
        return json_object_new_boolean((json_bool)value);
    return json_text(text);
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

void view_time(uint64_t seconds, char *text, size_t size)
{
    time_t when = (time_t)seconds;
    struct tm local;

    if (when <= 0 || !localtime_r(&when, &local) || !strftime(text, size, "%F %T", &local))
        snprintf(text, size, "-");
}

/* null: unknown. */
static struct json_object *served_json(enum served served)
{
    return served == SERVED_UNKNOWN ? NULL : json_object_new_boolean(served == SERVED_YES);
}

/* null: not reported. */
static struct json_object *traffic_json(const struct traffic *traffic)
{
    struct json_object *object;

    if (!traffic->known)
        return NULL;
    object = json_object_new_object();
    for (size_t i = 0; i < TRAFFIC_COUNTS; i++)
        json_object_object_add(object, traffic_names[i],
                               json_object_new_uint64(traffic->counts[i]));
    json_object_object_add(object, "peer", json_text(traffic->peer));
    return object;
}

enum xenbus_state view_state(const struct view *view, enum view_node node)
{
    enum xenbus_state state = XenbusStateUnknown;

    xenbus_state_by_name(view->texts[node], &state);
    return state;
}

struct json_object *view_json(const struct view *view, const char *trouble, const char *hint)
{
    struct json_object *object = json_object_new_object();
    bool known = view->id.backend != DEVICE_BACKEND_UNKNOWN;

    json_object_object_add(object, "domain", json_text(view->domain));
    json_object_object_add(object, "domid", json_object_new_int(view->id.frontend));
    json_object_object_add(object, "devid", json_object_new_int64(view->id.devid));
    json_object_object_add(object, "backend", known ? json_text(view->backend) : NULL);
    json_object_object_add(object, "backend_domid",
                           known ? json_object_new_int(view->id.backend) : NULL);
    for (enum view_node node = 0; node < VIEW_COUNT; node++)
        json_object_object_add(object, nodes[node].json, node_json(view, node));
    add_paths(object, &view->id);
    json_object_object_add(object, "statistics", traffic_json(&view->traffic));
    json_object_object_add(object, "served", served_json(view->served));
    json_object_object_add(object, "trouble", json_text(trouble));
    json_object_object_add(object, "hint", json_text(hint));
    return object;
}

void view_print_json(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}
