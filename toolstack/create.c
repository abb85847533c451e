/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan create: creates a domain with all its channels, or no domain. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toolstack/command.h"
#include "toolstack/config.h"
#include "toolstack/edit.h"
#include "toolstack/identity.h"
#include "toolstack/plug.h"

struct creation {
    const char *file;
    char **xl_argv; /* ends with NULL */
    int ms;         /* --wait */
    bool paused;
    struct config config;

    struct tool tool;
    domid_t domid;
    struct device_id *ids; /* of the channels written so far, in the config's order */
    size_t written;
    struct edit edit; /* opened before the domain exists, so that the daemon leaves it to us */
};

static int check_backend(struct creation *creation, const struct spec *channel)
{
    const char *name = creation->config.name;
    domid_t backend;

    if (strcmp(channel->backend, name) == 0)
        return plug_refuse_itself(&creation->tool, channel, name);
    return plug_find_backend(&creation->tool, channel, DOMID_INVALID, &backend);
}

/* Checks everything that can be checked before the domain exists. */
static int check_creation(struct creation *creation)
{
    const struct config *config = &creation->config;
    int rc = 0;

    if (identity_by_name(&creation->tool, config->name, &creation->domid) == 0) {
        tool_complain(&creation->tool, "domain \"%s\" already exists", config->name);
        return -EEXIST;
    }
    for (size_t i = 0; i < config->count && rc == 0; i++)
        rc = check_backend(creation, &config->channels[i]);
    return rc;
}

/*
 * In the child: runs xl in a process group of its own, because a ^C in the middle of it would leave
 * half a domain. xl ends by itself; then the whole domain is destroyed.
 */
