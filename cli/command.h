/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command `vchan`: what its subcommands share. man/vchan.1.scd
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "state/xenbus.h"
#include "libpvchan/pvchan.h"

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

/* For options.linger_ms: how long depends on whether the peer has answered. */
#define LINGER_DEFAULT (-2)

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
    int linger_ms;  /* likewise; LINGER_DEFAULT: it was not given */
    uint32_t read_ring;
    uint32_t write_ring;
    enum xenbus_state state;
    bool once;
    bool json;
};

/* A subcommand: one row of the table in cli/main.c. run gets the arguments after the options. */
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

/* To be called last by what prints. EXIT_DONE, or EXIT_LOCAL after a line on standard error. */
int output_end(void);

/* The channels that arguments name: of each the path, which for TARGET_NAMED is the name. */
struct target_words {
    char **paths;
    int count;
    uint32_t domid;
};

/* Reads them. EXIT_DONE, or another exit code after a line on standard error. */
int target_parse(const struct options *options, int argc, char **argv, struct target_words *words);

/*
 * Opens the channel that the arguments name (it must be one), non-blocking. EXIT_DONE, and the
 * caller owns *channel; or another exit code, after a line on standard error. A signal that
 * stop_catch() catches ends it.
 */
int target_open(const struct options *options, int argc, char **argv, struct pvchan **channel);

/* Opens one of them into a group, as pvchan_group_add_channel() and its like. 0, or a negative errno. */
int target_open_in(const struct options *options, const struct target_words *words, int index,
                   struct pvchan_group *group, struct pvchan **channel);

/*
 * Tells on standard error why one of them cannot be opened; returns the exit code that goes with
 * it.
 */
int target_complain(const struct options *options, const struct target_words *words, int index,
                    int error);

/*
 * Tells on standard error what a channel's call ended with, and which one's if that is not NULL;
 * returns the exit code that goes with it.
 */
int channel_complain(const char *which, int error);

#endif
