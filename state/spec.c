/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/size.h"
#include "state/store.h"

/* Stands for both rings; not a member of struct spec. */
#define RING     SPEC_KEYS
#define RING_BIT (1u << RING)
#define RING_KEY "ring"

/* Checks a value and stores it in the channel. Returns 0, or -EINVAL with why set. */
typedef int taker(const struct spec_build *build, enum spec_key key, const char *value);

static taker spec_check_name, spec_check_text, spec_check_uuid, spec_check_devid, spec_check_size,
    spec_check_kind, spec_check_path, spec_check_account, spec_check_mode, spec_check_address,
    spec_check_flag, spec_check_streams;

static const struct detail {
    taker *take;
    size_t offset, longest;
} details[SPEC_KEYS] = {
#define DETAIL(ID, member, key, type, most, place, whose, check, word)                             \
    [SPEC_##ID] = {spec_check_##check, offsetof(struct spec, member), most},
    SPEC_FIELDS(DETAIL)
#undef DETAIL
};

#define WHOSE_GUEST     false
#define WHOSE_TOOLSTACK true

const struct spec_field spec_fields[SPEC_KEYS] = {
#define ROW(ID, member, name, kind, most, where, whose, check, what)                               \
    [SPEC_##ID] = {.key = (name),                                                                  \
                   .type = SPEC_TYPE_##kind,                                                       \
                   .place = SPEC_AT_##where,                                                       \
                   .toolstack = WHOSE_##whose},
    SPEC_FIELDS(ROW)
#undef ROW
};

static const struct kind {
    const char *name;
    uint32_t needs, defaults, takes;
    bool reconnect; /* by default */
} kinds[] = {
#define ROW(ID, name, needs, defaults, takes, reconnect) {name, needs, defaults, takes, reconnect},
    SPEC_KINDS(ROW)
#undef ROW
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* All keys that depend on the kind. */
#define OR_KEYS(ID, name, needs, defaults, takes, reconnect) | (needs) | (defaults) | (takes)
#define KIND_KEYS (0 SPEC_KINDS(OR_KEYS))

static const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static uint32_t kind_keys(const struct kind *kind)
{
    return kind->needs | kind->defaults | kind->takes;
}

static void *member_of(const struct spec *spec, enum spec_key key)
{
    return (char *)spec + details[key].offset;
}

/* ---- errors ---- */

int spec_refuse(const struct spec_build *build, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(build->why, SPEC_WHY_MAX, format, args);
    va_end(args);
    return -EINVAL;
}

const char *spec_key_name(unsigned int key)
{
    return key == RING ? RING_KEY : spec_fields[key].key;
}

/* Lists the kinds that take a key, or all kinds, as "a, b, c". */
static void list_kinds(uint32_t bit, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < KIND_COUNT && length < size; i++)
        if ((kind_keys(&kinds[i]) & bit) == bit)
            length += (size_t)snprintf(text + length, size - length, "%s%s", length ? ", " : "",
                                       kinds[i].name);
}

static bool is_foreign(const struct spec_build *build, unsigned int key)
{
    return build->source == SPEC_GUEST && (key == RING || spec_fields[key].toolstack);
}

static int refuse_key(const struct spec_build *build, const char *name)
{
    char names[256];
    size_t length = 0;

    for (unsigned int key = 0; key <= SPEC_KEYS && length < sizeof(names); key++)
        if (!is_foreign(build, key))
            length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                       length ? ", " : "", spec_key_name(key));
    return spec_refuse(build, "key \"%s\": unknown (the keys are %s)", name, names);
}

/* ---- one value ---- */

static int spec_check_text(const struct spec_build *build, enum spec_key key, const char *value)
{
    size_t length = strlen(value), longest = details[key].longest;

    if (length > longest)
        return spec_refuse(build, "key \"%s\": is too long: %zu characters (at most %zu)",
                           spec_fields[key].key, length, longest);
    memcpy(member_of(build->spec, key), value, length + 1);
    return 0;
}

static int spec_check_name(const struct spec_build *build, enum spec_key key, const char *value)
{
    if (!device_name_valid(value))
        return spec_refuse(build,
                           "key \"%s\": \"%s\" is not a valid channel name (1 to %d of A-Z a-z "
                           "0-9 . _ -)",
                           spec_fields[key].key, value, DEVICE_NAME_MAX);
    return spec_check_text(build, key, value);
}

/* A path is opened by the backend, whose working directory is not known here. */
static int spec_check_path(const struct spec_build *build, enum spec_key key, const char *value)
{
    if (value[0] != '/')
        return spec_refuse(build,
                           "key \"%s\": \"%s\" is not an absolute path (it must begin with /)",
                           spec_fields[key].key, value);
    return spec_check_text(build, key, value);
}

/* Stores it in lower case, for comparisons. */
static int spec_check_uuid(const struct spec_build *build, enum spec_key key, const char *value)
{
    char *uuid = member_of(build->spec, key);
    size_t i;

    for (i = 0; i < SPEC_UUID_MAX; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? value[i] != '-' : !isxdigit((unsigned char)value[i]))
            break;
        uuid[i] = (char)tolower((unsigned char)value[i]);
    }
    uuid[i] = '\0';
    if (i < SPEC_UUID_MAX || value[i] != '\0')
        return spec_refuse(build, "key \"%s\": \"%s\" is not a uuid (see xl list -v)",
                           spec_fields[key].key, value);
    return 0;
}

