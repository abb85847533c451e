/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One-line reasons why a call that opens failed, and why a handle ended. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libpvchan/handle.h"
#include "state/error.h"

/* A longer line is cut. It may quote a peer's error node, of at most 512 bytes. */
#define REASON_MAX 768

static _Thread_local char open_reason[REASON_MAX];

void handle_explain(struct pvchan *handle, const char *format, ...)
{
    va_list args;

    free(handle->reason);
    va_start(args, format);
    if (vasprintf(&handle->reason, format, args) < 0)
        handle->reason = NULL;
    va_end(args);
}

int open_failed(int rc, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(open_reason, sizeof(open_reason), format, args);
    va_end(args);
    return rc;
}

void open_failed_with(const struct pvchan *handle, int rc)
{
    open_failed(rc, "%s", handle->reason ? handle->reason : error_text(rc));
}

EXPORT const char *pvchan_open_reason(void)
{
    return open_reason;
}
