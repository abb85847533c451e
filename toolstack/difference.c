/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/difference.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/identity.h"
#include "toolstack/json.h"
#include "toolstack/plug.h"
#include "toolstack/view.h"

/* Room for a value as text and its NUL. */
#define VALUE_MAX (DECLARATION_COMMAND_MAX + 1)

/* What of two channels is compared, and how it is written. */
struct key {
    const char *name;
    void (*format)(const struct declaration *channel, size_t offset, char *text);
    size_t offset;
};

static void format_text(const struct declaration *channel, size_t offset, char *text)
{
    snprintf(text, VALUE_MAX, "%s", (const char *)channel + offset);
}

static void format_backend(const struct declaration *channel, size_t offset, char *text)
{
    (void)offset;
    snprintf(text, VALUE_MAX, "%s", channel->backend[0] ? channel->backend : channel->backend_uuid);
}

static void format_number(const struct declaration *channel, size_t offset, char *text)
{
    snprintf(text, VALUE_MAX, "%u", *(const uint32_t *)((const char *)channel + offset));
}

static void format_size(const struct declaration *channel, size_t offset, char *text)
{
    char bytes[VALUE_MAX];

    format_number(channel, offset, bytes);
    view_size(bytes, text, VALUE_MAX);
}

static void format_connection(const struct declaration *channel, size_t offset, char *text)
{
    (void)offset;
    snprintf(text, VALUE_MAX, "%s", channel->connection);
}

static void format_reconnect(const struct declaration *channel, size_t offset, char *text)
{
    (void)offset;
    snprintf(text, VALUE_MAX, "%s",
             !declaration_takes_reconnect(channel) ? ""
             : channel->reconnect                  ? "1"
                                                   : "0");
}

