/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts other processes of the service's own program. */
#ifndef SERVICE_WORKER_START_H
#define SERVICE_WORKER_START_H

/*
 * Starts another process of the running program. name is its argv[0], by which main() chooses its
 * role. Its descriptor 3 is one end of a new SOCK_SEQPACKET socket. Returns the other end, with
 * *pidfd for the process, which is a child to be reaped by waitid(P_PIDFD), or is init's if this
 * process exits first. The caller owns both. Returns a negative errno on failure. Blocks for the time
 * of a fork.
 */
int start_process(const char *name, int *pidfd);

/*
 * In a forked process: becomes the running program under that name, with fd as descriptor 3. It
 * inherits no other descriptor: it would keep pipes open, and could use what it may not have.
 */
_Noreturn void start_as(const char *name, int fd);

#endif
