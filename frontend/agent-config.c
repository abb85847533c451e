/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frontend/agent-config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Larger than any file that was written by hand. */
#define FILE_MAX (1u << 20)

struct reader {
    const char *file;
    char *cursor; /* in the text, which ends with a NUL */
    unsigned long line;
    bool seen; /* the setting vchan was found */
    struct agent_config *config;
    char *why;
};

/* Writes an error to why, after "FILE:LINE: " (line 0: after "FILE: "). Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) static int
config_error(const struct reader *reader, unsigned long line, const char *format, ...)
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

/* Skips spaces, tabs and comments, and newlines where they have no meaning. */
static void skip_blanks(struct reader *reader, bool newlines)
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

/* The text at the cursor, for an error. */
struct found {
    char text[32];
};

static struct found text_at(const struct reader *reader)
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

static int expect_char(struct reader *reader, char wanted, const char *where)
{
    if (*reader->cursor != wanted)
        return config_error(reader, reader->line, "%s instead of \"%c\" %s", text_at(reader).text,
                            wanted, where);
    reader->cursor++;
    return 0;
}

/* Takes a backslash and the quote or backslash after it. Other escapes are errors. */
static int take_escape(struct reader *reader, char **to)
{
    char c = reader->cursor[1];

    if (c == '\0' || !strchr("\\\"'", c))
        return config_error(reader, reader->line,
                            "a backslash in a string must be followed by \\, \" or '");
    *(*to)++ = c;
    reader->cursor += 2;
    return 0;
}

/* Takes a quoted string, unquoted in place. */
static int take_string(struct reader *reader, char **string)
{
    char quote = *reader->cursor, *to;
    int rc = 0;

    *string = to = reader->cursor + 1;
    if (quote != '"' && quote != '\'')
        return config_error(reader, reader->line,
                            "%s instead of an entry (write \"name=NAME, ...\") or \"]\"",
                            text_at(reader).text);
    reader->cursor++;
    while (rc == 0 && *reader->cursor != quote) {
        if (*reader->cursor == '\0' || *reader->cursor == '\n')
            return config_error(reader, reader->line, "unterminated string (%c is missing)", quote);
        if (*reader->cursor == '\\')
            rc = take_escape(reader, &to);
        else
            *to++ = *reader->cursor++;
    }
    reader->cursor += rc == 0; /* before the next line, whose NUL may overwrite the quote */
    *to = '\0';
    return rc;
}

/* ---- the file ---- */

static int add_entry(struct reader *reader, const char *spec)
{
    struct agent_config *config = reader->config;
    struct spec *channels = reallocarray(config->channels, config->count + 1, sizeof(*channels));
    char why[SPEC_WHY_MAX];
    int rc;

    if (!channels)
        return -ENOMEM;
    config->channels = channels;
    rc = spec_parse(spec, SPEC_GUEST, &channels[config->count], why);
    if (rc < 0) {
        config_error(reader, reader->line, "vchan entry %zu: %s", config->count + 1, why);
        return rc;
    }
    if (agent_config_find(config, channels[config->count].name))
        return config_error(reader, reader->line,
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

/* Takes what follows "vchan =": a list of strings. */
static int take_list(struct reader *reader)
{
    int rc = expect_char(reader, '[', "(write vchan = [ \"name=NAME, ...\" ])");

    for (skip_blanks(reader, true); rc == 0 && *reader->cursor != ']'; skip_blanks(reader, true)) {
        rc = take_spec(reader);
        skip_blanks(reader, true);
        if (rc == 0 && *reader->cursor != ']')
            rc = expect_char(reader, ',', "or \"]\" after an entry");
    }
    reader->cursor += rc == 0;
    return rc;
}

static int take_setting(struct reader *reader)
{
    size_t length = strspn(reader->cursor, "abcdefghijklmnopqrstuvwxyz._0123456789");

    if (length == 0)
        return config_error(reader, reader->line, "%s instead of a setting", text_at(reader).text);
    if (length != strlen("vchan") || strncmp(reader->cursor, "vchan", length) != 0)
        return config_error(reader, reader->line,
                            "unknown setting \"%.*s\" (vchan is the only setting)", (int)length,
                            reader->cursor);
    if (reader->seen)
        return config_error(reader, reader->line, "vchan is set twice");
    reader->seen = true;
    reader->cursor += length;
    skip_blanks(reader, false);
    if (expect_char(reader, '=', "after vchan") < 0)
        return -EINVAL;
    skip_blanks(reader, false);
    return take_list(reader);
}

/* A setting ends at the end of its line, or at a semicolon. */
static int take_line_end(struct reader *reader)
{
    skip_blanks(reader, false);
    if (strchr("\n;", *reader->cursor)) /* strchr() also finds the NUL at the end of the file */
        return 0;
    return config_error(reader, reader->line, "unexpected %s after a setting",
                        text_at(reader).text);
}

static int take_settings(struct reader *reader)
{
    int rc = 0;

    for (skip_blanks(reader, true); rc == 0 && *reader->cursor; skip_blanks(reader, true)) {
        if (*reader->cursor == ';') {
            reader->cursor++;
            continue;
        }
        rc = take_setting(reader);
        if (rc == 0)
            rc = take_line_end(reader);
    }
    return rc;
}

/* Reads the whole file, and adds a NUL. On success the caller frees *text. */
static int load_file(const struct reader *reader, FILE *from, char **text)
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
        return config_error(reader, 0, "is larger than 1M");
    if (memchr(*text, '\0', size))
        return config_error(reader, 0, "is not a text file (it contains a NUL byte)");
    return 0;
}

static int read_file(struct reader *reader)
{
    FILE *from = fopen(reader->file, "re");
    char *text;
    int rc;

    if (!from)
        return -errno;
    rc = load_file(reader, from, &text);
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
        config_error(&reader, 0, "%s", strerror(-rc));
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
