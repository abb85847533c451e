/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan-frontend: options, exit codes. man/vchan-frontend.8.scd
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/cgroup.h"
#include "service/loop.h"
#include "service/log.h"
#include "service/usage-error.h"
#include "service/worker/protocol.h"
#include "frontend/agent.h"
#include "state/descriptor.h"
#include "state/path.h"

enum { EXIT_DONE = 0, EXIT_CONFIG = 3 };

enum { OPTION_COMMAND_MEMORY = 256, OPTION_COMMAND_TASKS };

static const char usage[] =
    "Usage: vchan-frontend [-c FILE] [-v|-vv|-q] [--command-memory-max=SIZE]\n"
    "                      [--command-tasks-max=N]\n"
    "       vchan-frontend [-c FILE] --check\n"
    "Plugs this guest's vchan channels into local connections, in the foreground.\n"
    "\n"
    "  -c, --config FILE  where connections are declared (" SYSCONFDIR "/pvchan/frontend.conf)\n"
    "  -t, --check        check that file and exit\n"
    "  -v, --verbose      also log the backends' states, clients and commands;\n"
    "                     given twice, also what each channel decides to do next\n"
    "  -q, --quiet        log errors only\n"
    "      --command-memory-max=SIZE  let a command use at most SIZE of memory (no limit)\n"
    "      --command-tasks-max=N      let a command have at most N processes (no limit)\n"
    "      --foreground   accepted for compatibility; always in the foreground\n"
    "  -h, --help         print this help\n"
    "      --version      print the version\n"
    "\n"
    "SIGHUP makes it reread the file, SIGTERM stops it cleanly. See vchan-frontend(8).\n";

struct request {
    const char *file;
    bool check;
};

/* Returns the exit code, or -1 to continue. */
static int apply_option(int option, struct request *request)
{
    switch (option) {
    case 'c':
        request->file = optarg;
        return -1;
    case 't':
        request->check = true;
        return -1;
    case 'v':
        log_raise_level();
        return -1;
    case 'q':
        log_set_level(LOG_ERRORS);
        return -1;
    case 'f': /* the only mode there is */
        return -1;
    case OPTION_COMMAND_MEMORY:
        return cgroups_limit_memory(optarg);
    case OPTION_COMMAND_TASKS:
        return cgroups_limit_tasks(optarg);
    case 'h':
        fputs(usage, stdout);
        return EXIT_DONE;
    default:
        puts(PACKAGE_STRING);
        return EXIT_DONE;
    }
}

/* As apply_option(). */
static int parse_request(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 't'},
        {"verbose", no_argument, NULL, 'v'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"foreground", no_argument, NULL, 'f'},
        {"command-memory-max", required_argument, NULL, OPTION_COMMAND_MEMORY},
        {"command-tasks-max", required_argument, NULL, OPTION_COMMAND_TASKS},
        {0},
    };
    int option, rc = -1;

    opterr = 0; /* its messages would not mention --help */
    while (rc < 0 && (option = getopt_long(argc, argv, ":c:tvqh", options, NULL)) >= 0) {
        if (option == ':')
            rc = usage_error_word(argv[optind - 1], "needs a value");
        else if (option == '?')
            rc = usage_error_word(optopt && optopt < OPTION_COMMAND_MEMORY
                                      ? usage_option_name(optopt)
                                      : argv[optind - 1],
                                  "unknown option, or it takes no value");
        else
            rc = apply_option(option, request);
    }
    if (rc >= 0 || optind == argc)
        return rc;
    return usage_error_word(argv[optind], "unexpected argument");
}

/* The service has another working directory when it rereads the file. */
static int serve_config(const char *file, struct agent_config *config)
{
    char *path = path_absolute(file);
    int rc;

    if (!path)
        log_line(LOG_ERRORS, "cannot find the full path of %s: %s (give an absolute path)", file,
                 strerror(errno));
    rc = path ? agent_run(path, config) : LOOP_FAILED;
    free(path);
    return rc;
}

int main(int argc, char **argv)
{
    struct request request = {.file = SYSCONFDIR "/pvchan/frontend.conf"};
    char why[AGENT_CONFIG_WHY_MAX];
    struct agent_config config;
    int rc;

    descriptor_open_standard();
    if (argc > 0 && strcmp(argv[0], WORKER_NAME) == 0)
        _exit(worker_serve());
    rc = parse_request(argc, argv, &request);
    if (rc >= 0)
        return rc;
    if (agent_config_read(request.file, &config, why) < 0) {
        log_line(LOG_ERRORS, "%s", why);
        return EXIT_CONFIG;
    }
    if (!request.check)
        return serve_config(request.file, &config);
    printf("%s: %zu channel%s\n", request.file, config.count, config.count == 1 ? "" : "s");
    agent_config_free(&config);
    return EXIT_DONE;
}