static void exec_xl(char **argv)
{
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "xl-vchan: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static int run_xl(struct creation *creation)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        exec_xl(creation->xl_argv);
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        tool_complain(&creation->tool, "cannot run xl: %s", strerror(errno));
        return -ECHILD;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    tool_complain(&creation->tool, "xl create failed with %s %d (its own message is above)",
                  WIFEXITED(status) ? "exit code" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return -ECHILD;
}

static int plug_channels(struct creation *creation)
{
    struct roster roster = ROSTER_OF(creation->domid);
    domid_t backend;
    int rc = 0;

    while (rc == 0 && creation->written < creation->config.count) {
        const struct spec *channel = &creation->config.channels[creation->written];

        rc = plug_find_backend(&creation->tool, channel, roster.frontend, &backend);
        if (rc == 0)
            rc = plug_write(&creation->tool, channel, &roster, backend,
                            &creation->ids[creation->written]);
        creation->written += rc == 0;
    }
    roster_free(&roster);
    return rc;
}

static int await_channels(struct creation *creation)
{
    int rc = 0;

    for (size_t i = 0; i < creation->written && rc == 0; i++)
        rc = plug_await(&creation->tool, &creation->config.channels[i], &creation->ids[i],
                        creation->ms);
    return rc;
}

static int unpause(struct creation *creation)
{
    if (tool_interrupted(&creation->tool)) {
        tool_complain(&creation->tool, "interrupted");
        return -EINTR;
    }
    if (creation->paused || libxl_domain_unpause(creation->tool.ctx, creation->domid, NULL) == 0)
        return 0;
    tool_complain(&creation->tool, "cannot unpause the domain");
    return -EIO;
}

static void destroy(struct creation *creation)
{
    while (creation->written > 0) {
        creation->written--;
        plug_remove(&creation->tool, &creation->ids[creation->written],
                    creation->config.channels[creation->written].name);
    }
    if (libxl_domain_destroy(creation->tool.ctx, creation->domid, NULL))
        tool_complain(&creation->tool, "cannot destroy the domain (try xl destroy %u)",
                      creation->domid);
}

/* Stages the domain's record, replacing that of an earlier domain with the same uuid. */
static int stage_config(struct creation *creation)
{
    struct edit *edit = &creation->edit;
    int rc = edit_enter(&creation->tool, creation->domid, edit);

    free(edit->config.name);
    edit->config.name = rc == 0 ? strdup(creation->config.name) : NULL;
    edit->config.count = 0;
    for (size_t i = 0; i < creation->config.count && rc == 0; i++)
        rc = edit_put(&creation->tool, edit, &creation->config.channels[i]);
    return rc == 0 ? edit_stage(&creation->tool, edit) : rc;
}

/* The domain exists now: plugs its channels, or fails. */
static int furnish(struct creation *creation)
{
    int rc = stage_config(creation);

    if (rc == 0)
        rc = plug_channels(creation);
    if (rc == 0)
        rc = await_channels(creation);
    if (rc == 0)
        rc = edit_commit(&creation->tool, &creation->edit);
    if (rc == 0)
        rc = unpause(creation);
    if (rc < 0)
        destroy(creation);
    return rc;
}

static int create(struct creation *creation)
{
    int rc = check_creation(creation);

    if (rc == 0)
        rc = run_xl(creation);
    if (rc < 0)
        return rc;
    if (identity_by_name(&creation->tool, creation->config.name, &creation->domid) < 0) {
        tool_complain(&creation->tool, "the domain disappeared");
        return -ESRCH;
    }
    return furnish(creation);
}

static int create_read(struct creation *creation)
{
    int rc = tool_open(&creation->tool, "create", creation->file);

    creation->edit = EDIT_NONE;
    if (rc == 0)
        rc = creation->edit.locks = record_lock(&creation->tool, creation->config.name);
    if (rc >= 0) {
        creation->ids = calloc(creation->config.count + 1, sizeof(*creation->ids));
        rc = creation->ids ? create(creation) : -ENOMEM;
    }
    free(creation->ids);
    edit_close(&creation->edit);
    tool_close(&creation->tool);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Joins the settings on the command line as xl does: one a line, after the file. */
static char *join_settings(char **settings)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    if (!to)
        return NULL;
    for (; *settings; settings++)
        fprintf(to, "%s\n", *settings);
    return fclose(to) == 0 ? text : NULL;
}

static int create_config(struct creation *creation)
{
    if (!creation->config.declares)
        tool_say("%s: warning: no vchan= key; creating a domain without channels", creation->file);
    return create_read(creation);
}

static int create_file(struct creation *creation, char **settings)
{
    char why[CONFIG_WHY_MAX] = "out of memory";
    char *extra = join_settings(settings);
    int code = EXIT_FAILURE;

    if (!extra || config_read(creation->file, extra, &creation->config, why) < 0)
        tool_say("%s", why);
    else if (!creation->config.name)
        tool_say("%s: the domain has no name (add name=\"NAME\")", creation->file);
    else
        code = create_config(creation);
    free(extra);
    config_free(&creation->config);
    return code;
}

/*
 * Sorts the arguments after the options: one file, then settings. Returns false if there is not
 * exactly one file.
 */
static bool sort_arguments(int argc, char **argv)
{
    int files = 0;

    for (int i = 0; i < argc; i++) {
        char *arg = argv[i];

        if (strchr(arg, '='))
            continue;
        memmove(argv + 1, argv, (size_t)i * sizeof(*argv));
        argv[0] = arg;
        files++;
    }
    return files == 1;
}

static const struct option options[] = {
    {"paused", no_argument, NULL, 'p'},
    {"wait", required_argument, NULL, 'w'},
    {"quiet", no_argument, NULL, 'q'},
    {"ignore-global-affinity-masks", no_argument, NULL, 'i'},
    {0},
};

/* Parses the options and appends those for xl at *xl, advancing it. Returns 0, or an exit code. */
static int split_options(const struct command *command, int argc, char **argv,
                         struct creation *creation, char ***xl)
{
    static const struct {
        int opt;
        char *text;
    } passed[] = {{'q', "-q"}, {'d', "-d"}, {'e', "-e"}, {'i', "-i"}};
    int opt;

    while ((opt = getopt_long(argc, argv, ":pw:qdei", options, NULL)) != -1) {
        if (opt == ':' || opt == '?')
            return command_bad_option(command, opt, argv);
        if (opt == 'w' && !command_seconds(command, "--wait", &creation->ms))
            return EXIT_USAGE;
        creation->paused |= opt == 'p';
        for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
            if (passed[i].opt == opt)
                *(*xl)++ = passed[i].text;
    }
    return 0;
}

static int run_with(const struct command *command, int argc, char **argv, char **xl)
{
    struct creation creation = {.ms = TOOL_WAIT_DEFAULT, .xl_argv = xl};
    int code;

    *xl++ = "xl";
    *xl++ = "create";
    *xl++ = "-p";
    code = split_options(command, argc, argv, &creation, &xl);
    if (code)
        return code;
    argc -= optind;
    argv += optind;
    if (!sort_arguments(argc, argv))
        return command_usage(command, "expected one config file");
    creation.file = argv[0];
    memcpy(xl, argv, (size_t)argc * sizeof(*argv));
    return create_file(&creation, argv + 1);
}

static int run_create(const struct command *command, int argc, char **argv)
{
    /*
     * Each argument becomes at most one of xl's, but one argument may hold several option letters.
     */
    size_t count = 4;
    char **xl;
    int code;

    for (int i = 0; i < argc; i++)
        count += strlen(argv[i]) + 1;
    xl = calloc(count, sizeof(*xl));
    if (!xl)
        return EXIT_FAILURE;
    code = run_with(command, argc, argv, xl);
    free(xl);
    return code;
}

const struct command command_create = {
    "create", "[-p] [--wait SECS] [-deiq] CONFIG [SETTING=VALUE...]",
    "Create a domain with its channels",
    "Runs xl create, attaches the channels of vchan= in CONFIG, and unpauses the domain. If\n"
    "anything fails, the domain is destroyed.\n"
    "  -p, --paused     leave the domain paused\n"
    "  -w, --wait SECS  how long each backend may take to answer (default 10)\n"
    "  -d, -e, -i, -q   passed to xl create\n",
    run_create};