static int spec_check_devid(const struct spec_build *build, enum spec_key key, const char *value)
{
    if (parse_number(value, DEVICE_ID_MAX, member_of(build->spec, key)) < 0)
        return spec_refuse(build, "key \"%s\": \"%s\" is not a number from 0 to %d",
                           spec_fields[key].key, value, DEVICE_ID_MAX);
    return 0;
}

static int spec_check_streams(const struct spec_build *build, enum spec_key key, const char *value)
{
    uint32_t count;

    if (parse_number(value, STREAMS_MAX, &count) < 0 || count < STREAMS_MIN)
        return spec_refuse(build, "key \"%s\": \"%s\" is not a number from %u to %u",
                           spec_fields[key].key, value, STREAMS_MIN, STREAMS_MAX);
    *(uint32_t *)member_of(build->spec, key) = count;
    return 0;
}

static int spec_check_flag(const struct spec_build *build, enum spec_key key, const char *value)
{
    uint32_t flag;

    if (parse_number(value, 1, &flag) < 0)
        return spec_refuse(build,
                           "key \"%s\": \"%s\" is neither 0 nor 1", spec_fields[key].key, value);
    *(bool *)member_of(build->spec, key) = flag;
    return 0;
}

static int read_size(const struct spec_build *build, unsigned int key, const char *value,
                     uint32_t *bytes)
{
    const char *name = spec_key_name(key);
    uint64_t size;
    int rc = size_parse(value, RING_SIZE_MAX, &size);

    if (rc == -EINVAL)
        return spec_refuse(build, "key \"%s\": \"%s\" is not a size (such as 4096, 64K or 1M)",
                           name, value);
    if (rc < 0)
        return spec_refuse(build,
                           "key \"%s\": %s is larger than 1M (use at most %s=1M)", name, value,
                           name);
    *bytes = (uint32_t)size;
    return 0;
}

static int spec_check_size(const struct spec_build *build, enum spec_key key, const char *value)
{
    return read_size(build, key, value, member_of(build->spec, key));
}

static int take_ring(const struct spec_build *build, const char *value)
{
    int rc = read_size(build, RING, value, &build->spec->read_ring);

    build->spec->write_ring = build->spec->read_ring;
    return rc;
}

/* A node or a record may name a kind that this version does not know. */
static int refuse_kind(const struct spec_build *build)
{
    char names[128];

    list_kinds(0, names, sizeof(names));
    return spec_refuse(build, "key \"%s\": \"%s\" is not a kind of connection (use one of %s)",
                       spec_fields[SPEC_CONNECTION].key, build->spec->connection, names);
}

