/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan show: prints everything about one channel. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/spec.h"
#include "toolstack/command.h"
#include "toolstack/hint.h"
#include "toolstack/json.h"
#include "toolstack/event-channel.h"
#include "toolstack/view.h"

struct show {
    struct tool tool;
    const char *domain, *name;
    bool json;
    struct view view;
    char details[SPEC_KEYS][STORE_VALUE_MAX]; /* of the private keys */
    char port[TOOL_NAME_MAX + 64]; /* Xen's answer about the event channel */
    uint32_t grants;               /* pages granted by the frontend; 0: none */
    struct hint hint;
};

/* Reads the nodes as they are, valid or not. */
static void read_details(struct show *show)
{
    char libxl[DEVICE_PATH_MAX], dir[DEVICE_PATH_MAX + 16];

    device_libxl_path(&show->view.id, libxl);
    snprintf(dir, sizeof(dir), "%s/private", libxl);
    for (enum spec_key key = 0; key < SPEC_KEYS; key++)
        if (spec_fields[key].place == SPEC_AT_PRIVATE &&
            store_read_text(show->tool.store, dir, spec_fields[key].key, show->details[key],
                            sizeof(show->details[key])) == 0)
            text_clean(show->details[key]);
}

/* What the service does where nothing is declared. */
static void fill_default_path(struct show *show)
{
    const struct view *view = &show->view;
    struct spec usual = spec_usual(view->texts[VIEW_CONNECTION]);
    char *path = show->details[SPEC_PATH];

    if (path[0] == '\0' && spec_has_default(&usual, SPEC_PATH))
        spec_default_path(view->id.frontend, view->texts[VIEW_NAME], path);
}

/* Asks Xen about the port. If that fails, the text says so. */
static void read_port(struct show *show)
{
    char domain[TOOL_NAME_MAX];
    uint32_t number;
    struct event_channel port;

    if (parse_number(show->view.texts[VIEW_EVENT_CHANNEL], UINT32_MAX, &number) < 0)
        return;
    event_channel_query(&show->tool, show->view.id.frontend, number, &port);
    tool_domain_name(&show->tool, port.peer, domain);
    if (port.use == EVENT_CHANNEL_UNBOUND)
        snprintf(show->port, sizeof(show->port), "unbound, for %s", domain);
    else if (port.use == EVENT_CHANNEL_BOUND)
        snprintf(show->port, sizeof(show->port), "bound to port %u of %s", port.number, domain);
    else if (port.use == EVENT_CHANNEL_CLOSED)
        snprintf(show->port, sizeof(show->port), "not in use");
    else
        snprintf(show->port, sizeof(show->port), "unknown: %s", strerror(port.error));
}

/* Counts the shared page and the pages of the rings that lie outside it. */
static void count_grants(struct show *show)
{
    static const enum view_node rings[] = {VIEW_READ_RING, VIEW_WRITE_RING};
    uint32_t bytes;

    if (show->view.texts[VIEW_RING_REF][0] == '\0')
        return;
    show->grants = 1;
    for (size_t i = 0; i < 2; i++)
        if (parse_number(show->view.texts[rings[i]], RING_SIZE_MAX, &bytes) == 0)
            show->grants += bytes >> RING_ORDER_PAGE;
}

/* --- as text --- */

static void line(const char *key, const char *text)
{
    printf("%-15s %s\n", key, view_text(text));
}

static void line_domain(const char *key, const char *name, domid_t domid)
{
    if (domid == DEVICE_BACKEND_UNKNOWN)
        line(key, "");
    else
        printf("%-15s %s (domid %u)\n", key, name, domid);
}

static void line_size(const char *key, const char *text)
{
    char size[VIEW_TEXT_MAX];

    view_size(text, size, sizeof(size));
    line(key, size);
}

static const char *flag_text(const char *text)
{
    return strcmp(text, "1") == 0 ? "yes" : strcmp(text, "0") == 0 ? "no" : text;
}

static const char *served_text(enum served served)
{
    return served == SERVED_YES ? "yes" : served == SERVED_NO ? "no" : "";
}

static void print_connection(const struct show *show)
{
    line("connection", show->view.texts[VIEW_CONNECTION]);
    for (enum spec_key key = 0; key < SPEC_KEYS; key++) {
        const char *text = show->details[key];

        if (text[0] != '\0')
            line(spec_fields[key].key,
                 spec_fields[key].type == SPEC_TYPE_FLAG ? flag_text(text) : text);
    }
    line("online", flag_text(show->view.texts[VIEW_ONLINE]));
}

static void print_rings(const struct show *show)
{
    const struct view *view = &show->view;

    line_size("read ring", view->texts[VIEW_READ_RING]);
    line_size("write ring", view->texts[VIEW_WRITE_RING]);
    if (show->port[0] != '\0')
        printf("%-15s %s, %s\n", "event channel", view->texts[VIEW_EVENT_CHANNEL], show->port);
    else
        line("event channel", "");
    if (show->grants)
        printf("%-15s %s, %u page%s granted\n", "ring ref", view->texts[VIEW_RING_REF],
               show->grants, show->grants == 1 ? "" : "s");
    else
        line("ring ref", "");
}

static void line_bytes(const char *key, uint64_t bytes)
{
    char text[16];

    traffic_short(bytes, text, sizeof(text));
    if (bytes < 1000)
        printf("%-15s %s bytes\n", key, text);
    else
        printf("%-15s %s (%" PRIu64 " bytes)\n", key, text, bytes);
}

