/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/spec-json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/json.h"

/* ---- writing ---- */

static struct json_object *value_json(const struct spec *spec, enum spec_key key, const char *text)
{
    switch (spec_fields[key].type) {
    case SPEC_TYPE_NUMBER:
    case SPEC_TYPE_COUNT:
    case SPEC_TYPE_SIZE:
        return json_object_new_int64(spec_number(spec, key));
    case SPEC_TYPE_FLAG:
        return json_object_new_boolean(text[0] == '1');
    default:
        return json_text(text);
    }
}

/* Text that is not UTF-8 would come back different. */
static bool is_exact(enum spec_key key, const char *text, struct json_object *value)
{
    return value && (spec_fields[key].type != SPEC_TYPE_TEXT ||
                     strcmp(text, json_object_get_string(value)) == 0);
}

struct json_object *spec_to_json(const struct spec *spec)
{
    struct json_object *object = json_object_new_object();
    char text[SPEC_VALUE_MAX];

    for (enum spec_key key = 0; object && key < SPEC_KEYS; key++) {
        struct json_object *value;

        if (!spec_value(spec, key, text))
            continue;
        value = value_json(spec, key, text);
        if (is_exact(key, text, value)) {
            json_object_object_add(object, spec_fields[key].key, value);
        } else {
            json_object_put(value);
            json_object_put(object);
            object = NULL;
        }
    }
    return object;
}

/* ---- reading ---- */

/* A file being read. */
struct source {
    const char *file; /* its name in messages */
    struct config *config;
    char *why;
};

/* Sets why, after the file's name. Returns the error. */
__attribute__((format(printf, 2, 3))) static int refuse(const struct source *source,
                                                        const char *format, ...)
{
    int length = snprintf(source->why, CONFIG_WHY_MAX, "%s: ", source->file);
    va_list args;

    if (length >= CONFIG_WHY_MAX)
        return -EINVAL;
    va_start(args, format);
    vsnprintf(source->why + length, CONFIG_WHY_MAX - (size_t)length, format, args);
    va_end(args);
    return -EINVAL;
}

static bool is_flag(const char *key)
{
    for (enum spec_key i = 0; i < SPEC_KEYS; i++)
        if (strcmp(spec_fields[i].key, key) == 0)
            return spec_fields[i].type == SPEC_TYPE_FLAG;
    return false;
}

/* Takes one value of any JSON type. */
static int take_value(struct spec_build *build, const char *key, struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return 0;
    case json_type_boolean:
        if (!is_flag(key))
            break;
        return spec_take(build, key, json_object_get_boolean(value) ? "1" : "0");
    case json_type_int:
        return spec_take(build, key, json_object_to_json_string(value));
    case json_type_string:
        if (strlen(json_object_get_string(value)) == (size_t)json_object_get_string_len(value))
            return spec_take(build, key, json_object_get_string(value));
        break; /* it contains a NUL */
    default:
        break;
    }
    snprintf(build->why, SPEC_WHY_MAX, "key \"%s\": is not a string or number%s", key,
             is_flag(key) ? ", nor true or false" : "");
    return -EINVAL;
}

static int read_object(struct json_object *object, struct spec *spec, char why[SPEC_WHY_MAX])
{
    struct spec_build build = spec_begin(spec, SPEC_DECLARED, why);
    int rc = 0;

    json_object_object_foreach(object, key, value) {
        if (rc == 0)
            rc = take_value(&build, key, value);
    }
    return rc == 0 ? spec_end(&build) : rc;
}

static int take_element(const struct source *source, struct json_object *entry)
{
    struct config *config = source->config;
    struct spec *spec = &config->channels[config->count];
    char why[SPEC_WHY_MAX];
    int rc = -EINVAL;

    if (json_object_is_type(entry, json_type_object))
        rc = read_object(entry, spec, why);
    else
        snprintf(why, sizeof(why), "is not an object (write {\"name\": \"NAME\", ...})");
    if (rc == 0)
        rc = config_check_last(config, why);
    if (rc < 0)
        return refuse(source, "vchan entry %zu: %s", config->count + 1, why);
    config->count++;
    return 0;
}

static int add_all(const struct source *source, struct json_object *root)
{
    bool many = json_object_is_type(root, json_type_array);
    size_t count = many ? json_object_array_length(root) : 1;
    int rc = 0;

    source->config->declares = true;
    source->config->channels = calloc(count + 1, sizeof(*source->config->channels));
    if (!source->config->channels)
        return -ENOMEM;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = take_element(source, many ? json_object_array_get_idx(root, i) : root);
    return rc;
}

static int parse_text(const struct source *source, const char *text, size_t size)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *root;
    enum json_tokener_error error;
    int rc;

    if (!tokener)
        return -ENOMEM;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    root = json_tokener_parse_ex(tokener, text, (int)size);
    error = json_tokener_get_error(tokener);
    if (error != json_tokener_success)
        rc = refuse(source, "is not JSON: %s, after %zu bytes", json_tokener_error_desc(error),
                    json_tokener_get_parse_end(tokener));
    else
        rc = add_all(source, root);
    json_object_put(root);
    json_tokener_free(tokener);
    return rc;
}

static int parse_file(const struct source *source, FILE *from)
{
    char *text = malloc(CONFIG_SIZE_MAX + 1);
    size_t size = text ? fread(text, 1, CONFIG_SIZE_MAX + 1, from) : 0;
    int rc = -ENOMEM;

    if (text && ferror(from))
        rc = -EIO;
    else if (size > CONFIG_SIZE_MAX)
        rc = -EFBIG;
    else if (text && memchr(text, '\0', size))
        rc = refuse(source, "is not JSON: it contains a NUL byte");
    else if (text)
        rc = parse_text(source, text, size);
    free(text);
    return rc;
}

int config_read_json(const char *file, struct config *config, char why[CONFIG_WHY_MAX])
{
    bool standard = strcmp(file, "-") == 0;
    struct source source = {
        .file = standard ? "standard input" : file, .config = config, .why = why};
    FILE *from = standard ? stdin : fopen(file, "re");
    int rc = from ? 0 : -errno;

    *config = (struct config){.domid = -1};
    why[0] = '\0';
    if (from)
        rc = parse_file(&source, from);
    if (from && !standard)
        fclose(from);
    if (rc < 0 && why[0] == '\0')
        refuse(&source, "%s", strerror(-rc));
    if (rc < 0)
        config_free(config);
    return rc;
}
