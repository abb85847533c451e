/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "state/stderr.h"
#include "state/text.h"

static enum log_level shown = LOG_CHANGES;

void log_set_level(enum log_level level)
{
    shown = level;
}

void log_raise_level(void)
{
    shown = log_shows(LOG_DETAILS) ? LOG_TRACE : LOG_DETAILS;
}

bool log_shows(enum log_level level)
{
    return level <= shown;
}

/* ---- the journal ---- */

#define JOURNAL "/run/systemd/journal/socket"

/* One journal entry: lines "FIELD=text" in one datagram. */
struct entry {
    char text[4096];
    size_t length;
};

/* Adds a field if there is room for it. */
static void add_field(struct entry *entry, const char *field, const char *text, int length)
{
    size_t room = sizeof(entry->text) - entry->length;
    int used;

    if (length == 0)
        return;
    used = snprintf(entry->text + entry->length, room, "%s=%.*s\n", field, length, text);
    if (used > 0 && (size_t)used < room)
        entry->length += (size_t)used;
}

static void add_text(struct entry *entry, const char *field, const char *text)
{
    add_field(entry, field, text, text ? (int)strlen(text) : 0);
}

static void add_subject(struct entry *entry, const struct log_subject *subject)
{
    size_t domain = subject->device ? strcspn(subject->device, "/") : 0;

    add_text(entry, "VCHAN_DEVICE", subject->device);
    if (domain > 0 && subject->device[domain] == '/')
        add_field(entry, "VCHAN_DOMAIN", subject->device, (int)domain);
    add_text(entry, "VCHAN_NAME", subject->name);
    add_text(entry, "VCHAN_STATE", subject->state);
}

/*
 * Opens the socket if standard error is the journal, which systemd reports in JOURNAL_STREAM.
 * Returns -1 if not.
 */
static int open_journal(void)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL};
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat file;
    char own[64];
    int fd;

    if (!stream || fstat(STDERR_FILENO, &file) < 0)
        return -1;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)file.st_dev, (uintmax_t)file.st_ino);
    if (strcmp(stream, own) != 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool write_journal(const struct log_subject *subject, enum log_level level,
                          const char *message)
{
    static const char *const priorities[] = {
        [LOG_ERRORS] = "3", [LOG_CHANGES] = "6", [LOG_DETAILS] = "7", [LOG_TRACE] = "7"};
    static int journal = -2; /* not opened yet */
    struct entry entry = {.length = 0};

    if (journal == -2)
        journal = open_journal();
    if (journal < 0)
        return false;
    add_text(&entry, "PRIORITY", priorities[level]);
    add_text(&entry, "SYSLOG_IDENTIFIER", program_invocation_short_name);
    if (subject)
        add_subject(&entry, subject);
    add_text(&entry, "MESSAGE", message);
    return send(journal, entry.text, entry.length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* ---- lines ---- */

__attribute__((format(printf, 3, 0))) static void write_message(const struct log_subject *subject,
                                                                enum log_level level,
                                                                const char *format, va_list args)
{
    char message[1000];

    vsnprintf(message, sizeof(message), format, args);
    text_clean(message);
    if (!write_journal(subject, level, message))
        stderr_write(message);
}

void log_about(const struct log_subject *subject, enum log_level level, const char *format, ...)
{
    va_list args;

    if (!log_shows(level))
        return;
    va_start(args, format);
    write_message(subject, level, format, args);
    va_end(args);
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list args;

    if (!log_shows(level))
        return;
    va_start(args, format);
    write_message(NULL, level, format, args);
    va_end(args);
}
