/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every command of xl-vchan has in hand: xenstore, libxenlight, and a way to say what failed.
 */
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

/* How long a backend may take to react, in milliseconds: libxl's own bound. */
#define TOOL_WAIT_DEFAULT 10000

struct tool {
    char doing[TOOL_NAME_MAX]; /* "attach web": begins each error line */
    struct store *store;
    xentoollog_logger *log;
    libxl_ctx *ctx;
    struct xc_interface_core *xc; /* port.c's; NULL: not needed so far */
    domid_t own;                  /* the domain this runs in */
    int signals;                  /* a signalfd, readable once the user wants it to end */
};

/*
 * Opens all of it; verb and object ("attach", "web") name what the user wants. From here on SIGINT,
 * SIGTERM and SIGHUP, unless they are ignored, only make tool_interrupted() true, so that the
 * command can take back what it did. 0, or a negative errno after saying why. tool_close() is right
 * in either case.
 */
int tool_open(struct tool *tool, const char *verb, const char *object);

/* Closes what is open. */
void tool_close(struct tool *tool);

/* From now on what is said is lost and counted where it would have to wait (state/stderr.h). */
void tool_be_service(void);

/* Prints one line, "xl-vchan: …", on stderr. What is not printable in it becomes "?". */
void tool_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As above, about what the user wants: "xl-vchan: attach web: …". */
void tool_complain(const struct tool *tool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Words for a negative errno of state/store.h, with what to do about it. */
const char *tool_why(int rc);

/*
 * Finds a domain by name, or by id if the text is a number; nothing tells whether an id is in use.
 * 0, or -ENOENT (no such domain, or no such id can be). Says nothing.
 */
int tool_find_domain(struct tool *tool, const char *text, domid_t *domid);

/* What a domain does. */
enum tool_domain {
    TOOL_DOMAIN_GONE, /* there is none */
    TOOL_DOMAIN_RUNS, /* or waits for something to do */
    TOOL_DOMAIN_PAUSED,
    TOOL_DOMAIN_SHUT_DOWN, /* and is kept for somebody to look at, or is about to go */
    TOOL_DOMAIN_CRASHED,   /* likewise */
    TOOL_DOMAIN_DYING,
    TOOL_DOMAIN_UNKNOWN, /* Xen did not answer: treat the domain as one that is there */
};

/* Asks Xen about a domain. Never waits. */
enum tool_domain tool_look_domain(struct tool *tool, domid_t domid);

/* Whether there is a domain with this id, or Xen does not answer: only what is known to be gone may be removed. */
bool tool_has_domain(struct tool *tool, domid_t domid);

/* A domain's name, or its id if it has none, fit to print: not to compare, store or look up. */
void tool_domain_name(struct tool *tool, domid_t domid, char name[TOOL_NAME_MAX]);

/* The same as it is: to compare and to lock, not to print. */
void tool_domain_key(struct tool *tool, domid_t domid, char name[TOOL_NAME_MAX]);

/* Tells whether the user wants the command to end. Never blocks; stays true. */
bool tool_interrupted(struct tool *tool);

/* Takes the signal that made tool_interrupted() true, or 0 if there is none. */
int tool_signal(struct tool *tool);

/*
 * Waits until the store has an event (store_next_event). 0: look; -ETIMEDOUT: clock_ms() reached
 * the deadline (-1: none); -EINTR: tool_interrupted(); or another negative errno.
 */
int tool_await(struct tool *tool, int64_t deadline);

/*
 * Waits until look() answers something but 0, and gives that answer: it looks once at the start and
 * again at each change below one of the paths. -ETIMEDOUT: not within so many milliseconds (0:
 * look once; -1: no bound); -EINTR: tool_interrupted(); or what the watches fail with.
 */
int tool_wait(struct tool *tool, const char *const *paths, size_t count, int ms,
              int (*look)(struct store *store, void *arg), void *arg);

#endif
