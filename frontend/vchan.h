/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command `vchan`: what its subcommands share. man/vchan.1.scd
 */
#ifndef FRONTEND_VCHAN_H
#define FRONTEND_VCHAN_H

#include <stdbool.h>
#include <stddef.h>

#include "state/xenbus.h"
#include "vchan/pvchan.h"

/* Exit codes. */
enum {
    EXIT_DONE = 0,
    EXIT_LOCAL = 1,
    EXIT_USAGE = 2,
    EXIT_OPEN = 3,
    EXIT_TIME = 4,
    EXIT_PEER = 5,
    EXIT_CORRUPT = 6,
};

/* How a channel is meant. */
enum target {
    TARGET_NAMED,
    TARGET_CLIENT,
    TARGET_SERVER,
};

/* All options of all commands. */
struct options {
    enum target target;
    int timeout_ms; /* -1: for ever */
    int linger_ms;  /* likewise */
    uint32_t read_ring;
    uint32_t write_ring;
    enum xenbus_state state;
    bool once;
    bool json;
};

/* A subcommand: one row of the table in vchan.c. run gets the arguments after the options. */
struct command {
    const char *name;
    const char *synopsis;
    const char *summary;
    const char *options; /* their letters in the option table */
    int (*run)(const struct options *options, int argc, char **argv);
};

int cat_run(const struct options *options, int argc, char **argv);
int echo_run(const struct options *options, int argc, char **argv);
int list_run(const struct options *options, int argc, char **argv);
int wait_run(const struct options *options, int argc, char **argv);

/* Prints "vchan: …" on standard error, one line, and returns code. */
int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Opens the channel that the arguments name, non-blocking. EXIT_DONE, and the caller owns *channel;
 * or another exit code, after a line on standard error. A signal that stop_catch() catches ends it.
 */
int target_open(const struct options *options, int argc, char **argv, struct pvchan **channel);

/* Tells what a channel's call ended with, on standard error; returns the exit code that goes with
 * it. */
int channel_complain(int error);

#endif
