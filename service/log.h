/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service's log: lines on standard error. If that is systemd's journal, entries there with the
 * fields PRIORITY, VCHAN_DEVICE, VCHAN_DOMAIN, VCHAN_NAME and VCHAN_STATE. systemd adds the times.
 * No call blocks.
 */
#ifndef SERVICE_LOG_H
#define SERVICE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_ERRORS,  /* errors; with -q only these */
    LOG_CHANGES, /* changes of channels' states */
    LOG_DETAILS, /* -v: clients, commands, states of the other side */
    LOG_TRACE,   /* -vv: the next step of each channel */
};

/* Logs this level and those before it from now on. The default is LOG_CHANGES. */
void log_set_level(enum log_level level);

/* For each -v: logs LOG_DETAILS too, the second time also LOG_TRACE. */
void log_raise_level(void);

/* What a line is about, as fields by which the journal can be searched. Each may be NULL or "". */
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

/*
 * Logs one line "PROGRAM: …". Writes it in one write(), or drops it if that would block
 * (state/stderr.h). Characters that are not printable become '?'.
 */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
