/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Process 1 of a domain. */
#ifndef SIM_INIT_H
#define SIM_INIT_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Starts a domain's init in its own process and mount namespaces. control is its end of a
 * SOCK_SEQPACKET pair to the hypervisor; all other descriptors are closed in the child. Returns its
 * process id or a negative errno.
 */
pid_t init_start(uint32_t domid, int control);

/* Runs a program in this process, or ends with the exit code that a shell has if that fails. */
void exec_or_exit(char **arguments);

/* Raises the limit of open files to the maximum; programs in domains get the previous limit. */
void files_raise(void);

/* Mounts the host's view of the file system, or a domain's. Returns 0 or a negative errno. */
int mounts_host(void);
int mounts_domain(uint32_t domid);

#endif
