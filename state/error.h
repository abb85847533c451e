/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for what failed, in messages.
 */
#ifndef STATE_ERROR_H
#define STATE_ERROR_H

/*
 * What a negative errno says, and what to do about it: as strerror(), but for those that xenstore
 * (state/store.h), a lock (state/lock.h) or Xen's devices (vchan/xen.h) give with a meaning of
 * their own. Valid until the next call.
 */
const char *error_text(int rc);

#endif
