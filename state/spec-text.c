/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A channel as "KEY=VALUE, KEY=VALUE, …". */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/spec.h"

/*
 * Keys that a command's entry may have before command=, and so may have been meant for the channel.
 * Without name and connection, which are there already.
 */
#define BESIDE_COMMAND                                                                             \
    (SPEC_BIT(BACKEND) | SPEC_BIT(UUID) | SPEC_BIT(DEVID) | SPEC_BIT(READ_RING) |                  \
     SPEC_BIT(WRITE_RING) | SPEC_BIT(RECONNECT) | SPEC_BIT(USER) | 1u << SPEC_KEYS)

/* Removes spaces at both ends. */
static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isblank((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text + strspn(text, " \t");
}

/* ---- parsing ---- */

static int complain_pair(const struct spec_build *build, char *text)
{
    text[strcspn(text, ",")] = '\0';
    text = trim(text);
    if (text[0] == '\0')
        return spec_refuse(build, "empty KEY=VALUE (an extra comma?)");
    return spec_refuse(
        build, "\"%s\" is not KEY=VALUE (only command=, written last, may contain a comma)", text);
}

/* Takes one KEY=VALUE off *cursor, which becomes NULL after the last. */
static int take_pair(struct spec_build *build, char **cursor)
{
    char *text = *cursor;
    char *value = text + strcspn(text, "=,");
    size_t length;

    if (*value != '=')
        return complain_pair(build, text);
    *value++ = '\0';
    text = trim(text);
    length = strcmp(text, spec_fields[SPEC_COMMAND].key) == 0 ? strlen(value) : strcspn(value, ",");
    *cursor = value[length] ? value + length + 1 : NULL;
    value[length] = '\0';
    return spec_take(build, text, trim(value));
}

/* The key in mask whose "KEY=" begins the text, or NULL. */
static const char *key_at(const char *text, uint32_t mask)
{
    for (unsigned int i = 0; i <= SPEC_KEYS; i++) {
        const char *key = spec_key_name(i);
        size_t length = strlen(key);

        if (mask & 1u << i && strncmp(text, key, length) == 0 &&
            text[length + strspn(text + length, " \t")] == '=')
            return key;
    }
    return NULL;
}

/*
 * The first key in a command that looks like one of the channel's: any "KEY=" after a comma and
 * spaces, or one in mask directly after a comma. NULL if there is none.
 */
static const char *find_swallowed(const char *command, uint32_t mask)
{
    while ((command = strchr(command, ','))) {
        size_t blanks = strspn(++command, " \t");
        const char *key = key_at(command + blanks, blanks ? UINT32_MAX : mask);

        if (key)
            return key;
    }
    return NULL;
}

/* A missing or unfit key may have been swallowed by the command. */
static int hint_swallowed(const struct spec_build *build)
{
    const char *key = find_swallowed(build->spec->command, UINT32_MAX);
    size_t length = strlen(build->why);

    if (key)
        snprintf(build->why + length, SPEC_WHY_MAX - length,
                 " (command= takes everything after it, including \"%s=\": write command= last)",
                 key);
    return -EINVAL;
}

/* The text is ambiguous, unless we formatted it ourselves. */
static int check_command(const struct spec_build *build)
{
    const char *key = find_swallowed(build->spec->command, BESIDE_COMMAND);

    if (!key || build->source == SPEC_STORED)
        return 0;
    return spec_refuse(build,
                       "key \"command\": takes everything after it, including \"%s=\" (write %s= "
                       "before command=; if it belongs to the command, write ''%s=)",
                       key, key, key);
}

static int take_all(struct spec_build *build, char *text)
{
    int rc = 0;

    while (text && rc == 0)
        rc = take_pair(build, &text);
    return rc;
}

int spec_parse(const char *text, enum spec_source source, struct spec *spec, char why[SPEC_WHY_MAX])
{
    struct spec_build build = spec_begin(spec, source, why);
    char *copy;
    int rc;

    copy = strdup(text);
    if (!copy) {
        spec_refuse(&build, "out of memory");
        return -ENOMEM;
    }
    rc = take_all(&build, copy);
    free(copy);
    if (rc < 0)
        return rc;
    rc = spec_end(&build);
    if (rc < 0)
        return hint_swallowed(&build);
    return check_command(&build);
}

/* ---- formatting ---- */

/* Rings of the same size are written as one key. */
static void put_rings(FILE *to, const struct spec *spec, const struct spec *usual)
{
    char read[SPEC_VALUE_MAX], write[SPEC_VALUE_MAX];

    if (spec->read_ring == usual->read_ring && spec->write_ring == usual->write_ring)
        return;
    spec_value(spec, SPEC_READ_RING, read);
    spec_value(spec, SPEC_WRITE_RING, write);
    if (strcmp(read, write) == 0)
        fprintf(to, ",ring=%s", read);
    else
        fprintf(to, ",read-ring=%s,write-ring=%s", read, write);
}

static void put_field(FILE *to, const struct spec *spec, const struct spec *usual,
                      enum spec_key key)
{
    char value[SPEC_VALUE_MAX], by_default[SPEC_VALUE_MAX];

    spec_value(usual, key, by_default);
    if (spec_value(spec, key, value) && (strcmp(value, by_default) != 0 || key == SPEC_CONNECTION))
        fprintf(to, ",%s=%s", spec_fields[key].key, value);
}

static void put_channel(FILE *to, const struct spec *spec)
{
    struct spec usual = spec_usual(spec->connection);

    fprintf(to, "name=%s", spec->name);
    for (enum spec_key key = SPEC_NAME + 1; key < SPEC_KEYS; key++) {
        if (key == SPEC_READ_RING)
            put_rings(to, spec, &usual);
        else if (key != SPEC_WRITE_RING && !(key == SPEC_CONNECTION && spec_is_app(spec)))
            put_field(to, spec, &usual, key);
    }
}

static int format(const struct spec *spec, char **text)
{
    size_t size;
    FILE *to = open_memstream(text, &size);

    if (!to)
        return -ENOMEM;
    put_channel(to, spec);
    if (fclose(to) == 0)
        return 0;
    free(*text);
    return -ENOMEM;
}

int spec_format(const struct spec *spec, char **text)
{
    struct spec back;
    char why[SPEC_WHY_MAX];
    int rc = format(spec, text);

    if (rc < 0)
        return rc;
    rc = spec_parse(*text, SPEC_STORED, &back, why);
    if (rc == 0 && !spec_equal(spec, &back))
        rc = -EINVAL;
    if (rc < 0)
        free(*text);
    return rc;
}