static int spec_check_kind(const struct spec_build *build, enum spec_key key, const char *value)
{
    int rc = spec_check_text(build, key, value);

    return rc < 0 || kind_find(value) ? rc : refuse_kind(build);
}

/* A user or group of the backend's domain, which looks it up. */
static int spec_check_account(const struct spec_build *build, enum spec_key key, const char *value)
{
    size_t length = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    if (length > SPEC_ACCOUNT_MAX || value[length] != '\0' || value[0] == '-')
        return spec_refuse(build, "key \"%s\": \"%s\" is not a %s (a name or a number)",
                           spec_fields[key].key, value, key == SPEC_GROUP ? "group" : "user");
    return spec_check_text(build, key, value);
}

static int spec_check_mode(const struct spec_build *build, enum spec_key key, const char *value)
{
    char *end, digits[SPEC_MODE_MAX + 1];
    unsigned long mode = strtoul(value, &end, 8);

    if (!isdigit((unsigned char)value[0]) || *end != '\0' || strlen(value) > SPEC_MODE_MAX ||
        mode > 0777)
        return spec_refuse(build, "key \"%s\": \"%s\" is not a mode (octal digits, such as 0660)",
                           spec_fields[key].key, value);
    snprintf(digits, sizeof(digits), "%04lo", mode & 0777);
    return spec_check_text(build, key, digits);
}

/* HOST:PORT; a HOST with colons, such as an IPv6 address, in brackets. */
static int spec_check_address(const struct spec_build *build, enum spec_key key, const char *value)
{
    const char *colon = strrchr(value, ':');
    uint32_t port = 0;

    if (!colon || colon == value || parse_number(colon + 1, UINT16_MAX, &port) < 0 || port == 0 ||
        (memchr(value, ':', (size_t)(colon - value)) && (value[0] != '[' || colon[-1] != ']')))
        return spec_refuse(build,
                           "key \"%s\": \"%s\" is not HOST:PORT (such as 10.0.0.1:5432 or "
                           "[::1]:5432)",
                           spec_fields[key].key, value);
    return spec_check_text(build, key, value);
}

/* ---- one channel ---- */

struct spec spec_usual(const char *connection)
{
    const struct kind *kind = kind_find(connection);
    struct spec spec = {
        .devid = SPEC_DEVID_ANY,
        .read_ring = RING_SIZE_DEFAULT,
        .write_ring = RING_SIZE_DEFAULT,
        .reconnect = kind && kind->reconnect,
    };

    snprintf(spec.connection, sizeof(spec.connection), "%s", connection);
    return spec;
}

struct spec_build spec_begin(struct spec *spec, enum spec_source source, char why[SPEC_WHY_MAX])
{
    *spec = spec_usual(kinds[0].name);
    why[0] = '\0';
    return (struct spec_build){.spec = spec, .source = source, .why = why};
}

/* Returns SPEC_KEYS + 1 if there is none of that name. */
static unsigned int key_find(const char *name)
{
    unsigned int key = 0;

    while (key <= SPEC_KEYS && strcmp(spec_key_name(key), name) != 0)
        key++;
    return key;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text) && *text != '\t')
            return true;
    return false;
}

/* Every accepted value must also be writable as text, the form in which it is stored. */
static int check_writable(const struct spec_build *build, unsigned int key, const char *value)
{
    size_t length = strlen(value);

    if (length == 0)
        return spec_refuse(build, "key \"%s\": has no value", spec_key_name(key));
    if (has_control(value))
        return spec_refuse(build, "key \"%s\": contains a control character (a line break?)",
                           spec_key_name(key));
    if (isblank((unsigned char)value[0]) || isblank((unsigned char)value[length - 1]))
        return spec_refuse(build, "key \"%s\": begins or ends with white space",
                           spec_key_name(key));
    if (key != SPEC_COMMAND && strchr(value, ','))
        return spec_refuse(build, "key \"%s\": contains a comma (only command may contain one)",
                           spec_key_name(key));
    return 0;
}