/* Prints nothing of a channel that has carried no streams. */
static void print_streams(const uint64_t counts[TRAFFIC_COUNTS])
{
    if (!counts[TRAFFIC_STREAMS] && !counts[TRAFFIC_OPENED] && !counts[TRAFFIC_REFUSED] &&
        !counts[TRAFFIC_RESET])
        return;
    printf("%-15s %" PRIu64 " open, %" PRIu64 " opened so far, %" PRIu64 " refused, %" PRIu64
           " reset\n",
           "streams", counts[TRAFFIC_STREAMS], counts[TRAFFIC_OPENED], counts[TRAFFIC_REFUSED],
           counts[TRAFFIC_RESET]);
    if (counts[TRAFFIC_STORED])
        line_bytes("stored", counts[TRAFFIC_STORED]);
}

static void print_traffic(const struct traffic *traffic)
{
    const uint64_t *counts = traffic->counts;
    char since[64];

    if (!traffic->known)
        return;
    view_time(counts[TRAFFIC_SINCE], since, sizeof(since));
    printf("%-15s %s\n", "connected since", since);
    printf("%-15s %" PRIu64 " so far\n", "connections", counts[TRAFFIC_CONNECTIONS]);
    line("peer", traffic->peer);
    if (counts[TRAFFIC_WAITING])
        line("waiting client", "yes");
    print_streams(counts);
    line_bytes("from frontend", counts[TRAFFIC_RECEIVED]);
    line_bytes("to frontend", counts[TRAFFIC_SENT]);
    printf("%-15s %" PRIu64 " from frontend, %" PRIu64 " to it\n", "signals",
           counts[TRAFFIC_SLEEPS], counts[TRAFFIC_WAKES]);
}

static void print_details(const struct show *show)
{
    const struct view *view = &show->view;
    char path[DEVICE_PATH_MAX];

    line("name", view->texts[VIEW_NAME]);
    line_domain("frontend", view->domain, view->id.frontend);
    printf("%-15s %u\n", "devid", view->id.devid);
    line_domain("backend", view->backend, view->id.backend);
    print_connection(show);
    line("frontend state", view->texts[VIEW_FRONTEND_STATE]);
    line("frontend error", view->texts[VIEW_FRONTEND_ERROR]);
    line("backend state", view->texts[VIEW_BACKEND_STATE]);
    line("backend error", view->texts[VIEW_BACKEND_ERROR]);
    line("served", served_text(view->served));
    line("hint", show->hint.text);
    print_traffic(&view->traffic);
    print_rings(show);
    device_frontend_path(&view->id, path);
    line("frontend path", path);
    device_backend_path(&view->id, path);
    line("backend path", view->id.backend == DEVICE_BACKEND_UNKNOWN ? "" : path);
}

/* --- as JSON: what list has, and more --- */

/* null: missing. An invalid flag stays a string. */
static struct json_object *detail_json(const struct show *show, enum spec_key key)
{
    const char *text = show->details[key];
    uint32_t flag;

    if (spec_fields[key].type == SPEC_TYPE_FLAG && parse_number(text, 1, &flag) == 0)
        return json_object_new_boolean((json_bool)flag);
    return json_text(text);
}

static void print_details_json(const struct show *show)
{
    struct json_object *object = view_json(&show->view, hint_trouble(&show->view, &show->hint), show->hint.text);

    for (enum spec_key key = 0; key < SPEC_KEYS; key++)
        if (spec_fields[key].place == SPEC_AT_PRIVATE)
            json_object_object_add(object, spec_fields[key].key, detail_json(show, key));
    json_object_object_add(object, "event_channel_status",
                           json_text(show->port));
    json_object_object_add(object, "granted_pages",
                           show->grants ? json_object_new_int64(show->grants) : NULL);
    view_print_json(object);
}

static int show_channel(struct show *show)
{
    struct device_id id;
    int rc = command_find_channel(&show->tool, show->domain, show->name, &id);

    if (rc < 0)
        return rc;
    view_read(&show->tool, &id, &show->view);
    read_details(show);
    fill_default_path(show);
    read_port(show);
    count_grants(show);
    hint_find(&show->tool, &show->view, &show->hint);
    if (show->json)
        print_details_json(show);
    else
        print_details(show);
    return 0;
}

static int show_parsed(struct show *show)
{
    int rc = tool_open(&show->tool, "show", show->domain);

    if (rc == 0)
        rc = show_channel(show);
    tool_close(&show->tool);
    return rc < 0 ? EXIT_FAILURE : command_flush("show");
}

static int run_show(const struct command *command, int argc, char **argv)
{
    struct show show = {.json = false};
    int code = command_take_json(command, argc, argv, &show.json);

    if (code)
        return code;
    if (argc - optind != 2)
        return command_usage(command, "expected a DOMAIN and the NAME of its channel");
    show.domain = argv[optind];
    show.name = argv[optind + 1];
    return show_parsed(&show);
}

const struct command command_show = {"show", "[--json] DOMAIN NAME",
                                     "Show everything about one channel",
                                     "NAME is the channel's name, or its Idx in xl-vchan list.\n"
                                     "  -j, --json  as a JSON object, described in xl-vchan(8)\n",
                                     run_show};
