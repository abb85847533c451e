/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frontend/agent-config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nobody writes a larger one by hand. */
#define FILE_MAX (1u << 20)

struct reader {
    const char *file;
    char *cursor; /* in the text, which ends with a NUL */
    unsigned long line;
    bool seen; /* vchan= */
    struct agent_config *config;
    char *why;
};

/* Says why, after "FILE:LINE: " (0: no line), and gives what to return. */
__attribute__((format(printf, 3, 4))) static int refuse(const struct reader *reader,
                                                        unsigned long line, const char *format, ...)
{
    va_list args;
    int length = line ? snprintf(reader->why, AGENT_CONFIG_WHY_MAX, "%s:%lu: ", reader->file, line)
                      : snprintf(reader->why, AGENT_CONFIG_WHY_MAX, "%s: ", reader->file);

    if (length >= AGENT_CONFIG_WHY_MAX)
        return -EINVAL;
    va_start(args, format);
    vsnprintf(reader->why + length, AGENT_CONFIG_WHY_MAX - (size_t)length, format, args);
    va_end(args);
    return -EINVAL;
}

/* ---- words ---- */

/* Passes blanks and comments; newlines too, where they mean nothing. */
static void skip(struct reader *reader, bool newlines)
{
    for (;;) {
        reader->cursor += strspn(reader->cursor, " \t");
        if (*reader->cursor == '#')
            reader->cursor += strcspn(reader->cursor, "\n");
        if (!newlines || *reader->cursor != '\n')
            return;
        reader->cursor++;
        reader->line++;
    }
}

/* What stands at the cursor, for a person. */
struct found {
    char text[32];
};

static struct found found_at(const struct reader *reader)
{
    struct found found;
    unsigned char c = (unsigned char)*reader->cursor;

    if (c == '\0')
        snprintf(found.text, sizeof(found.text), "the end of the file");
    else if (c == '\n')
        snprintf(found.text, sizeof(found.text), "the end of the line");
    else if (c < ' ' || c >= 0x7f)
        snprintf(found.text, sizeof(found.text), "byte 0x%02x", c);
    else
        snprintf(found.text, sizeof(found.text), "\"%c\"", c);
    return found;
}

static int expect(struct reader *reader, char wanted, const char *where)
{
    if (*reader->cursor != wanted)
        return refuse(reader, reader->line, "%s instead of \"%c\" %s", found_at(reader).text,
                      wanted, where);
    reader->cursor++;
    return 0;
}

/* A backslash takes the next character as it is, if that could mean something. */
static int take_escape(struct reader *reader, char **to)
{
    char c = reader->cursor[1];

    if (c == '\0' || !strchr("\\\"'", c))
        return refuse(reader, reader->line,
                      "a backslash in a string must be followed by \\, \" or '");
    *(*to)++ = c;
    reader->cursor += 2;
    return 0;
}

/* Takes a quoted string, in place. */
static int take_string(struct reader *reader, char **string)
{
    char quote = *reader->cursor, *to;
    int rc = 0;

    *string = to = reader->cursor + 1;
    if (quote != '"' && quote != '\'')
        return refuse(reader, reader->line, "%s instead of an entry (write \"name=NAME, ...\") or \"]\"",
                      found_at(reader).text);
    reader->cursor++;
    while (rc == 0 && *reader->cursor != quote) {
        if (*reader->cursor == '\0' || *reader->cursor == '\n')
            return refuse(reader, reader->line, "unterminated string (%c is missing)", quote);
        if (*reader->cursor == '\\')
            rc = take_escape(reader, &to);
        else
            *to++ = *reader->cursor++;
    }
    reader->cursor += rc == 0; /* now, since the string's NUL may fall on the quote */
    *to = '\0';
    return rc;
}

/* ---- the file ---- */

static int add_entry(struct reader *reader, const char *spec)
{
    struct agent_config *config = reader->config;
    struct spec *channels =
        reallocarray(config->channels, config->count + 1, sizeof(*channels));
    char why[SPEC_WHY_MAX];
    int rc;

    if (!channels)
        return -ENOMEM;
    config->channels = channels;
    rc = spec_parse(spec, SPEC_GUEST, &channels[config->count], why);
    if (rc < 0) {
        refuse(reader, reader->line, "vchan entry %zu: %s", config->count + 1, why);
        return rc;
    }
    if (agent_config_find(config, channels[config->count].name))
        return refuse(reader, reader->line,
                      "vchan entry %zu: key \"name\": \"%s\" is the name of an earlier entry",
                      config->count + 1, channels[config->count].name);
    config->count++;
    return 0;
}

