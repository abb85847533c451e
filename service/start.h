/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts other processes of the service's own program. */
#ifndef SERVICE_START_H
#define SERVICE_START_H

/*
 * Starts another process of the running program. name is its argv[0], by which main() chooses its
 * role. Its standard input and output are /dev/null, and its descriptor 3 is one end of a new
 * SOCK_SEQPACKET socket. It inherits only standard error, to say why it cannot start. Once it has
 * started it must call start_is_over(), or a program that reads the service's standard error to its
 * end would wait for it. It is reparented to init, so the next process of the service need not wait
 * for it. Returns the other end of the socket, with *pidfd of the process, both of which the caller
 * owns, or a negative errno. Blocks while two processes fork.
 */
int start_process(const char *name, int *pidfd);

/* In the new process: makes standard error /dev/null, too. Returns 0 or a negative errno. */
int start_is_over(void);

#endif
