/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan-backend: options, exit codes. man/vchan-backend.8.scd
 */
#include <config.h>

#include <getopt.h>
#include <stdio.h>

#include "backend/service.h"
#include "connection/log.h"

enum { EXIT_STOPPED = 0, EXIT_USAGE = 2 };

static const char usage[] =
    "Usage: vchan-backend [-v|-q]\n"
    "Serves the vchan channels whose backend is this domain, in the foreground.\n"
    "\n"
    "  -v, --verbose  log also the frontends' states, clients and commands\n"
    "  -q, --quiet    log only what went wrong\n"
    "  -h, --help     print this\n"
    "      --version  print the version\n"
    "\n"
    "SIGTERM stops it in order. See vchan-backend(8).\n";

static int complain_usage(const char *word, const char *why)
{
    fprintf(stderr, "vchan-backend: \"%s\": %s (see vchan-backend --help)\n", word, why);
    return EXIT_USAGE;
}

static const char *letter_text(int letter)
{
    static char text[3];

    snprintf(text, sizeof(text), "-%c", letter);
    return text;
}

/* Returns the exit code, or -1 to go on. */
static int parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'},    {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},       {"version", no_argument, NULL, 'V'},
        {"foreground", no_argument, NULL, 'f'}, {0},
    };
    int option;

    opterr = 0; /* it would not say where the options are */
    while ((option = getopt_long(argc, argv, "vqh", options, NULL)) >= 0) {
        switch (option) {
        case 'v':
            log_set_level(LOG_DETAILS);
            break;
        case 'q':
            log_set_level(LOG_ERRORS);
            break;
        case 'f': /* the only mode there is */
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_STOPPED;
        case 'V':
            puts(PACKAGE_STRING);
            return EXIT_STOPPED;
        default:
            return complain_usage(optopt ? letter_text(optopt) : argv[optind - 1],
                                  "no such option, or it takes no value");
        }
    }
    return optind == argc ? -1 : complain_usage(argv[optind], "no arguments are taken");
}

int main(int argc, char **argv)
{
    int rc = parse_options(argc, argv);

    return rc >= 0 ? rc : service_run();
}
