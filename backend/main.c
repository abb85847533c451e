/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan-backend: options, signals, exit codes. man/vchan-backend.8.scd
 */
#include <config.h>

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/service.h"
#include "connection/log.h"
#include "state/notify.h"

enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

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

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    event_base_loopbreak(arg);
}

/* Serves until a signal, or until it cannot go on. */
static int serve(struct event_base *base)
{
    struct service *service;
    int rc;

    if (service_open(base, &service) < 0)
        return EXIT_FAILED;
    notify_manager("READY=1");
    event_base_dispatch(base);
    notify_manager("STOPPING=1");
    rc = service_error(service) < 0 ? EXIT_FAILED : EXIT_STOPPED;
    service_close(service);
    return rc;
}

/* The base has signals only while it serves: what comes after that are commands that are to end. */
static int run(struct event_base *base)
{
    struct event *term = evsignal_new(base, SIGTERM, on_stop, base);
    struct event *interrupt = evsignal_new(base, SIGINT, on_stop, base);
    int rc = EXIT_FAILED;

    if (term && interrupt && event_add(term, NULL) == 0 && event_add(interrupt, NULL) == 0)
        rc = serve(base);
    else
        log_line(LOG_ERRORS, "cannot set up signals");
    if (term)
        event_free(term);
    if (interrupt)
        event_free(interrupt);
    event_base_dispatch(base);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = parse_options(argc, argv);
    struct event_base *base;

    if (rc >= 0)
        return rc;
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    if (!base) {
        log_line(LOG_ERRORS, "cannot make an event loop");
        return EXIT_FAILED;
    }
    rc = run(base);
    event_base_free(base);
    return rc;
}
