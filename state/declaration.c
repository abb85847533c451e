/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/declaration.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/store.h"

/* A parse under way. */
struct parse {
    struct declaration *channel;
    unsigned int seen;    /* the keys so far: 1 << enum key_index */
    unsigned int foreign; /* those that are not this side's to say */
    unsigned int spared;  /* those that may be missing though a kind needs them */
    char *why;
};

enum key_index {
    KEY_NAME,
    KEY_BACKEND,
    KEY_BACKEND_UUID,
    KEY_DEVID,
    KEY_RING,
    KEY_READ_RING,
    KEY_WRITE_RING,
    KEY_CONNECTION,
    KEY_PATH,
    KEY_ADDRESS,
    KEY_COMMAND,
    KEY_RECONNECT,
    KEY_OWNER,
    KEY_GROUP,
    KEY_MODE,
    KEY_USER,
    KEY_COUNT,
};

struct key {
    const char *name;
    int (*take)(struct parse *parse, const struct key *key, const char *value);
    size_t offset; /* of the text in struct declaration, for take_text */
    size_t max;
    bool rest; /* takes all that follows, commas too */
    const char *missing; /* what it says, for a kind that needs it and has none; or NULL */
};

static const struct key keys[KEY_COUNT];

/* What only the toolstack can say. */
#define TOOLSTACK_KEYS                                                                             \
    (1 << KEY_BACKEND | 1 << KEY_BACKEND_UUID | 1 << KEY_DEVID | 1 << KEY_RING |                   \
     1 << KEY_READ_RING | 1 << KEY_WRITE_RING)

#define FILE_KEYS (1 << KEY_OWNER | 1 << KEY_GROUP | 1 << KEY_MODE)

/* What a kind of connection cannot do without, and what else it takes. */
static const struct kind {
    const char *name;
    unsigned int needs, takes;
    bool reconnect; /* by default */
} kinds[] = {
    {"app", 0, 0, false},
    {"echo", 0, 0, false},
    {"socket", 1 << KEY_PATH, 1 << KEY_RECONNECT | FILE_KEYS, true},
    {"connect", 1 << KEY_PATH, 1 << KEY_RECONNECT | 1 << KEY_USER, false},
    {"tcp", 1 << KEY_ADDRESS, 1 << KEY_RECONNECT, false},
    {"pty", 1 << KEY_PATH, 1 << KEY_RECONNECT | FILE_KEYS, true},
    {"exec", 1 << KEY_COMMAND | 1 << KEY_USER, 1 << KEY_RECONNECT, false},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))
#define CONNECTION_KEYS                                                                            \
    (1 << KEY_PATH | 1 << KEY_ADDRESS | 1 << KEY_COMMAND | 1 << KEY_RECONNECT | FILE_KEYS |        \
     1 << KEY_USER)

/*
 * What the entry of a command may have, too, and need not: name and connection are there already.
 */
#define COMMAND_KEYS (TOOLSTACK_KEYS | 1 << KEY_RECONNECT | 1 << KEY_USER)

/* Says why, and gives what to return. */
__attribute__((format(printf, 2, 3))) static int refuse(const struct parse *parse,
                                                        const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(parse->why, DECLARATION_WHY_MAX, format, args);
    va_end(args);
    return -EINVAL;
}

/* "a, b, c": the names of all kinds that take the keys of the mask. */
static void kind_names(unsigned int mask, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < KIND_COUNT && length < size; i++)
        if (((kinds[i].needs | kinds[i].takes) & mask) == mask)
            length += (size_t)snprintf(text + length, size - length, "%s%s", length ? ", " : "",
                                       kinds[i].name);
}

static void key_names(const struct parse *parse, char *text, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; i < KEY_COUNT && length < size; i++)
        if (!(parse->foreign & 1u << i))
            length +=
                (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", keys[i].name);
}

static int take_text(struct parse *parse, const struct key *key, const char *value)
{
    size_t length = strlen(value);

    if (length > key->max)
        return refuse(parse, "key \"%s\": %zu characters are too long (at most %zu)", key->name,
                      length, key->max);
    memcpy((char *)parse->channel + key->offset, value, length + 1);
    return 0;
}

static int take_name(struct parse *parse, const struct key *key, const char *value)
{
    if (!device_name_valid(value))
        return refuse(parse, "key \"%s\": \"%s\" is no channel name (1 to %d of A-Z a-z 0-9 . _ -)",
                      key->name, value, DEVICE_NAME_MAX);
    return take_text(parse, key, value);
}

