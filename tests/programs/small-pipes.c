/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a program: each new pipe has two pages, like those of a user whose pipes already
 * exceed pipe-user-pages-soft.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

int pipe2(int ends[2], int flags)
{
    __typeof__(&pipe2) real = (__typeof__(&pipe2))dlsym(RTLD_NEXT, "pipe2");
    int rc = real(ends, flags);

    if (rc == 0)
        fcntl(ends[0], F_SETPIPE_SZ, 2 * 4096);
    return rc;
}