static int take_spec(struct reader *reader)
{
    char *spec;
    int rc = take_string(reader, &spec);

    return rc < 0 ? rc : add_entry(reader, spec);
}

/* What follows "vchan =": a list of strings. */
static int take_list(struct reader *reader)
{
    int rc = expect(reader, '[', "(write vchan = [ \"name=NAME, ...\" ])");

    for (skip(reader, true); rc == 0 && *reader->cursor != ']'; skip(reader, true)) {
        rc = take_spec(reader);
        skip(reader, true);
        if (rc == 0 && *reader->cursor != ']')
            rc = expect(reader, ',', "or \"]\" after an entry");
    }
    reader->cursor += rc == 0;
    return rc;
}

static int take_setting(struct reader *reader)
{
    size_t length = strspn(reader->cursor, "abcdefghijklmnopqrstuvwxyz._0123456789");

    if (length == 0)
        return refuse(reader, reader->line, "%s instead of a setting", found_at(reader).text);
    if (length != strlen("vchan") || strncmp(reader->cursor, "vchan", length) != 0)
        return refuse(reader, reader->line, "unknown setting \"%.*s\" (vchan is the only setting)",
                      (int)length, reader->cursor);
    if (reader->seen)
        return refuse(reader, reader->line, "vchan is set twice");
    reader->seen = true;
    reader->cursor += length;
    skip(reader, false);
    if (expect(reader, '=', "after vchan") < 0)
        return -EINVAL;
    skip(reader, false);
    return take_list(reader);
}

/* A setting ends with its line, or a semicolon. */
static int take_end(struct reader *reader)
{
    skip(reader, false);
    if (strchr("\n;", *reader->cursor)) /* or the file's end, the text's NUL */
        return 0;
    return refuse(reader, reader->line, "unexpected %s after a setting", found_at(reader).text);
}

static int take_settings(struct reader *reader)
{
    int rc = 0;

    for (skip(reader, true); rc == 0 && *reader->cursor; skip(reader, true)) {
        if (*reader->cursor == ';') {
            reader->cursor++;
            continue;
        }
        rc = take_setting(reader);
        if (rc == 0)
            rc = take_end(reader);
    }
    return rc;
}

/* Reads it all, with a NUL behind it; on success the caller frees *text. */
static int load(const struct reader *reader, FILE *from, char **text)
{
    size_t size;

    *text = malloc(FILE_MAX + 2);
    if (!*text)
        return -ENOMEM;
    size = fread(*text, 1, FILE_MAX + 1, from);
    (*text)[size] = '\0';
    if (ferror(from))
        return -errno;
    if (size > FILE_MAX)
        return refuse(reader, 0, "is larger than 1M");
    if (memchr(*text, '\0', size))
        return refuse(reader, 0, "is not a text file (it contains a NUL byte)");
    return 0;
}

static int read_file(struct reader *reader)
{
    FILE *from = fopen(reader->file, "re");
    char *text;
    int rc;

    if (!from)
        return -errno;
    rc = load(reader, from, &text);
    fclose(from);
    if (rc == 0) {
        reader->cursor = text;
        rc = take_settings(reader);
    }
    free(text);
    return rc;
}

int agent_config_read(const char *file, struct agent_config *config, char why[AGENT_CONFIG_WHY_MAX])
{
    struct reader reader = {.file = file, .line = 1, .config = config, .why = why};
    int rc;

    *config = (struct agent_config){.count = 0};
    why[0] = '\0';
    rc = read_file(&reader);
    if (rc < 0 && why[0] == '\0')
        refuse(&reader, 0, "%s", strerror(-rc));
    if (rc < 0)
        agent_config_free(config);
    return rc;
}

const struct spec *agent_config_find(const struct agent_config *config, const char *name)
{
    for (size_t i = 0; i < config->count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return &config->channels[i];
    return NULL;
}

void agent_config_free(struct agent_config *config)
{
    free(config->channels);
    *config = (struct agent_config){.count = 0};
}