/* The path is the backend's, whose working directory nobody knows. */
static int take_path(struct parse *parse, const struct key *key, const char *value)
{
    if (value[0] != '/')
        return refuse(parse, "key \"%s\": \"%s\" does not begin with / (write the whole path)",
                      key->name, value);
    return take_text(parse, key, value);
}

/* In lower case, as it is compared. */
static int take_uuid(struct parse *parse, const struct key *key, const char *value)
{
    char *uuid = parse->channel->backend_uuid;
    size_t i;

    for (i = 0; i < DECLARATION_UUID_MAX; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? value[i] != '-' : !isxdigit((unsigned char)value[i]))
            break;
        uuid[i] = (char)tolower((unsigned char)value[i]);
    }
    uuid[i] = '\0';
    if (i < DECLARATION_UUID_MAX || value[i] != '\0')
        return refuse(parse, "key \"%s\": \"%s\" is not a uuid (see xl list -v)", key->name, value);
    return 0;
}

static int take_devid(struct parse *parse, const struct key *key, const char *value)
{
    if (parse_number(value, DEVICE_ID_MAX, &parse->channel->devid) < 0)
        return refuse(parse, "key \"%s\": \"%s\" is not a number from 0 to %d", key->name, value,
                      DEVICE_ID_MAX);
    return 0;
}

static int take_flag(struct parse *parse, const struct key *key, const char *value)
{
    uint32_t flag;

    if (parse_number(value, 1, &flag) < 0)
        return refuse(parse, "key \"%s\": \"%s\" is neither 0 nor 1", key->name, value);
    parse->channel->reconnect = flag;
    return 0;
}

/* Digits, then nothing or one of K, M, G. False: not a size. Larger than 4G counts as 4G. */
static bool parse_size(const char *value, uint64_t *size)
{
    static const char suffixes[] = "KMG";
    char *end;
    const char *suffix;

    if (!isdigit((unsigned char)value[0]))
        return false;
    *size = strtoull(value, &end, 10);
    if (*size > UINT32_MAX)
        *size = UINT32_MAX;
    if (*end == '\0')
        return *size > 0;
    suffix = strchr(suffixes, toupper((unsigned char)*end));
    if (!suffix || end[1] != '\0')
        return false;
    *size <<= 10 * (suffix - suffixes + 1);
    return *size > 0;
}

static int take_size(struct parse *parse, const struct key *key, const char *value)
{
    uint64_t size;

    if (!parse_size(value, &size))
        return refuse(parse, "key \"%s\": \"%s\" is not a size (bytes, or such as 4K, 64K, 1M)",
                      key->name, value);
    if (size > RING_SIZE_MAX)
        return refuse(parse, "key \"%s\": %s is larger than 1M (use at most %s=1M)", key->name,
                      value, key->name);
    if (key != &keys[KEY_WRITE_RING])
        parse->channel->read_ring = (uint32_t)size;
    if (key != &keys[KEY_READ_RING])
        parse->channel->write_ring = (uint32_t)size;
    return 0;
}

static int take_connection(struct parse *parse, const struct key *key, const char *value)
{
    char names[128];

    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kinds[i].name, value) == 0) {
            parse->channel->connection = kinds[i].name;
            return 0;
        }
    }
    kind_names(0, names, sizeof(names));
    return refuse(parse, "key \"%s\": \"%s\" is no kind of connection (use one of %s)", key->name,
                  value, names);
}

/* A user or a group of the backend's, which is looked up there. */
static int take_account(struct parse *parse, const struct key *key, const char *value)
{
    size_t length = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    if (length > DECLARATION_ACCOUNT_MAX || value[length] != '\0' || value[0] == '-')
        return refuse(parse, "key \"%s\": \"%s\" is no %s (a name or a number)", key->name, value,
                      key == &keys[KEY_GROUP] ? "group" : "user");
    return take_text(parse, key, value);
}

static int take_mode(struct parse *parse, const struct key *key, const char *value)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);

    if (!isdigit((unsigned char)value[0]) || *end != '\0' || strlen(value) > DECLARATION_MODE_MAX ||
        mode > 0777)
        return refuse(parse, "key \"%s\": \"%s\" is no mode (octal digits, such as 0660)",
                      key->name, value);
    snprintf(parse->channel->mode, sizeof(parse->channel->mode), "%04lo", mode);
    return 0;
}

