/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the subcommands of `vchan` share. See man/vchan.1.scd. */
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

/*
 * The value of options.linger_ms without --linger: the wait depends on whether the peer has
 * answered.
 */
#define LINGER_DEFAULT (-2)

/* How the arguments name a channel. */
enum target {
    TARGET_NAMED,
    TARGET_CLIENT,
    TARGET_SERVER,
};

/* The options of all commands. */
struct options {
    enum target target;
    int timeout_ms; /* -1: for ever */
    int linger_ms;  /* likewise; or LINGER_DEFAULT */
    uint32_t read_ring;
    uint32_t write_ring;
    enum xenbus_state state;
    bool once;
    bool json;
};

/* A subcommand: one row of the table in cli/main.c. run() gets the arguments after the options. */
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

/* Prints the line "vchan: …" on standard error and returns code. */
int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A command that prints calls this last. Returns EXIT_DONE, or EXIT_LOCAL after a line on standard
 * error.
 */
int output_end(void);

/* The channels that the arguments name. paths holds the name of each if kind is TARGET_NAMED. */
struct target_words {
    char **paths;
    int count;
    uint32_t domid;
};

/* Parses the arguments. Returns EXIT_DONE, or another exit code after a line on standard error. */
int target_parse(const struct options *options, int argc, char **argv, struct target_words *words);

/*
 * Opens the one channel that the arguments name, non-blocking. A signal caught by stop_catch() ends
 * the wait. Returns EXIT_DONE, and the caller owns *channel; or another exit code after a line on
 * standard error.
 */
int target_open(const struct options *options, int argc, char **argv, struct pvchan **channel);

/*
 * Opens one of the channels in a group, like pvchan_group_add_channel(). Returns 0, or a negative
 * errno.
 */
int target_open_in(const struct options *options, const struct target_words *words, int index,
                   struct pvchan_group *group, struct pvchan **channel);

/* Prints on standard error why a channel could not be opened. Returns the exit code for that. */
int target_complain(const struct options *options, const struct target_words *words, int index,
                    int error);

/*
 * Prints on standard error the error that ended a channel, with its name unless which is NULL.
 * Returns the exit code for that.
 */
int channel_complain(const char *which, int error);

#endif
