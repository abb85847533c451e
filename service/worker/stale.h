/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left of Xen to a process under which the domain has begun another life: it was restored,
 * or migrated. Its event channels and grants are void, and the kernel does not know: Linux 6.1 hits
 * a BUG() when such a port is closed, and could take a new one of the same number for it.
 */
#ifndef SERVICE_WORKER_STALE_H
#define SERVICE_WORKER_STALE_H

/*
 * Leaves them open for as long as the kernel runs: closes all other descriptors, and does nothing
 * else any more, as "vchan-stale".
 */
_Noreturn void stale_stay(void);

#endif