int spec_take(struct spec_build *build, const char *name, const char *value)
{
    unsigned int key = key_find(name);
    uint32_t bit = 1u << key;

    if (key > SPEC_KEYS)
        return refuse_key(build, name);
    if (build->given & bit)
        return spec_refuse(build, "key \"%s\": given twice", name);
    if (is_foreign(build, key))
        return spec_refuse(build,
                           "key \"%s\": cannot be set in the guest (set it in the domain's xl "
                           "config)",
                           name);
    build->given |= bit;
    if (check_writable(build, key, value) < 0)
        return -EINVAL;
    return key == RING ? take_ring(build, value) : details[key].take(build, key, value);
}

/* Reports what is missing, and what to write where that is not obvious. */
static int refuse_without(const struct spec_build *build, enum spec_key key,
                          const struct kind *kind)
{
    return spec_refuse(build,
                       "key \"%s\": missing (connection=%s needs it%s)", spec_fields[key].key,
                       kind->name,
                       key == SPEC_USER ? ": the user that runs the command, such as user=nobody; for "
                       "root, write user=root"
                       : "");
}

static int check_default_path(const struct spec_build *build, const struct kind *kind)
{
    char path[SPEC_PATH_MAX + 1];

    if (!(kind->defaults & ~build->given & SPEC_BIT(PATH)) ||
        spec_default_path(0, build->spec->name, path))
        return 0;
    return spec_refuse(build,
                       "key \"path\": missing (a name that begins with a dot has no default)");
}

/* With streams each client or server has its own stream, and nothing outlives it. */
static int check_streams(const struct spec_build *build)
{
    if (build->spec->streams == 0 || !(build->given & SPEC_BIT(RECONNECT)))
        return 0;
    return spec_refuse(build, "key \"reconnect\": not valid with streams (each connection has a "
                              "stream of its own)");
}

/* Checks the keys that only some kinds take. */
static int check_kind(const struct spec_build *build, const struct kind *kind)
{
    uint32_t spared = build->source == SPEC_STORED  ? SPEC_BIT(USER)
                      : build->source == SPEC_GUEST ? SPEC_BIT(STREAMS) /* F/streams says it */
                                                    : 0;
    uint32_t missing = kind->needs & ~(build->given | spared);
    uint32_t foreign = build->given & KIND_KEYS & ~kind_keys(kind);
    enum spec_key main = spec_main_key(build->spec);
    char names[128];

    if (main < SPEC_KEYS && missing & 1u << main)
        return refuse_without(build, main, kind);
    for (enum spec_key key = 0; key < SPEC_KEYS; key++) {
        if (missing & 1u << key)
            return refuse_without(build, key, kind);
        if (foreign & 1u << key) {
            list_kinds(1u << key, names, sizeof(names));
            return spec_refuse(build, "key \"%s\": not valid with connection=%s (only with %s)",
                               spec_fields[key].key, kind->name, names);
        }
    }
    return check_streams(build) < 0 ? -EINVAL : check_default_path(build, kind);
}

static int check_whole(const struct spec_build *build)
{
    const struct kind *kind = kind_find(build->spec->connection);
    uint32_t rings = build->given & (SPEC_BIT(READ_RING) | SPEC_BIT(WRITE_RING));

    if (!(build->given & SPEC_BIT(NAME)))
        return spec_refuse(build, "key \"name\": missing (add name=NAME)");
    if ((build->given & RING_BIT) && rings)
        return spec_refuse(build, "key \"ring\": sets both rings (remove it, or %s)",
                           rings & SPEC_BIT(READ_RING) ? "read-ring" : "write-ring");
    if (build->source == SPEC_GUEST && !(build->given & SPEC_BIT(CONNECTION)))
        return spec_refuse(build, "key \"connection\": missing (add connection=KIND; "
                           "app leaves the channel to applications)");
    return kind ? check_kind(build, kind) : refuse_kind(build);
}

