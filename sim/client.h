/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program's side of the hypervisor's protocol (sim/protocol.h). */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <stddef.h>

#include "sim/control.h"
#include "sim/protocol.h"

/* The directory through which this process reaches its host: $XENSIM_DIR, or SIM_DIR. */
const char *sim_dir(void);

/*
 * Connects to the hypervisor (one open "device file"). Returns a close-on-exec descriptor that the
 * caller closes, or a negative errno (-ENOENT outside a host). Blocks while the hypervisor is busy.
 */
int sim_connect(void);

/*
 * Sends message with its payload of message->length bytes and nfds descriptors, which stay the
 * caller's. Returns 0 or a negative errno.
 */
int sim_send(int conn, const struct sim_message *message, const void *payload, const int *fds,
             int nfds);

/*
 * Receives a message, up to size bytes of payload and up to *nfds descriptors (close-on-exec; the
 * caller's from now on; *nfds is set to how many came). Blocks. Returns 0, -ECONNRESET at the end,
 * or another negative errno.
 */
int sim_receive(int conn, struct sim_message *message, void *payload, size_t size, int *fds,
                int *nfds);

/* Sends a request without payload and replaces it by the reply. Returns the reply's result. */
int sim_call(int conn, struct sim_message *message);

/* The same on a connection of its own. */
int sim_call_once(struct sim_message *message);

/* Lists the domains from first on. Returns how many, or a negative errno. */
int sim_list(uint32_t first, struct sim_info *infos, int size);

/*
 * Packs a program into a memory file: directory, arguments and environment, each ending with a NUL.
 * *argc gets the number of arguments. Returns the descriptor, which the caller closes, or a
 * negative errno.
 */
int sim_program_pack(const char *directory, char *const *arguments, char *const *environment,
                     uint32_t *argc);

#endif
