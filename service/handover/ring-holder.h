/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service's side of the ring holder, a process (vchan-holder) that maps the rings of all
 * channels once more and does nothing else with them. So bytes survive when both sides' processes
 * die: Linux (drivers/xen/gntalloc.c) frees a granted page only when no domain maps it any more.
 * The fdstore keeps the socket to the ring holder, and notes which rings it maps, for the next
 * process of the service.
 *
 * Without a service manager there is no ring holder. With NULL, every function does nothing.
 * They belong to one thread. Those that send a request block until the ring holder answers, which
 * takes microseconds; after 5 s without an answer it counts as dead.
 */
#ifndef SERVICE_HANDOVER_RING_HOLDER_H
#define SERVICE_HANDOVER_RING_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

struct endpoint_rings;
struct event_base;
struct ring_holder;
struct fdstore;

/* The version of the protocol (ring-holder-protocol.h). */
#define RING_HOLDER_VERSION 2

/*
 * Finds the ring holder of an earlier process, or starts one if the manager has room for its
 * socket; otherwise *holder is NULL. If the ring holder dies, it is restarted as long as the loop
 * runs. Returns 0, -ENOMEM, or -EPROTONOSUPPORT: an earlier process's ring holder speaks *version,
 * and was left as it is. base and fdstore must outlive *holder.
 */
int ring_holder_open(struct event_base *base, struct fdstore *fdstore, struct ring_holder **holder,
                     uint32_t *version);

/* Frees holder. The process keeps its mappings, for the next process of the service. */
void ring_holder_close(struct ring_holder *holder);

/* Ends the process, and returns once it has unmapped everything. */
void ring_holder_stop(struct ring_holder *holder);

/*
 * Has rings mapped for an owner ("5/0"), in place of its earlier ones. Returns 0, also while the
 * ring holder is being restarted, or a negative errno: they are not mapped.
 */
int ring_holder_add(struct ring_holder *holder, const char *owner,
                    const struct endpoint_rings *rings);

/* Has the owner's rings unmapped. */
void ring_holder_drop(struct ring_holder *holder, const char *owner);

/*
 * Returns whether the ring holder maps rings for the owner that an earlier process of the service
 * added, and this one has not; fills in *rings then.
 */
bool ring_holder_find(const struct ring_holder *holder, const char *owner,
                      struct endpoint_rings *rings);

/* Has all rings unmapped that an earlier process added and this one has not. */
void ring_holder_drop_unclaimed(struct ring_holder *holder);

/* argv[0] of the service's own program when it runs as the ring holder. */
#define RING_HOLDER_NAME "vchan-holder"

/*
 * Runs the ring holder: opens /dev/xen/gntdev, then gives up all rights that it does not need
 * (service/sandbox.h). Returns the exit code when the last copy of the socket's other end is
 * closed. Pass it to _exit(): exit() may need system calls that the sandbox refuses.
 */
int ring_holder_serve(void);

#endif
