/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts processes of the service's own program that are not children of the service. */
#ifndef SERVICE_WORKER_START_H
#define SERVICE_WORKER_START_H

/*
 * Starts another process of the running program. name is its argv[0], by which main() chooses its
 * role. Its descriptor 3 is one end of a new SOCK_SEQPACKET socket; it inherits no other
 * descriptor. It is reparented to init, so the next process of the service need not wait for it.
 * Returns the other end of the socket, which the caller owns, or a negative errno. Blocks while two
 * processes fork.
 */
int start_process(const char *name);

#endif
