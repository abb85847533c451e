/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service's log: whole lines on standard error; or, if that is systemd's journal, entries there
 * with the fields PRIORITY, VCHAN_DEVICE, VCHAN_DOMAIN, VCHAN_NAME and VCHAN_STATE. Times are
 * systemd's.
 */
#ifndef SERVICE_LOG_H
#define SERVICE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_ERRORS,  /* -q: what went wrong */
    LOG_CHANGES, /* channels' states */
    LOG_DETAILS, /* -v: clients, programs, the other side's states */
    LOG_TRACE,   /* -vv: what each side decides to do next */
};

/* What is logged from now on: this level and those before it. At first LOG_CHANGES. */
void log_set_level(enum log_level level);

/* For each -v: logs LOG_DETAILS, and the second time LOG_TRACE. */
void log_raise_level(void);

/* What a line is about, for a journal that can be searched for it; a text may be NULL or "". */
struct log_subject {
    const char *device; /* "5/0", or "0" in a guest */
    const char *name;
    const char *state;
};

/* As log_line(); subject may be NULL. */
void log_about(const struct log_subject *subject, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether lines of this level are logged. */
bool log_shows(enum log_level level);

/* Writes one line "PROGRAM: …" in one write(), or loses it if that would block (state/stderr.h).
 * What is not printable becomes '?'. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
