/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "state/device.h"
#include "unikernel/store.h"
#include "unikernel/text.h"

#define PATH_MAX_LENGTH (STORE_PATH_MAX - 32) /* leaves room for keys below it */

struct parser {
    struct options *options;
    bool no_servers;
    const char *wrong; /* what is wrong with the value, or NULL */
};

/* Parses a number of bytes, with K or M as a unit. Changes text. */
static bool size_parse(char *text, uint32_t *size)
{
    size_t length = strlen(text);
    const char *unit = length > 0 ? text + length - 1 : text;
    uint32_t factor = *unit == 'K' ? 1u << 10 : *unit == 'M' ? 1u << 20 : 1;
    uint32_t number;

    if (factor > 1)
        text[length - 1] = '\0';
    if (number_parse(text, RING_SIZE_MAX / factor, &number) < 0 || number == 0)
        return false;
    *size = number * factor;
    return true;
}

static void set_read_ring(struct parser *parser, char *value)
{
    if (!size_parse(value, &parser->options->read_ring))
        parser->wrong = "not a size from 1 to 1M (in bytes, K or M)";
}

static void set_write_ring(struct parser *parser, char *value)
{
    if (!size_parse(value, &parser->options->write_ring))
        parser->wrong = "not a size from 1 to 1M (in bytes, K or M)";
}

static void set_ring(struct parser *parser, char *value)
{
    set_read_ring(parser, value);
    parser->options->write_ring = parser->options->read_ring;
}

static void set_channels(struct parser *parser, char *value)
{
    parser->options->no_channels = true;
    if (strcmp(value, "none") != 0)
        parser->wrong = "the only value is none (leave channels= out for all)";
}

static bool path_valid(const char *path)
{
    size_t length = strlen(path);

    for (const char *at = path; *at; at++) {
        bool alnum = (*at >= '0' && *at <= '9') || ((*at | 32) >= 'a' && (*at | 32) <= 'z');

        if (!alnum && !strchr("-/_@", *at))
            return false;
    }
    return length > 0 && length <= PATH_MAX_LENGTH && path[length - 1] != '/';
}

static void add_server(struct parser *parser, char *value)
{
    struct options *options = parser->options;
    char *colon = strchr(value, ':');
    uint32_t peer;

    if (strcmp(value, "none") == 0) {
        parser->no_servers = true;
        return;
    }
    if (colon)
        *colon = '\0';
    if (options->count == OPTIONS_SERVERS_MAX)
        parser->wrong = "at most 8 servers";
    else if (!colon || number_parse(value, DOMID_FIRST_RESERVED - 1, &peer) < 0)
        parser->wrong = "neither DOMID:PATH, with a domain's number, nor none";
    else if (!path_valid(colon + 1))
        parser->wrong = "a path may contain only letters, digits and -/_@";
    else
        options->servers[options->count++] =
            (struct options_server){.peer = (domid_t)peer, .path = colon + 1};
}

static const struct {
    const char *name;
    void (*set)(struct parser *parser, char *value);
} words[] = {
    {"server=", add_server},
    {"ring=", set_ring},
    {"read-ring=", set_read_ring},
    {"write-ring=", set_write_ring},
    {"channels=", set_channels},
};

static void word_parse(struct parser *parser, char *word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t length = strlen(words[i].name);

        if (strncmp(word, words[i].name, length) == 0) {
            words[i].set(parser, word + length);
            return;
        }
    }
    parser->wrong = "unknown option (use server=, ring=, read-ring=, write-ring= or channels=)";
}

/* Cuts the next word out of the line. Returns NULL at its end. */
static char *word_next(char **line)
{
    char *word = *line;

    while (*word == ' ')
        word++;
    if (*word == '\0')
        return NULL;
    *line = word;
    while (**line && **line != ' ')
        ++*line;
    if (**line)
        *(*line)++ = '\0';
    return word;
}

int options_parse(char *line, struct options *options, char *why, size_t size)
{
    struct parser parser = {.options = options};
    char *word, shown[64];

    *options = (struct options){.read_ring = RING_SIZE_DEFAULT, .write_ring = RING_SIZE_DEFAULT};
    while ((word = word_next(&line))) {
        snprintf(shown, sizeof(shown), "%s", word); /* parsing cuts it */
        word_parse(&parser, word);
        if (parser.wrong) {
            snprintf(why, size, "command line: '%s': %s", shown, parser.wrong);
            return -EINVAL;
        }
    }
    if (options->count == 0 && !parser.no_servers)
        options->servers[options->count++] = (struct options_server){.path = "data/vchan"};
    return 0;
}