/* HOST:PORT; a HOST with colons, such as an IPv6 address, in brackets. */
static int take_address(struct parse *parse, const struct key *key, const char *value)
{
    const char *colon = strrchr(value, ':');
    uint32_t port = 0;

    if (!colon || colon == value || parse_number(colon + 1, UINT16_MAX, &port) < 0 || port == 0 ||
        (memchr(value, ':', (size_t)(colon - value)) && (value[0] != '[' || colon[-1] != ']')))
        return refuse(parse, "key \"%s\": \"%s\" is not HOST:PORT, as 10.0.0.1:5432 or [::1]:5432",
                      key->name, value);
    return take_text(parse, key, value);
}

#define TEXT(field, limit) .offset = offsetof(struct declaration, field), .max = (limit)

static const struct key keys[KEY_COUNT] = {
    [KEY_NAME] = {"name", take_name, TEXT(name, DEVICE_NAME_MAX)},
    [KEY_BACKEND] = {"backend", take_text, TEXT(backend, DECLARATION_BACKEND_MAX)},
    [KEY_BACKEND_UUID] = {"backend-uuid", take_uuid},
    [KEY_DEVID] = {"devid", take_devid},
    [KEY_RING] = {"ring", take_size},
    [KEY_READ_RING] = {"read-ring", take_size},
    [KEY_WRITE_RING] = {"write-ring", take_size},
    [KEY_CONNECTION] = {"connection", take_connection},
    [KEY_PATH] = {"path", take_path, TEXT(path, DECLARATION_PATH_MAX)},
    [KEY_ADDRESS] = {"address", take_address, TEXT(address, DECLARATION_ADDRESS_MAX)},
    [KEY_COMMAND] = {"command", take_text, TEXT(command, DECLARATION_COMMAND_MAX), .rest = true},
    [KEY_RECONNECT] = {"reconnect", take_flag},
    [KEY_OWNER] = {"owner", take_account, TEXT(owner, DECLARATION_ACCOUNT_MAX)},
    [KEY_GROUP] = {"group", take_account, TEXT(group, DECLARATION_ACCOUNT_MAX)},
    [KEY_MODE] = {"mode", take_mode},
    [KEY_USER] = {"user", take_account, TEXT(user, DECLARATION_ACCOUNT_MAX),
                  .missing = ": the user that runs the command, such as user=nobody; for root, "
                             "write user=root"},
};

/* Cuts the blanks at both ends. */
static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isblank((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text + strspn(text, " \t");
}

static const struct key *key_find(const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* The key that "KEY=" at the beginning of the text is for; or NULL. */
static const struct key *key_at(const char *text)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        size_t length = strlen(keys[i].name);

        if (strncmp(text, keys[i].name, length) == 0 &&
            text[length + strspn(text + length, " \t")] == '=')
            return &keys[i];
    }
    return NULL;
}

/*
 * The first "KEY=" behind a comma and blanks, or with a key of the mask behind a comma alone, as
 * within a word of a command; or NULL.
 */
static const struct key *find_swallowed(const char *command, unsigned int mask)
{
    while ((command = strchr(command, ','))) {
        size_t blanks = strspn(++command, " \t");
        const struct key *key = key_at(command + blanks);

        if (key && (blanks || mask & 1u << (key - keys)))
            return key;
    }
    return NULL;
}

static int refuse_key(struct parse *parse, const char *name)
{
    char names[192];

    key_names(parse, names, sizeof(names));
    return refuse(parse, "key \"%s\": unknown (the keys are %s)", name, names);
}

static int take_pair(struct parse *parse, const struct key *key, const char *value)
{
    unsigned int bit = 1u << (key - keys);

    if (parse->seen & bit)
        return refuse(parse, "key \"%s\": given twice", key->name);
    if (parse->foreign & bit)
        return refuse(parse, "key \"%s\": is not the guest's to say (its domain's config says it)",
                      key->name);
    parse->seen |= bit;
    if (value[0] == '\0')
        return refuse(parse, "key \"%s\": has no value", key->name);
    return key->take(parse, key, value);
}

static int refuse_pair(struct parse *parse, char *text)
{
    text[strcspn(text, ",")] = '\0';
    text = trim(text);
    if (text[0] == '\0')
        return refuse(parse, "a KEY=VALUE is empty (a comma too many?)");
    return refuse(parse, "\"%s\" is not KEY=VALUE (only command=, written last, may hold a comma)",
                  text);
}

