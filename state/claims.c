/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/claims.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "state/device.h"

struct claim {
    uint32_t devid;
    uint32_t port;
};

static int read_in(struct store *store, const char *parent, uint32_t devid, const char *key,
                   uint32_t max, uint32_t *value)
{
    char path[64];

    snprintf(path, sizeof(path), "%" PRIu32 "/%s", devid, key);
    return store_read_number(store, parent, path, max, value);
}

/* A device without an event-channel node makes no claim. */
static void add_claim(struct claims *claims, struct store *store, const char *frontends,
                      uint32_t devid)
{
    struct claim *claim = &claims->all[claims->count];

    claim->devid = devid;
    if (read_in(store, frontends, devid, "event-channel", INT32_MAX, &claim->port) == 0)
        claims->count++;
}

/*
 * Lists the backend's directory, because a driver domain may not list the guest's. Devices with
 * other backends do not matter: this domain cannot bind their ports.
 */
static int list_claims(struct claims *claims, struct store *store, const char *frontends,
                       const char *backends)
{
    uint32_t *devids;
    size_t count;
    int rc = store_list_numbers(store, backends, DEVICE_ID_MAX, &devids, &count);

    if (rc < 0)
        return rc;
    claims->all = calloc(count + 1, sizeof(claims->all[0]));
    for (size_t i = 0; claims->all && i < count; i++)
        add_claim(claims, store, frontends, devids[i]);
    free(devids);
    return claims->all ? 0 : -ENOMEM;
}

static bool is_closed(struct store *store, const char *backends, uint32_t devid)
{
    uint32_t state;

    return read_in(store, backends, devid, "state", XenbusStateReconfigured, &state) == 0 &&
           state == XenbusStateClosed;
}

int claims_check(struct claims *claims, struct store *store, const char *frontends,
                 const char *backends, uint32_t devid, uint32_t port)
{
    int rc = claims->all ? 0 : list_claims(claims, store, frontends, backends);

    for (unsigned int i = 0; rc == 0 && i < claims->count; i++) {
        const struct claim *claim = &claims->all[i];

        if (claim->port == port && claim->devid != devid &&
            !is_closed(store, backends, claim->devid))
            rc = -EBUSY;
    }
    return rc;
}

void claims_forget(struct claims *claims)
{
    free(claims->all);
    *claims = (struct claims){0};
}
