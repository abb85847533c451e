/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every command of xl-vchan needs: xenstore, libxenlight, and error reporting. */
#ifndef TOOLSTACK_TOOL_H
#define TOOLSTACK_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libxl.h>
#include <xen/xen.h>

#include "state/store.h"
#include "state/text.h"

/* Room for a domain's name and its NUL; a longer one is cut. */
#define TOOL_NAME_MAX 256

/* How long a backend may take to react, in milliseconds: libxl's limit. */
#define TOOL_WAIT_DEFAULT 10000

struct tool {
    char doing[TOOL_NAME_MAX]; /* "attach web": begins each error line */
    struct store *store;
    xentoollog_logger *log;
    libxl_ctx *ctx;
    struct xc_interface_core *xc; /* used by event-channel.c; NULL until needed */
    domid_t own;                  /* the domain that this runs in */
    int signals;                  /* a signalfd, readable once a signal asks to end */
};

/*
 * Opens everything. verb and object ("attach", "web") name what the user wants. From here on
 * SIGINT, SIGTERM and SIGHUP, unless ignored, only make tool_interrupted() true, so that the
 * command can undo its changes. Returns 0, or a negative errno after reporting it. Call
 * tool_close() in either case.
 */
int tool_open(struct tool *tool, const char *verb, const char *object);

/* Closes what is open. */
void tool_close(struct tool *tool);

/* From now on, messages that would block are dropped and counted (state/stderr.h). */
void tool_be_service(void);

/* Prints the line "xl-vchan: …" on stderr, with unprintable characters replaced by "?". */
void tool_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same about what the user wants: "xl-vchan: attach web: …". */
void tool_complain(const struct tool *tool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The text of a negative errno of state/store.h, and what to do about it. */
const char *tool_why(int rc);

/*
 * Finds a domain by name, or by id if the text is a number; does not check whether the id is in
 * use. Returns 0, or -ENOENT (no such name, or the id is too large). Prints nothing.
 */
int tool_find_domain(struct tool *tool, const char *text, domid_t *domid);

/* What a domain is doing. */
enum tool_domain {
    TOOL_DOMAIN_GONE, /* does not exist */
    TOOL_DOMAIN_RUNS, /* runs or is idle */
    TOOL_DOMAIN_PAUSED,
    TOOL_DOMAIN_SHUT_DOWN, /* has shut down, and is kept or about to go */
    TOOL_DOMAIN_CRASHED,   /* has crashed, likewise */
    TOOL_DOMAIN_DYING,
    TOOL_DOMAIN_UNKNOWN, /* Xen did not answer: treat the domain as existing */
};

/* Asks Xen about a domain. Never waits. */
enum tool_domain tool_query_domain(struct tool *tool, domid_t domid);

/*
 * Whether a domain of this id exists, or Xen does not answer: only a domain known to be gone may be
 * cleaned up.
 */
bool tool_has_domain(struct tool *tool, domid_t domid);

/*
 * A domain's name, or its id if it has none, made printable: not for comparing, storing or looking
 * up.
 */
void tool_domain_name(struct tool *tool, domid_t domid, char name[TOOL_NAME_MAX]);

/* The name unchanged: for comparing and locking, not for printing. */
void tool_domain_key(struct tool *tool, domid_t domid, char name[TOOL_NAME_MAX]);

/* Whether a signal has asked the command to end. Never blocks; stays true. */
bool tool_interrupted(struct tool *tool);

/* Takes the signal that made tool_interrupted() true; returns 0 if there is none. */
int tool_signal(struct tool *tool);

/*
 * Waits until the store has an event (store_next_event()). Returns 0: look; -ETIMEDOUT: clock_ms()
 * reached the deadline (-1: none); -EINTR: tool_interrupted(); or another negative errno.
 */
int tool_await(struct tool *tool, int64_t deadline);

/*
 * Calls look() at the start and after each change below one of the paths, until it returns
 * something other than 0, and returns that. -ETIMEDOUT: ms milliseconds have passed (0: look once;
 * -1: no limit); -EINTR: tool_interrupted(); or an error of the watches.
 */
int tool_wait(struct tool *tool, const char *const *paths, size_t count, int ms,
              int (*look)(struct store *store, void *arg), void *arg);

#endif
