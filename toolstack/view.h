/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels as the commands show them: each node as text, even an invalid one, and as JSON. */
#ifndef TOOLSTACK_VIEW_H
#define TOOLSTACK_VIEW_H

#include <json-c/json.h>

#include "toolstack/devices.h"
#include "toolstack/service.h"
#include "toolstack/tool.h"
#include "toolstack/traffic.h"

/* Room for a node's text and its NUL; a longer one is cut. */
#define VIEW_TEXT_MAX 256

enum view_node {
    VIEW_NAME,
    VIEW_CONNECTION,
    VIEW_ONLINE,
    VIEW_FRONTEND_STATE,
    VIEW_BACKEND_STATE,
    VIEW_EVENT_CHANNEL,
    VIEW_RING_REF,
    VIEW_READ_RING,
    VIEW_WRITE_RING,
    VIEW_FRONTEND_ERROR,
    VIEW_BACKEND_ERROR,
    VIEW_COUNT,
};

/* A device to show. An empty text: there is no such node. */
struct view {
    struct device_id id;
    char domain[TOOL_NAME_MAX];
    char backend[TOOL_NAME_MAX];
    char texts[VIEW_COUNT][VIEW_TEXT_MAX];
    struct traffic traffic;
    enum served served;
};

struct views {
    struct view *items;
    size_t count;
};

/* Reads a device from xenstore. What cannot be read is empty. */
void view_read(struct tool *tool, const struct device_id *id, struct view *view);

/*
 * Reads all devices, or those of one frontend domain. Returns 0, and the caller calls views_free();
 * or a negative errno with *views empty. Prints nothing.
 */
int views_read(struct tool *tool, const domid_t *only, struct views *views);
void views_free(struct views *views);

/* The text, or "-" if it is empty. */
const char *view_text(const char *text);

/* Formats a number of bytes briefly, 65536 as 64K; leaves other text unchanged. */
void view_size(const char *text, char *out, size_t size);

/* Formats seconds since 1970 as local time; "-" for 0 or an invalid time. */
void view_time(uint64_t seconds, char *text, size_t size);

/* The state in a node; XenbusStateUnknown if it is missing or invalid. */
enum xenbus_state view_state(const struct view *view, enum view_node node);

/*
 * One device as in man/xl-vchan.8.scd, "JSON", with the texts of hint_trouble() and hint_find().
 * Owned by the caller.
 */
struct json_object *view_json(const struct view *view, const char *trouble, const char *hint);

/* Prints JSON, indented, and frees it. */
void view_print_json(struct json_object *object);

#endif
