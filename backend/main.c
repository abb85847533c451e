/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan-backend: options, exit codes. man/vchan-backend.8.scd
 */
#include <config.h>

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/service.h"
#include "service/cgroup.h"
#include "service/handover/ring-holder.h"
#include "service/log.h"
#include "service/quota.h"
#include "service/usage-error.h"
#include "service/worker/protocol.h"
#include "state/descriptor.h"
#include "state/size.h"
#include "state/store.h"

enum { EXIT_STOPPED = 0 };

enum {
    OPTION_CHANNELS = 256,
    OPTION_CONNECTS,
    OPTION_RINGS,
    OPTION_ALL_RINGS,
    OPTION_COMMAND_MEMORY,
    OPTION_COMMAND_TASKS,
};

static const char usage[] =
    "Usage: vchan-backend [-v|-vv|-q] [--max-channels=N] [--max-connects=N] [--max-rings=SIZE]\n"
    "                     [--max-all-rings=SIZE] [--command-memory-max=SIZE]\n"
    "                     [--command-tasks-max=N]\n"
    "Serves the vchan channels whose backend is this domain, in the foreground.\n"
    "\n"
    "  -v, --verbose  also log the frontends' states, clients and commands;\n"
    "                 given twice, also what each channel decides to do next\n"
    "  -q, --quiet    log errors only\n"
    "      --max-channels=N   serve at most N channels of one guest (4096)\n"
    "      --max-connects=N   let a guest connect N times a minute, delay the rest (1200)\n"
    "      --max-rings=SIZE   map at most SIZE of one guest's memory (256M)\n"
    "      --max-all-rings=SIZE  map at most SIZE of all guests' memory together (512M)\n"
    "      --command-memory-max=SIZE  let a command use at most SIZE of memory (no limit)\n"
    "      --command-tasks-max=N      let a command have at most N processes (no limit)\n"
    "      --foreground       accepted for compatibility; always in the foreground\n"
    "  -h, --help     print this help\n"
    "      --version  print the version\n"
    "\n"
    "SIGTERM stops it cleanly. See vchan-backend(8).\n";

static struct quota_limits limits = QUOTA_LIMITS;

static bool take_count(const char *text, unsigned int *count)
{
    uint32_t value;

    if (parse_number(text, INT32_MAX, &value) < 0 || value == 0)
        return false;
    *count = value;
    return true;
}

static int take_limit(int option, const char *text)
{
    static const char *const names[] = {
        [OPTION_CHANNELS - OPTION_CHANNELS] = "--max-channels",
        [OPTION_CONNECTS - OPTION_CHANNELS] = "--max-connects",
        [OPTION_RINGS - OPTION_CHANNELS] = "--max-rings",
        [OPTION_ALL_RINGS - OPTION_CHANNELS] = "--max-all-rings",
    };
    bool good = option == OPTION_CHANNELS   ? take_count(text, &limits.channels)
                : option == OPTION_CONNECTS ? take_count(text, &limits.connects)
                : option == OPTION_RINGS
                    ? size_parse(text, INT64_MAX, &limits.ring_bytes) == 0
                    : size_parse(text, INT64_MAX, &limits.ring_bytes_of_all) == 0;

    if (good)
        return -1;
    return usage_error_value(
        names[option - OPTION_CHANNELS], text,
        option == OPTION_CHANNELS || option == OPTION_CONNECTS ? USAGE_NOT_COUNT : USAGE_NOT_SIZE);
}

/* Returns the exit code, or -1 to continue. */
static int parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"foreground", no_argument, NULL, 'f'},
        {"max-channels", required_argument, NULL, OPTION_CHANNELS},
        {"max-connects", required_argument, NULL, OPTION_CONNECTS},
        {"max-rings", required_argument, NULL, OPTION_RINGS},
        {"max-all-rings", required_argument, NULL, OPTION_ALL_RINGS},
        {"command-memory-max", required_argument, NULL, OPTION_COMMAND_MEMORY},
        {"command-tasks-max", required_argument, NULL, OPTION_COMMAND_TASKS},
        {0},
    };
    int option, rc = -1;

    opterr = 0; /* its messages would not mention --help */
    while (rc < 0 && (option = getopt_long(argc, argv, ":vqh", options, NULL)) >= 0) {
        switch (option) {
        case 'v':
            log_raise_level();
            break;
        case 'q':
            log_set_level(LOG_ERRORS);
            break;
        case 'f': /* the only mode there is */
            break;
        case OPTION_CHANNELS:
        case OPTION_CONNECTS:
        case OPTION_RINGS:
        case OPTION_ALL_RINGS:
            rc = take_limit(option, optarg);
            break;
        case OPTION_COMMAND_MEMORY:
            rc = cgroups_limit_memory(optarg);
            break;
        case OPTION_COMMAND_TASKS:
            rc = cgroups_limit_tasks(optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_STOPPED;
        case 'V':
            puts(PACKAGE_STRING);
            return EXIT_STOPPED;
        case ':':
            return usage_error_word(argv[optind - 1], "needs a value");
        default:
            return usage_error_word(optopt && optopt < OPTION_CHANNELS ? usage_option_name(optopt)
                                                                       : argv[optind - 1],
                                    "unknown option, or it takes no value");
        }
    }
    if (rc >= 0)
        return rc;
    return optind == argc ? -1 : usage_error_word(argv[optind], "unexpected argument");
}

int main(int argc, char **argv)
{
    int rc;

    descriptor_open_standard();
    if (argc > 0 && strcmp(argv[0], RING_HOLDER_NAME) == 0)
        _exit(ring_holder_serve());
    if (argc > 0 && strcmp(argv[0], WORKER_NAME) == 0)
        _exit(worker_serve());
    rc = parse_options(argc, argv);
    return rc >= 0 ? rc : service_run(&limits);
}
