/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a program. While the file NO_ANSWER exists, requests fail with ENOMEM: to read or
 * list the path that the file contains; to watch a path, if it contains "watch PATH"; libxl's to
 * Xen about a domain, if it contains "domain DOMID". Each failed request is recorded in the file
 * NO_ANSWER_SAW, as a line in the same form.
 */
#include <dlfcn.h>
#include <errno.h>
#include <libxl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

/* Longer than any path that a test uses. */
#define LINE_BYTES 256

static bool is_wanted(const char *path)
{
    const char *name = getenv("NO_ANSWER");
    FILE *file = name ? fopen(name, "r") : NULL;
    char wanted[LINE_BYTES] = "";

    if (!file)
        return false;
    if (fgets(wanted, sizeof(wanted), file))
        wanted[strcspn(wanted, "\n")] = '\0';
    fclose(file);
    return strcmp(wanted, path) == 0;
}

static void note(const char *path)
{
    const char *name = getenv("NO_ANSWER_SAW");
    FILE *file = name ? fopen(name, "a") : NULL;

    if (!file)
        return;
    fprintf(file, "%s\n", path);
    fclose(file);
}

/* Returns whether the request is answered; if not, errno is set. */
static bool is_answered(const char *path)
{
    int error = errno;
    bool fails = is_wanted(path);

    if (fails)
        note(path);
    errno = fails ? ENOMEM : error;
    return !fails;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    return is_answered(path) ? REAL(xs_read)(h, t, path, len) : NULL;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    return is_answered(path) ? REAL(xs_directory)(h, t, path, num) : NULL;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    char line[LINE_BYTES];

    snprintf(line, sizeof(line), "watch %s", path);
    return is_answered(line) && REAL(xs_watch)(h, path, token);
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    char line[LINE_BYTES];

    snprintf(line, sizeof(line), "domain %u", domid);
    return is_answered(line) ? REAL(libxl_domain_info)(ctx, info, domid) : ERROR_FAIL;
}
