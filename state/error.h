/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Error texts for messages. */
#ifndef STATE_ERROR_H
#define STATE_ERROR_H

/*
 * The text of a negative errno, and what to do about it. Like strerror(), except for errnos to
 * which xenstore (state/store.h), locks (state/lock.h) or Xen's devices (vchan/xen.h) give another
 * meaning. Valid until the next call.
 */
const char *error_text(int rc);

#endif
