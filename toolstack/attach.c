/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan attach: adds a channel to a running domain. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/command.h"
#include "toolstack/edit.h"
#include "toolstack/plug.h"
#include "toolstack/spec-json.h"

static int find_frontend(struct tool *tool, const char *text, domid_t *domid)
{
    if (tool_find_domain(tool, text, domid) == 0 && tool_has_domain(tool, *domid))
        return 0;
    tool_complain(tool, "there is no such domain");
    return -ENOENT;
}

/* Waits for the backend, and commits the record. */
static int settle_plug(struct tool *tool, struct edit *edit, const struct spec *channel,
                       const struct device_id *id, int ms)
{
    int rc = plug_await(tool, channel, id, ms);

    return rc == 0 ? edit_commit(tool, edit) : rc;
}

static int plug(struct tool *tool, struct edit *edit, const struct spec *channel,
                domid_t frontend, int ms)
{
    struct roster roster = ROSTER_OF(frontend);
    domid_t backend;
    struct device_id id;
    int rc = plug_find_backend(tool, channel, frontend, &backend);

    if (rc == 0)
        rc = plug_write(tool, channel, &roster, backend, &id);
    roster_free(&roster);
    if (rc < 0)
        return rc;
    rc = settle_plug(tool, edit, channel, &id, ms);
    if (rc < 0)
        plug_remove(tool, &id, channel->name);
    return rc;
}

static int attach_held(struct tool *tool, struct edit *edit, domid_t frontend,
                       const struct spec *channel, int ms)
{
    int rc = edit_put(tool, edit, channel);

    if (rc == 0)
        rc = edit_stage(tool, edit);
    return rc == 0 ? plug(tool, edit, channel, frontend, ms) : rc;
}

static int attach(struct tool *tool, const char *domain, const struct spec *channel, int ms)
{
    domid_t frontend;
    struct edit edit;
    int rc = find_frontend(tool, domain, &frontend);

    if (rc < 0)
        return rc;
    rc = edit_open(tool, frontend, &edit);
    if (rc == 0)
        rc = attach_held(tool, &edit, frontend, channel, ms);
    edit_close(&edit);
    return rc;
}

/* Joins the rest of the command line into one entry: "a=b c=d" becomes "a=b, c=d", as in xl. */
static char *join_spec(int argc, char **argv)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    if (!to)
        return NULL;
    for (int i = 0; i < argc; i++) {
        size_t length = strlen(argv[i]);
        bool comma = length > 0 && argv[i][length - 1] == ',';

        fprintf(to, "%s%s", argv[i], i + 1 == argc ? "" : comma ? " " : ", ");
    }
    return fclose(to) == 0 ? text : NULL;
}

static bool has_command(const char *text)
{
    static const char key[] = "command=";
    const char *place = strstr(text, key);

    while (place && place > text && !strchr(", ", place[-1]))
        place = strstr(place + 1, key);
    return place;
}

#define UNQUOTED                                                                                   \
    "\"%s\" follows command=, which must come last (quote a command that contains spaces)"

/*
 * The first argument after the command's, or NULL: without quotes, command=ls /tmp would run "ls,
 * /tmp".
 */
static const char *find_unquoted(int argc, char **argv)
{
    for (int i = 0; i + 1 < argc; i++)
        if (has_command(argv[i]))
            return argv[i + 1];
    return NULL;
}

static int attach_parsed(const char *domain, const struct spec *channel, int ms)
{
    struct tool tool;
    int rc = tool_open(&tool, "attach", domain);

    if (rc == 0)
        rc = attach(&tool, domain, channel, ms);
    tool_close(&tool);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int attach_json(const char *domain, const char *file, int ms)
{
    struct config config;
    char why[CONFIG_WHY_MAX];
    int code = EXIT_FAILURE;

    if (config_read_json(file, &config, why) < 0)
        tool_say("attach %s: %s", domain, why);
    else if (config.count != 1)
        tool_say("attach %s: expected one channel, not %zu (see xl-vchan help apply)", domain,
                 config.count);
    else
        code = attach_parsed(domain, &config.channels[0], ms);
    config_free(&config);
    return code;
}

static int attach_spec(const char *domain, char *spec, int ms)
{
    struct spec channel;
    char why[SPEC_WHY_MAX];

    if (!spec || spec_parse(spec, SPEC_DECLARED, &channel, why) < 0) {
        tool_say("attach %s: %s", domain, spec ? why : "out of memory");
        return EXIT_FAILURE;
    }
    return attach_parsed(domain, &channel, ms);
}

static int attach_words(const char *domain, int argc, char **argv, int ms)
{
    const char *unquoted = find_unquoted(argc, argv);
    char *spec;
    int code;

    if (unquoted) {
        tool_say("attach %s: " UNQUOTED, domain, unquoted);
        return EXIT_FAILURE;
    }
    spec = join_spec(argc, argv);
    code = attach_spec(domain, spec, ms);
    free(spec);
    return code;
}

static int run_attach(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"wait", required_argument, NULL, 'w'}, {0}};
    const char *unquoted = find_unquoted(argc, argv); /* before getopt_long() reorders them */
    int ms = TOOL_WAIT_DEFAULT;
    bool json = false;
    int opt;

    while ((opt = getopt_long(argc, argv, ":jw:", options, NULL)) != -1) {
        if (opt != 'w' && unquoted)
            return command_usage(command, UNQUOTED, unquoted);
        if (opt == '?' || opt == ':')
            return command_bad_option(command, opt, argv);
        if (opt == 'w' && !command_seconds(command, "--wait", &ms))
            return EXIT_USAGE;
        json |= opt == 'j';
    }
    if (argc - optind < 2)
        return command_usage(command, "%s missing",
                             argc == optind ? "DOMAIN"
                             : json         ? "FILE"
                                            : "KEY=VALUE");
    if (json && argc - optind > 2)
        return command_usage(command, "--json takes one FILE, not %d", argc - optind - 1);
    if (json)
        return attach_json(argv[optind], argv[optind + 1], ms);
    return attach_words(argv[optind], argc - optind - 1, argv + optind + 1, ms);
}

/* Generated from the tables of state/spec.h. The shell completion parses this, too. */
#define KEY_LINE(ID, member, key, type, most, place, whose, check, word) "  " key "=" word "\n"
#define KIND_WORD(ID, name, ...)                                         " " name

const struct command command_attach = {
    "attach", "[--wait SECS] DOMAIN KEY=VALUE[,KEY=VALUE...]... | --json DOMAIN FILE",
    "Plug a channel into a running domain",
    "  -j, --json       read the channel as a JSON object from FILE (-: standard input), as\n"
    "                   list --json prints it\n"
    "  -w, --wait SECS  how long the backend may take to answer (default 10)\n"
    "\n"
    "Keys, as in vchan= of a domain's config file, xl-vchan.cfg(5):\n" SPEC_FIELDS(KEY_LINE) //
    "  ring=SIZE\n"
    "Kinds of connection:" SPEC_KINDS(KIND_WORD) "\n",
    run_attach};