static int round_rings(struct spec *spec)
{
    struct ring_orders orders;
    int rc = ring_orders_for(spec->read_ring, spec->write_ring, &orders);

    if (rc == 0) {
        spec->read_ring = 1u << orders.read;
        spec->write_ring = 1u << orders.write;
    }
    return rc;
}

int spec_end(struct spec_build *build)
{
    struct spec *spec = build->spec;
    int rc = check_whole(build);

    if (rc < 0)
        return rc;
    if (!(build->given & SPEC_BIT(RECONNECT)))
        spec->reconnect = spec_usual(spec->connection).reconnect;
    return round_rings(spec);
}

/* ---- reading fields ---- */

/* The only flag is reconnect, which has no meaning with streams. */
static void format_flag(const struct spec *spec, enum spec_key key, char text[SPEC_VALUE_MAX])
{
    const struct kind *kind = kind_find(spec->connection);

    if (kind && kind->takes & 1u << key && spec->streams == 0)
        strcpy(text, *(bool *)member_of(spec, key) ? "1" : "0");
}

uint32_t spec_number(const struct spec *spec, enum spec_key key)
{
    return *(const uint32_t *)member_of(spec, key);
}

bool spec_value(const struct spec *spec, enum spec_key key, char text[SPEC_VALUE_MAX])
{
    text[0] = '\0';
    switch (spec_fields[key].type) {
    case SPEC_TYPE_TEXT:
        strcpy(text, member_of(spec, key));
        break;
    case SPEC_TYPE_NUMBER:
        if (spec_number(spec, key) != SPEC_DEVID_ANY)
            snprintf(text, SPEC_VALUE_MAX, "%u", spec_number(spec, key));
        break;
    case SPEC_TYPE_COUNT:
        if (spec_number(spec, key) > 0)
            snprintf(text, SPEC_VALUE_MAX, "%u", spec_number(spec, key));
        break;
    case SPEC_TYPE_SIZE:
        size_format(spec_number(spec, key), text);
        break;
    case SPEC_TYPE_FLAG:
        format_flag(spec, key, text);
        break;
    }
    return text[0] != '\0';
}

bool spec_takes(const char *connection, enum spec_key key)
{
    const struct kind *kind = kind_find(connection);

    return kind && kind_keys(kind) & 1u << key;
}

bool spec_equal(const struct spec *a, const struct spec *b)
{
    char one[SPEC_VALUE_MAX], other[SPEC_VALUE_MAX];

    for (enum spec_key key = 0; key < SPEC_KEYS; key++) {
        spec_value(a, key, one);
        spec_value(b, key, other);
        if (strcmp(one, other) != 0)
            return false;
    }
    return true;
}

bool spec_is_app(const struct spec *spec)
{
    return strcmp(spec->connection, kinds[0].name) == 0;
}

enum spec_key spec_main_key(const struct spec *spec)
{
    const struct kind *kind = kind_find(spec->connection);
    enum spec_key key = 0;

    while (key < SPEC_KEYS &&
           !(kind && (kind->needs | kind->defaults) & 1u << key &
             ~(SPEC_BIT(USER) | SPEC_BIT(STREAMS))))
        key++;
    return key;
}

bool spec_has_default(const struct spec *spec, enum spec_key key)
{
    const struct kind *kind = kind_find(spec->connection);

    return kind && kind->defaults & 1u << key;
}

_Static_assert(sizeof(SPEC_RUN_DIR "/32751/") + DEVICE_NAME_MAX <= SPEC_PATH_MAX + 1,
               "every default path is a path");

bool spec_default_path(domid_t peer, const char *name, char path[SPEC_PATH_MAX + 1])
{
    path[0] = '\0';
    if (!device_name_valid(name) || name[0] == '.')
        return false;
    snprintf(path, SPEC_PATH_MAX + 1, SPEC_RUN_DIR "/%u/%s", peer, name);
    return true;
}
