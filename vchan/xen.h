/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process's handles on the hypervisor: one event-channel handle, hence one fd, for any number of
 * ports, and one grant-table handle each for granting and for mapping, opened at first use.
 *
 * It belongs to one thread. Closing it (or the death of the process) unbinds all its ports.
 */
#ifndef VCHAN_XEN_H
#define VCHAN_XEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <xenevtchn.h>
#include <xengnttab.h>

struct xen;

/*
 * A bound port, embedded in its owner. fired() runs in xen_dispatch(), after the port is unmasked.
 * It may bind, unbind and free anything, including itself.
 */
struct xen_port {
    evtchn_port_t number; /* 0: not bound */
    void (*fired)(struct xen_port *port);
    unsigned int idle; /* events since its owner last wrote 0 here, because bytes moved */
    bool little;       /* set by its owner: little was moved after the last event */
    struct xen_peer *peer;
    TAILQ_ENTRY(xen_port) next;
    bool muted; /* masked until xen_unmute() */
};

/*
 * Opens the event-channel driver. -ENODEV: no /dev/xen/evtchn; -EACCES: not allowed to open it;
 * -EMEDIUMTYPE: the kernel's page size is not 4096 bytes. On failure *xen is NULL.
 */
int xen_open(struct xen **xen);

/*
 * Closes all handles. The caller has unbound every port and undone every mapping. NULL is allowed.
 */
void xen_close(struct xen *xen);

/*
 * Invalidates all ports because the domain was restored or migrated: from now on none is unbound or
 * signalled. The caller still calls xen_close().
 */
void xen_abandon(struct xen *xen);

/* The fd to poll for reading; when it is readable, call xen_dispatch(). */
int xen_fd(const struct xen *xen);

/*
 * Serves the ports that fired. Never blocks; O(ports that fired). If it returns with more to do,
 * the fd stays readable. Returns how many fired, or a negative errno.
 */
int xen_dispatch(struct xen *xen);

/*
 * For a process with other work to do: leaves a port masked if it fired 32 times without moving
 * bytes, or if its peer wakes this process too often for little data (vchan/pace.h). So a peer that
 * signals endlessly costs nothing. later() is called when that happens; after a pause the caller
 * calls xen_unmute(), which serves each such port once.
 */
void xen_set_patience(struct xen *xen, void (*later)(void *arg), void *arg);
void xen_unmute(struct xen *xen);

/*
 * Waits for one port to fire, and serves it: one system call fewer than poll() and xen_dispatch(),
 * for a caller that waits for nothing else. Returns 0, -EINTR or another negative errno.
 */
int xen_await(struct xen *xen);

/*
 * Creates a port that domain peer may bind to. The caller sets port->fired. -EUSERS: this domain
 * has no event channel left; or another negative errno.
 */
int xen_offer_port(struct xen *xen, uint32_t peer, struct xen_port *port);

/*
 * Binds to a peer's port. -EINVAL: the port is not offered to us or is already bound (the
 * hypervisor does not distinguish the two); -EUSERS as above; or another negative errno.
 */
int xen_bind_port(struct xen *xen, uint32_t peer, evtchn_port_t remote, struct xen_port *port);

/* Closes the port. Does nothing if it is not bound. */
void xen_unbind_port(struct xen *xen, struct xen_port *port);

/* Signals the peer. A peer that has gone is no error: the live byte shows that. */
void xen_signal(struct xen *xen, const struct xen_port *port);

/*
 * Returns the handle for granting (gntalloc). NULL: *rc is the negative errno, -ENODEV if the
 * driver is not loaded. Owned by xen.
 */
xengntshr_handle *xen_granting(struct xen *xen, int *rc);

/* Returns the handle for mapping (gntdev), likewise. */
xengnttab_handle *xen_mapping(struct xen *xen, int *rc);

#endif