/* Takes one KEY=VALUE off *cursor, which becomes NULL after the last. */
static int parse_pair(struct parse *parse, char **cursor)
{
    char *text = *cursor;
    char *value = text + strcspn(text, "=,");
    const struct key *key;
    size_t length;

    if (*value != '=')
        return refuse_pair(parse, text);
    *value++ = '\0';
    text = trim(text);
    key = key_find(text);
    if (!key)
        return refuse_key(parse, text);
    length = key->rest ? strlen(value) : strcspn(value, ",");
    *cursor = value[length] ? value + length + 1 : NULL;
    value[length] = '\0';
    return take_pair(parse, key, trim(value));
}

static const struct kind *kind_of(const struct declaration *channel)
{
    const struct kind *kind = kinds;

    while (kind->name != channel->connection)
        kind++;
    return kind;
}

/* The keys that make sense only together with others. */
static int check_connection(struct parse *parse)
{
    const struct kind *kind = kind_of(parse->channel);
    unsigned int given = parse->seen & CONNECTION_KEYS;
    char names[128];

    for (unsigned int i = 0; i < KEY_COUNT; i++) {
        unsigned int bit = 1u << i;

        if (kind->needs & bit & ~(given | parse->spared))
            return refuse(parse, "key \"%s\": missing (connection=%s needs it%s)", keys[i].name,
                          kind->name, keys[i].missing ? keys[i].missing : "");
        if (given & bit & ~(kind->needs | kind->takes)) {
            kind_names(bit, names, sizeof(names));
            return refuse(parse, "key \"%s\": not for connection=%s (it is for %s)", keys[i].name,
                          kind->name, names);
        }
    }
    return 0;
}

static int check_whole(struct parse *parse)
{
    unsigned int rings = parse->seen & (1 << KEY_READ_RING | 1 << KEY_WRITE_RING);

    if (!(parse->seen & 1 << KEY_NAME))
        return refuse(parse, "key \"name\": missing (add name=NAME)");
    if ((parse->seen & 1 << KEY_RING) && rings)
        return refuse(parse, "key \"ring\": sets both rings (leave it out, or %s)",
                      rings & 1 << KEY_READ_RING ? "read-ring" : "write-ring");
    if (parse->foreign && !(parse->seen & 1 << KEY_CONNECTION))
        return refuse(parse, "key \"connection\": missing (add connection=KIND; "
                             "app leaves the channel to applications)");
    return check_connection(parse);
}

/* What is missing, or does not fit, may stand where it is part of a command. */
static int hint_swallowed(const struct parse *parse)
{
    const struct key *key = find_swallowed(parse->channel->command, UINT_MAX);
    size_t length = strlen(parse->why);

    if (key)
        snprintf(parse->why + length, DECLARATION_WHY_MAX - length,
                 " (command= takes all that follows it, \"%s=\" too: write command= last)",
                 key->name);
    return -EINVAL;
}

/* Nothing tells what was meant. */
static int check_command(const struct parse *parse)
{
    const struct key *key = find_swallowed(parse->channel->command, COMMAND_KEYS);

    if (!key)
        return 0;
    return refuse(parse,
                  "key \"command\": takes all that follows it, \"%s=\" too (write %s= before "
                  "command=; if the command is to have it, write ''%s=)",
                  key->name, key->name, key->name);
}

static void set_defaults(struct parse *parse)
{
    if (!(parse->seen & 1 << KEY_RECONNECT))
        parse->channel->reconnect = kind_of(parse->channel)->reconnect;
}

static int round_rings(struct declaration *channel)
{
    struct ring_orders orders;
    int rc = ring_orders_for(channel->read_ring, channel->write_ring, &orders);

    if (rc == 0) {
        channel->read_ring = 1u << orders.read;
        channel->write_ring = 1u << orders.write;
    }
    return rc;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text) && *text != '\t')
            return true;
    return false;
}

static int parse_all(const char *spec, struct parse parse)
{
    struct declaration *channel = parse.channel;
    char *copy, *cursor;
    int rc = 0;

    *channel = (struct declaration){
        .devid = DECLARATION_DEVID_ANY,
        .read_ring = RING_SIZE_DEFAULT,
        .write_ring = RING_SIZE_DEFAULT,
        .connection = kinds[0].name,
    };
    if (has_control(spec))
        return refuse(&parse, "a control character (a line break?) is in it");
    copy = strdup(spec);
    if (!copy) {
        refuse(&parse, "out of memory");
        return -ENOMEM;
    }
    for (cursor = copy; cursor && rc == 0;)
        rc = parse_pair(&parse, &cursor);
    free(copy);
    if (rc < 0)
        return rc;
    if (check_whole(&parse) < 0)
        return hint_swallowed(&parse);
    if (check_command(&parse) < 0)
        return -EINVAL;
    set_defaults(&parse);
    return round_rings(channel);
}

