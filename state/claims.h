/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which channels of a guest name which event channel: all that have this domain as
 * their backend, listed once for all devices of it that are asked about in one go.
 */
#ifndef STATE_CLAIMS_H
#define STATE_CLAIMS_H

#include "state/store.h"

struct claim;

/* All zeros at first. Belongs to one thread. */
struct claims {
    struct claim *all; /* NULL: not listed yet */
    unsigned int count;
};

/*
 * Whether a device of the guest other than devid names the port, and is not Closed on the backend's
 * side. Both are parents of the devices' directories: frontends "/local/domain/5/device/vchan",
 * backends "backend/vchan/5". 0: none does; -EBUSY: one does; or another negative errno.
 */
int claims_check(struct claims *claims, struct store *store, const char *frontends,
                 const char *backends, uint32_t devid, uint32_t port);

/* Forgets what was listed: the guest may have changed it. */
void claims_forget(struct claims *claims);

#endif
