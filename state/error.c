/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/error.h"

#include <errno.h>
#include <string.h>

const char *error_text(int rc)
{
    switch (rc) {
    case -EDQUOT:
        return "a xenstore quota of this domain is used up (see pvchan(7), LIMITS)";
    case -EUSERS:
        return "this domain has no event channels left (raise max_event_channels in its xl config)";
    case -ENOLCK:
        return "no space for the lock file in /run/pvchan";
    case -EMEDIUMTYPE:
        return "this kernel's page size is not 4096 bytes, the size of a grant "
               "(see pvchan(7), LIMITS)";
    default:
        return strerror(-rc);
    }
}
