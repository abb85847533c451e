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
        return "no event channel is left in this domain (raise max_event_channels in its xl config)";
    case -ENOLCK:
        return "no space is left for the lock (in /run/pvchan)";
    case -EMEDIUMTYPE:
        return "this kernel's pages are not of 4096 bytes, as grants are (see pvchan(7), LIMITS)";
    default:
        return strerror(-rc);
    }
}
