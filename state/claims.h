/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which channels of a guest name which event channel. Covers all devices whose backend is this
 * domain; they are listed once for all questions asked in one go.
 */
#ifndef STATE_CLAIMS_H
#define STATE_CLAIMS_H

#include "state/store.h"

struct claim;

/* Initialise to zeros. Belongs to one thread. */
struct claims {
    struct claim *all; /* NULL: not listed yet */
    unsigned int count;
};

/*
 * Whether a device of the guest other than devid names the port and is not Closed on the backend's
 * side. Both arguments are the parents of the devices' directories: frontends such as
 * "/local/domain/5/device/vchan", backends such as "backend/vchan/5". Returns 0 if none does,
 * -EBUSY if one does, or another negative errno.
 */
int claims_check(struct claims *claims, struct store *store, const char *frontends,
                 const char *backends, uint32_t devid, uint32_t port);

/* Discards the list, because the guest may change its nodes at any time. */
void claims_forget(struct claims *claims);

#endif
