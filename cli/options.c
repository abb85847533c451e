/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "state/device.h"
#include "state/seconds.h"
#include "state/size.h"
#include "state/store.h"

/* ---- values ---- */

static int set_size(const char *text, uint32_t *bytes)
{
    uint64_t size = 0;
    int rc = size_parse(text, PVCHAN_RING_MAX, &size);

    *bytes = (uint32_t)size;
    return rc < 0 ? -EINVAL : 0;
}

/* ---- options ---- */

static int set_client(struct options *options, const char *text)
{
    (void)text;
    options->target = TARGET_CLIENT;
    return 0;
}

static int set_server(struct options *options, const char *text)
{
    (void)text;
    options->target = TARGET_SERVER;
    return 0;
}

static int set_timeout(struct options *options, const char *text)
{
    return parse_seconds(text, &options->timeout_ms);
}

static int set_linger(struct options *options, const char *text)
{
    return parse_seconds(text, &options->linger_ms);
}

static int set_read_ring(struct options *options, const char *text)
{
    return set_size(text, &options->read_ring);
}

static int set_write_ring(struct options *options, const char *text)
{
    return set_size(text, &options->write_ring);
}

static int set_state(struct options *options, const char *text)
{
    return xenbus_state_by_name(text, &options->state) ? 0 : -EINVAL;
}

static int set_once(struct options *options, const char *text)
{
    (void)text;
    options->once = true;
    return 0;
}

static int set_json(struct options *options, const char *text)
{
    (void)text;
    options->json = true;
    return 0;
}

#define STATE "a state, such as Connected or Closed"
#define SIZE  "bytes, such as 4096, 64K or 1M, at most 1M"

/* The forms of a channel that an option applies to. */
#define CLIENT (1u << TARGET_CLIENT)
#define SERVER (1u << TARGET_SERVER)
#define PLAIN  (CLIENT | SERVER)
#define ANY    (1u << TARGET_NAMED | PLAIN)

static const struct row {
    char letter;
    struct option option;
    int (*set)(struct options *options, const char *text);
    const char *wants;
    unsigned int forms;
} rows[] = {
    {'c', {"client", no_argument, NULL, 'c'}, set_client, NULL, CLIENT},
    {'s', {"server", no_argument, NULL, 's'}, set_server, NULL, SERVER},
    {'T', {"timeout", required_argument, NULL, 'T'}, set_timeout, SECONDS_WANTED, ANY},
    {'t', {"linger", required_argument, NULL, 't'}, set_linger, SECONDS_WANTED, PLAIN},
    {'r', {"read-ring", required_argument, NULL, 'r'}, set_read_ring, SIZE, SERVER},
    {'w', {"write-ring", required_argument, NULL, 'w'}, set_write_ring, SIZE, SERVER},
    {'S', {"state", required_argument, NULL, 'S'}, set_state, STATE, ANY},
    {'o', {"once", no_argument, NULL, 'o'}, set_once, NULL, SERVER},
    {'j', {"json", no_argument, NULL, 'j'}, set_json, NULL, ANY},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Collects the long options of one command for getopt_long(). */
static void make_long_options(const struct command *command, struct option out[ROWS + 2])
{
    size_t count = 0;

    for (size_t i = 0; i < ROWS; i++)
        if (strchr(command->options, rows[i].letter))
            out[count++] = rows[i].option;
    out[count++] = (struct option){"help", no_argument, NULL, 'h'};
    out[count] = (struct option){0};
}

static const struct row *row_find(int letter)
{
    const struct row *row = rows;

    while (row->letter != letter)
        row++; /* getopt_long() returns only rows that exist */
    return row;
}

static int apply(const struct command *command, const struct row *row, struct options *options)
{
    if (row->set(options, optarg) == 0)
        return 0;
    complain(EXIT_USAGE, "%s: --%s \"%s\": expected %s", command->name, row->option.name, optarg,
             row->wants);
    return -1;
}

/* Refuses options that do not apply to the channel's form. given has one bit for each row. */
static int check_forms(const struct command *command, unsigned int given,
                       const struct options *options)
{
    static const char *const forms[] = {
        [TARGET_NAMED] = "a NAME", [TARGET_CLIENT] = "--client", [TARGET_SERVER] = "--server"};

    for (size_t i = 0; i < ROWS; i++) {
        if (!(given & 1u << i) || rows[i].forms & 1u << options->target)
            continue;
        complain(EXIT_USAGE, "%s: --%s cannot be used with %s (see vchan help %s)", command->name,
                 rows[i].option.name, forms[options->target], command->name);
        return -1;
    }
    return 0;
}

static int complain_option(const struct command *command, int letter, const char *word)
{
    complain(EXIT_USAGE, "%s: %s \"%s\" (see vchan help %s)", command->name,
             letter == '?' ? "unknown option" : "missing value for", word, command->name);
    return -1;
}

int options_parse(const struct command *command, int argc, char **argv, struct options *options)
{
    const char *letters = strchr(command->options, 't') ? ":ht:" : ":h";
    struct option long_options[ROWS + 2];
    unsigned int given = 0;
    int letter;

    *options = (struct options){
        .timeout_ms = -1,
        .linger_ms = LINGER_DEFAULT,
        .read_ring = RING_SIZE_DEFAULT,
        .write_ring = RING_SIZE_DEFAULT,
        .state = XenbusStateConnected,
    };
    make_long_options(command, long_options);
    while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) >= 0) {
        if (letter == 'h')
            return 0;
        if (letter == '?' || letter == ':')
            return complain_option(command, letter, argv[optind - 1]);
        if (apply(command, row_find(letter), options) < 0)
            return -1;
        given |= 1u << (row_find(letter) - rows);
    }
    return check_forms(command, given, options) < 0 ? -1 : optind;
}
