/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left of Xen to a process under which the domain has begun another life: it was restored,
 * or migrated. Its event channels and grants are void, and the kernel does not know: Linux 6.1 hits
 * a BUG() when such a port is closed, and could take a new one of the same number for it.
 */
#ifndef FRONTEND_STALE_H
#define FRONTEND_STALE_H

#include "vchan/xen.h"

/*
 * Leaves them open for as long as the kernel runs, in a process that does nothing else,
 * "vchan-stale", so that this one may go on to close whatever it has. Only xen_open() is of use for
 * it then. 0, or a negative errno: there is no such process.
 */
int stale_leave(struct xen *xen);

#endif