static const struct key keys[] = {
    {"backend", format_backend, 0},
    {"devid", format_number, offsetof(struct declaration, devid)},
    {"read-ring", format_size, offsetof(struct declaration, read_ring)},
    {"write-ring", format_size, offsetof(struct declaration, write_ring)},
    {"connection", format_connection, 0},
    {"path", format_text, offsetof(struct declaration, path)},
    {"address", format_text, offsetof(struct declaration, address)},
    {"command", format_text, offsetof(struct declaration, command)},
    {"owner", format_text, offsetof(struct declaration, owner)},
    {"group", format_text, offsetof(struct declaration, group)},
    {"mode", format_text, offsetof(struct declaration, mode)},
    {"user", format_text, offsetof(struct declaration, user)},
    {"reconnect", format_reconnect, 0},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

/* Whether the key differs; then with both values. */
static bool key_differs(const struct key *key, const struct difference *difference, char *have,
                        char *want)
{
    key->format(difference->have, key->offset, have);
    key->format(difference->want, key->offset, want);
    return strcmp(have, want) != 0;
}

static bool differs(const struct difference *difference)
{
    char have[VALUE_MAX], want[VALUE_MAX];

    for (size_t i = 0; i < KEY_COUNT; i++)
        if (key_differs(&keys[i], difference, have, want))
            return true;
    return difference->id->backend != difference->backend;
}

/* --- finding them --- */

/* What was left open is as it is; a backend has its name, not its id. */
static void settle(struct tool *tool, struct declaration *want, const struct difference *difference)
{
    if (want->devid == DECLARATION_DEVID_ANY && difference->have)
        want->devid = difference->have->devid;
    identity_set_backend(tool, difference->backend, want);
}

static int compare(struct tool *tool, struct differences *differences, struct declaration *want)
{
    const struct config *have = &differences->have.config;
    struct difference *item = &differences->items[differences->count];
    int rc;

    *item = (struct difference){.want = want, .have = config_find(have, want->name)};
    if (item->have)
        item->id = &differences->have.ids[item->have - have->channels];
    rc = plug_find_backend(tool, want, differences->domid, &item->backend);
    if (rc < 0)
        return rc;
    settle(tool, want, item);
    differences->count += !item->have || differs(item);
    return 0;
}

static void find_extra(struct differences *differences)
{
    const struct plugged *have = &differences->have;

    for (size_t i = 0; i < have->config.count; i++)
        if (!config_find(&differences->want, have->config.channels[i].name))
            differences->items[differences->count++] = (struct difference){
                .have = &have->config.channels[i],
                .id = &have->ids[i],
            };
}

int differences_refresh(struct tool *tool, struct differences *differences)
{
    int rc;

    plugged_free(&differences->have);
    free(differences->items);
    differences->items = NULL;
    differences->count = 0;
    rc = plugged_read(tool, differences->domid, &differences->have);
    if (rc == 0)
        differences->items = calloc(differences->want.count + differences->have.config.count + 1,
                                    sizeof(*differences->items));
    if (rc < 0 || !differences->items) {
        tool_complain(tool, "%s", tool_why(rc < 0 ? rc : -ENOMEM));
        return rc < 0 ? rc : -ENOMEM;
    }
    for (size_t i = 0; i < differences->want.count && rc == 0; i++)
        rc = compare(tool, differences, &differences->want.channels[i]);
    if (rc == 0)
        find_extra(differences);
    return rc;
}

static int find_domain(struct tool *tool, const char *domain, struct differences *differences)
{
    const char *name = domain ? domain : differences->want.name;
    int rc;

    if (!name) {
        tool_complain(tool, "the file has no name= (say which DOMAIN is meant)");
        return -EINVAL;
    }
    /* What the file has is a name, be it of digits only. */
    rc = domain ? tool_find_domain(tool, name, &differences->domid)
                : identity_by_name(tool, name, &differences->domid);
    if (rc == 0 && tool_has_domain(tool, differences->domid))
        return 0;
    tool_complain(tool, "there is no domain \"%s\" (xl-vchan create makes one)", name);
    return -ENOENT;
}

int differences_read(struct tool *tool, const char *file, const char *domain,
                     struct differences *differences)
{
    char why[CONFIG_WHY_MAX];
    int rc;

    *differences = (struct differences){.count = 0};
    rc = config_read(file, "", &differences->want, why);
    if (rc < 0)
        tool_say("%s", why);
    if (rc == 0 && !differences->want.declares) {
        tool_say("%s: no vchan= key (vchan = [ ] is for no channels)", file);
        rc = -EINVAL;
    }
    if (rc == 0)
        rc = find_domain(tool, domain, differences);
    return rc == 0 ? differences_refresh(tool, differences) : rc;
}

void differences_free(struct differences *differences)
{
    free(differences->items);
    plugged_free(&differences->have);
    config_free(&differences->want);
}

/* --- showing them --- */

/* As a person writes it: without a uuid where a name will do. NULL: out of memory. */
static char *format_spec(const struct declaration *channel)
{
    struct declaration copy = *channel;
    char *text;

    if (copy.backend[0] != '\0')
        copy.backend_uuid[0] = '\0';
    return declaration_format(&copy, &text) == 0 ? text : NULL;
}

static void print_spec(char sign, const struct declaration *channel)
{
    char *text = format_spec(channel);

    if (!text)
        return;
    text_clean(text);
    printf("%c %s\n", sign, text);
    free(text);
}

static void print_changed(const struct difference *difference)
{
    char have[VALUE_MAX], want[VALUE_MAX];
    const char *comma = ":";

    printf("~ name=%s", difference->want->name);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!key_differs(&keys[i], difference, have, want))
            continue;
        text_clean(have);
        text_clean(want);
        printf("%s %s: %s -> %s", comma, keys[i].name, view_text(have), view_text(want));
        comma = ",";
    }
    putchar('\n');
}

void differences_print(const struct differences *differences)
{
    for (size_t i = 0; i < differences->count; i++) {
        const struct difference *item = &differences->items[i];

        if (item->want && item->have)
            print_changed(item);
        else if (item->want)
            print_spec('+', item->want);
        else
            print_spec('-', item->have);
    }
}

static struct json_object *side_json(const struct declaration *channel)
{
    char *text = channel ? format_spec(channel) : NULL;
    struct json_object *object;

    if (!text)
        return NULL;
    object = json_text(text);
    free(text);
    return object;
}

void differences_print_json(const struct differences *differences)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < differences->count; i++) {
        const struct difference *item = &differences->items[i];
        const struct declaration *any = item->want ? item->want : item->have;
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "name", json_text(any->name));
        json_object_object_add(object, "declared", side_json(item->want));
        json_object_object_add(object, "present", side_json(item->have));
        json_object_array_add(array, object);
    }
    view_print_json(array);
}
