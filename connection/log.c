/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum log_level shown = LOG_CHANGES;

void log_set_level(enum log_level level)
{
    shown = level;
}

bool log_shows(enum log_level level)
{
    return level <= shown;
}

void log_make_plain(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;
    ssize_t ignored;
    size_t start, length;

    if (level > shown)
        return;
    start = (size_t)snprintf(line, sizeof(line), "%.64s: ", program_invocation_short_name);
    va_start(args, format);
    vsnprintf(line + start, sizeof(line) - start - 1, format, args);
    va_end(args);
    log_make_plain(line);
    length = strlen(line);
    line[length++] = '\n';
    ignored = write(STDERR_FILENO, line, length); /* a log that is gone has nobody to be told */
    (void)ignored;
}
