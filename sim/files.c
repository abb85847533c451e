/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Redirects the files of /dev/xen and /proc/xen to dev/ in the domain's directory. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/client.h"
#include "sim/export.h"

/* Returns the path to use for path, perhaps in buffer. */
static const char *path_real(const char *path, char *buffer, size_t size)
{
    static const char *const prefixes[] = {"/dev/xen/", "/proc/xen/"};

    for (size_t i = 0; path && i < sizeof(prefixes) / sizeof(*prefixes); i++) {
        size_t length = strlen(prefixes[i]);

        if (strncmp(path, prefixes[i], length) != 0)
            continue;
        snprintf(buffer, size, "%s/dev/%s", sim_dir(), path + length);
        return buffer;
    }
    return path;
}

static int open_real(const char *path, int flags, va_list rest)
{
    char buffer[256];
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;

    return openat(AT_FDCWD, path_real(path, buffer, sizeof(buffer)), flags, mode);
}

SIM_EXPORT int open(const char *path, int flags, ...)
{
    va_list rest;
    int fd;

    va_start(rest, flags);
    fd = open_real(path, flags, rest);
    va_end(rest);
    return fd;
}

SIM_EXPORT int open64(const char *path, int flags, ...)
{
    va_list rest;
    int fd;

    va_start(rest, flags);
    fd = open_real(path, flags | O_LARGEFILE, rest);
    va_end(rest);
    return fd;
}

SIM_EXPORT int access(const char *path, int mode)
{
    char buffer[256];

    return faccessat(AT_FDCWD, path_real(path, buffer, sizeof(buffer)), mode, 0);
}
