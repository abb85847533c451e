/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts processes of the service's own program that are nobody's child. */
#ifndef SERVICE_WORKER_START_H
#define SERVICE_WORKER_START_H

/*
 * Starts the running program anew, under a name (argv[0]) that tells it what to be: with one end of
 * a new socket of packets as descriptor 3, and nothing else of this process. It is nobody's child
 * here, so that a next process of the service need not wait for it. Returns this process's end of
 * the socket, which is the caller's, or a negative errno. Blocks for the time of two fork()s.
 */
int start_process(const char *name);

#endif
