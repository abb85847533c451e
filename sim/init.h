/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Process 1 of a domain. */
#ifndef SIM_INIT_H
#define SIM_INIT_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Starts a domain's init in its own process and mount namespaces. `control` is its end of a
 * SOCK_SEQPACKET pair to the hypervisor; everything else is closed in the child. Returns its
 * process id or a negative errno.
 */
pid_t init_start(uint32_t domid, int control);

/* Takes all the file descriptors this process may have; programs in domains get what it had. */
void files_raise(void);

/* The mounts of the host, and those that make a domain's own view of it. They return 0 or a
 * negative errno. */
int mounts_host(void);
int mounts_domain(uint32_t domid);

#endif
