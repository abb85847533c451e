/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/difference.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/identity.h"
#include "toolstack/json.h"
#include "toolstack/plug.h"
#include "toolstack/spec-json.h"
#include "toolstack/view.h"

/* The first key to compare: the name is not compared, since channels are found by it. */
#define FIRST_KEY (SPEC_NAME + 1)

/* Reads a value for comparing. A backend has a name and a uuid, of which one suffices. */
static void read_value(const struct spec *channel, enum spec_key key, char text[SPEC_VALUE_MAX])
{
    if (key == SPEC_BACKEND && channel->backend[0] == '\0')
        spec_value(channel, SPEC_UUID, text);
    else if (key == SPEC_UUID)
        text[0] = '\0';
    else
        spec_value(channel, key, text);
}

/* Whether the key differs. Fills in both values. */
static bool key_differs(enum spec_key key, const struct difference *difference, char *have,
                        char *want)
{
    read_value(difference->have, key, have);
    read_value(difference->want, key, want);
    return strcmp(have, want) != 0;
}

static bool differs(const struct difference *difference)
{
    char have[SPEC_VALUE_MAX], want[SPEC_VALUE_MAX];

    for (enum spec_key key = FIRST_KEY; key < SPEC_KEYS; key++)
        if (key_differs(key, difference, have, want))
            return true;
    return difference->id->backend != difference->backend;
}

/* --- finding them --- */

/*
 * Fills in what the declaration left open with what the channel has; names the backend rather than
 * its id.
 */
static void settle(struct tool *tool, struct spec *want, const struct difference *difference)
{
    if (want->devid == SPEC_DEVID_ANY && difference->have)
        want->devid = difference->have->devid;
    identity_set_backend(tool, difference->backend, want);
}

static int compare(struct tool *tool, struct differences *differences, struct spec *want)
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
    const struct present *have = &differences->have;

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

    present_free(&differences->have);
    free(differences->items);
    differences->items = NULL;
    differences->count = 0;
    rc = present_read(tool, differences->domid, &differences->have);
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
        tool_complain(tool, "the file has no name= (give a DOMAIN)");
        return -EINVAL;
    }
    /* the name in the file is a name, even if it is all digits */
    rc = domain ? tool_find_domain(tool, name, &differences->domid)
                : identity_by_name(tool, name, &differences->domid);
    if (rc == 0 && tool_has_domain(tool, differences->domid))
        return 0;
    tool_complain(tool, "there is no domain \"%s\" (create it with xl-vchan create)", name);
    return -ENOENT;
}

int differences_read(struct tool *tool, const char *file, bool json, const char *domain,
                     struct differences *differences)
{
    char why[CONFIG_WHY_MAX];
    int rc;

    *differences = (struct differences){.count = 0};
    rc = json ? config_read_json(file, &differences->want, why)
              : config_read(file, "", &differences->want, why);
    if (rc < 0)
        tool_say("%s", why);
    if (rc == 0 && !differences->want.declares) {
        tool_say("%s: no vchan= key (write vchan = [ ] for no channels)", file);
        rc = -EINVAL;
    }
    if (rc == 0)
        rc = find_domain(tool, domain, differences);
    return rc == 0 ? differences_refresh(tool, differences) : rc;
}

void differences_free(struct differences *differences)
{
    free(differences->items);
    present_free(&differences->have);
    config_free(&differences->want);
}

/* --- showing them --- */

/*
 * Formats a channel as people write it: without a uuid where a name suffices. NULL: out of memory.
 */
static char *format_spec(const struct spec *channel)
{
    struct spec copy = *channel;
    char *text;

    if (copy.backend[0] != '\0')
        copy.backend_uuid[0] = '\0';
    return spec_format(&copy, &text) == 0 ? text : NULL;
}

static void print_spec(char sign, const struct spec *channel)
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
    char have[SPEC_VALUE_MAX], want[SPEC_VALUE_MAX];
    const char *comma = ":";

    printf("~ name=%s", difference->want->name);
    for (enum spec_key key = FIRST_KEY; key < SPEC_KEYS; key++) {
        if (!key_differs(key, difference, have, want))
            continue;
        text_clean(have);
        text_clean(want);
        printf("%s %s: %s -> %s", comma, spec_fields[key].key, view_text(have), view_text(want));
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

static struct json_object *side_json(const struct spec *channel)
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
        const struct spec *any = item->want ? item->want : item->have;
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "name", json_text(any->name));
        json_object_object_add(object, "declared", side_json(item->want));
        json_object_object_add(object, "present", side_json(item->have));
        json_object_array_add(array, object);
    }
    view_print_json(array);
}
