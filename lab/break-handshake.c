/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fault for the lab itself, preloaded under the programs in domain 0: writes of the event-channel
 * node and of state 4 seem to succeed but are dropped. If the lab's scenarios passed with it, they
 * would prove nothing.
 */
#include "config.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <xenstore.h>

typedef bool xs_write_fn(struct xs_handle *, xs_transaction_t, const char *, const void *,
                         unsigned int);

static bool is_lost(const char *path, const char *data, unsigned int len)
{
    const char *leaf = strrchr(path, '/');

    if (!leaf || len == 0)
        return false;
    return strcmp(leaf, "/event-channel") == 0 ||
           (strcmp(leaf, "/state") == 0 && data[0] == '4');
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned int len)
{
    xs_write_fn *real = (xs_write_fn *)(uintptr_t)dlsym(RTLD_NEXT, "xs_write");

    return is_lost(path, data, len) || real(h, t, path, data, len);
}
