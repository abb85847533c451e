/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int complain(int code, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "vchan: %s\n", line);
    return code;
}

int output_end(void)
{
    if (fflush(stdout) == 0) {
        if (!ferror(stdout))
            return EXIT_DONE;
        /* The errno of the earlier failed write is lost; another write gives it again. */
        if (write(STDOUT_FILENO, "\n", 1) == 1)
            errno = EIO;
    }
    return complain(EXIT_LOCAL, "cannot write to standard output: %s", strerror(errno));
}
