/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into xl-vchan (tests/sim/toolstack-many.sh) or vchan (tests/sim/vchan-cat-ends.sh): at
 * the end, appends to the file REQUESTS how many requests the program and libxenlight made to
 * xenstore.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

static unsigned long requests;

/* Programs that these start are not counted. */
static bool is_counted(const char *program)
{
    return strcmp(program, "xl-vchan") == 0 || strcmp(program, "vchan") == 0;
}

static void __attribute__((destructor)) tell(void)
{
    const char *file = getenv("REQUESTS");
    FILE *to;

    if (!file || !is_counted(program_invocation_short_name))
        return;
    to = fopen(file, "a");
    if (!to)
        return;
    fprintf(to, "%lu\n", requests);
    fclose(to);
}

#define REAL(name) (requests++, (__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    return REAL(xs_read)(h, t, path, len);
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    return REAL(xs_directory)(h, t, path, num);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned int len)
{
    return REAL(xs_write)(h, t, path, data, len);
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return REAL(xs_mkdir)(h, t, path);
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return REAL(xs_rm)(h, t, path);
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
                        struct xs_permissions *perms, unsigned int count)
{
    return REAL(xs_set_permissions)(h, t, path, perms, count);
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    return REAL(xs_transaction_start)(h);
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    return REAL(xs_transaction_end)(h, t, abort);
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    return REAL(xs_watch)(h, path, token);
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    return REAL(xs_unwatch)(h, path, token);
}
