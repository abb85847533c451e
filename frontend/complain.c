/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frontend/vchan.h"

#include <stdarg.h>
#include <stdio.h>

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