int declaration_parse(const char *spec, struct declaration *channel, char why[DECLARATION_WHY_MAX])
{
    return parse_all(spec, (struct parse){.channel = channel, .why = why});
}

int declaration_parse_plugged(const char *spec, struct declaration *channel,
                              char why[DECLARATION_WHY_MAX])
{
    return parse_all(spec, (struct parse){.channel = channel, .spared = 1 << KEY_USER, .why = why});
}

int declaration_parse_guest(const char *spec, struct declaration *channel,
                            char why[DECLARATION_WHY_MAX])
{
    return parse_all(spec,
                     (struct parse){.channel = channel, .foreign = TOOLSTACK_KEYS, .why = why});
}

bool declaration_is_app(const struct declaration *channel)
{
    return channel->connection == kinds[0].name;
}

bool declaration_takes_reconnect(const struct declaration *channel)
{
    return kind_of(channel)->takes & 1 << KEY_RECONNECT;
}

/* As a person would write it. */
static void put_size(FILE *to, const char *key, uint32_t bytes)
{
    if (bytes % (1 << 20) == 0)
        fprintf(to, ",%s=%uM", key, bytes >> 20);
    else if (bytes % (1 << 10) == 0)
        fprintf(to, ",%s=%uK", key, bytes >> 10);
    else
        fprintf(to, ",%s=%u", key, bytes);
}

static void put_rings(FILE *to, const struct declaration *channel)
{
    if (channel->read_ring == RING_SIZE_DEFAULT && channel->write_ring == RING_SIZE_DEFAULT)
        return;
    if (channel->read_ring == channel->write_ring) {
        put_size(to, "ring", channel->read_ring);
        return;
    }
    put_size(to, "read-ring", channel->read_ring);
    put_size(to, "write-ring", channel->write_ring);
}

static void put_text(FILE *to, const char *key, const char *text)
{
    if (text[0] != '\0')
        fprintf(to, ",%s=%s", key, text);
}

static void put_channel(FILE *to, const struct declaration *channel)
{
    fprintf(to, "name=%s", channel->name);
    put_text(to, "backend", channel->backend);
    put_text(to, "backend-uuid", channel->backend_uuid);
    if (channel->devid != DECLARATION_DEVID_ANY)
        fprintf(to, ",devid=%u", channel->devid);
    put_rings(to, channel);
    if (!declaration_is_app(channel))
        fprintf(to, ",connection=%s", channel->connection);
    put_text(to, "path", channel->path);
    put_text(to, "owner", channel->owner);
    put_text(to, "group", channel->group);
    put_text(to, "mode", channel->mode);
    put_text(to, "address", channel->address);
    put_text(to, "user", channel->user);
    if (channel->reconnect != kind_of(channel)->reconnect)
        fprintf(to, ",reconnect=%d", channel->reconnect);
    put_text(to, "command", channel->command); /* last, as it takes all the rest */
}

bool declaration_equal(const struct declaration *a, const struct declaration *b)
{
    const char *const texts[][2] = {
        {a->name, b->name},       {a->backend, b->backend}, {a->backend_uuid, b->backend_uuid},
        {a->path, b->path},       {a->address, b->address}, {a->command, b->command},
        {a->owner, b->owner},     {a->group, b->group},     {a->mode, b->mode},
        {a->user, b->user},       {a->connection, b->connection},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i][0], texts[i][1]) != 0)
            return false;
    return a->devid == b->devid && a->read_ring == b->read_ring &&
           a->write_ring == b->write_ring && a->reconnect == b->reconnect;
}

static int format(const struct declaration *channel, char **text)
{
    size_t size;
    FILE *to = open_memstream(text, &size);

    if (!to)
        return -ENOMEM;
    put_channel(to, channel);
    if (fclose(to) == 0)
        return 0;
    free(*text);
    return -ENOMEM;
}

int declaration_format(const struct declaration *channel, char **text)
{
    struct declaration back;
    char why[DECLARATION_WHY_MAX];
    int rc = format(channel, text);

    if (rc < 0)
        return rc;
    rc = declaration_parse_plugged(*text, &back, why);
    if (rc == 0 && !declaration_equal(channel, &back))
        rc = -EINVAL;
    if (rc < 0)
        free(*text);
    return rc;
}
