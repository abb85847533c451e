/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process's handles on the hypervisor: one event-channel handle, hence one fd, for any number of
 * ports, and one grant-table handle each for granting and for mapping, opened when first needed.
 *
 * Belongs to one thread. Closing it (or the process dying) unbinds all its ports.
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
 * A port that is bound, embedded in what owns it. fired() runs in xen_dispatch(), after the port is
 * unmasked; it may bind, unbind and free anything, itself included.
 */
struct xen_port {
    evtchn_port_t number; /* 0: not bound */
    void (*fired)(struct xen_port *port);
    unsigned int idle; /* how often it fired since its owner wrote 0 here: something came of it */
    bool little;       /* its owner says: not much came of the last time */
    struct xen_peer *peer;
    TAILQ_ENTRY(xen_port) next;
    bool muted; /* it waits for xen_unmute() */
};

/*
 * Opens the event-channel driver. -ENODEV or -EACCES: no /dev/xen/evtchn here, or it is not ours to
 * open; -EMEDIUMTYPE: the kernel's page size is not 4096 bytes. On failure *xen is NULL.
 */
int xen_open(struct xen **xen);

/*
 * Closes all handles. Every port must be unbound and every mapping undone before. NULL is allowed.
 */
void xen_close(struct xen *xen);

/*
 * All that it has is void, since the domain began another life (it was restored, or migrated): from
 * now on no port is unbound or signalled. It is to be closed all the same.
 */
void xen_abandon(struct xen *xen);

/* The fd to poll for reading; then call xen_dispatch(). */
int xen_fd(const struct xen *xen);

/*
 * Serves the ports that fired, never blocking: O(those ports). It may return with more to do; the
 * fd is readable then. Returns how many fired, or a negative errno.
 */
int xen_dispatch(struct xen *xen);

/*
 * For a process that has other things to do: a port that fired 32 times and nothing came of it, or
 * one whose peer has it look too often for next to nothing (vchan/pace.h), is
 * not served, and stays masked, so that a peer that signals without end costs nothing. later() is
 * told when one is; after a pause the caller has all of them served by xen_unmute(), once each.
 */
void xen_set_patience(struct xen *xen, void (*later)(void *arg), void *arg);
void xen_unmute(struct xen *xen);

/*
 * Waits for one port to fire, and serves it: one system call less than poll() and xen_dispatch(),
 * for who waits for nothing else. 0, -EINTR, or another negative errno.
 */
int xen_await(struct xen *xen);

/*
 * Makes a port that domain peer may bind to. port->fired is set by the caller. -EUSERS: this domain
 * has no event channel left; or another negative errno.
 */
int xen_offer_port(struct xen *xen, uint32_t peer, struct xen_port *port);

/*
 * Binds to a peer's port. -EINVAL: it is no port offered to us; or somebody else is bound to it
 * already (the hypervisor does not tell the two apart). -EUSERS: as above.
 */
int xen_bind_port(struct xen *xen, uint32_t peer, evtchn_port_t remote, struct xen_port *port);

/* Gives the port back, or does nothing if it is not bound. */
void xen_unbind_port(struct xen *xen, struct xen_port *port);

/* Signals the other end. That nobody is there any more is not an error: the live byte tells. */
void xen_signal(struct xen *xen, const struct xen_port *port);

/*
 * The handle for granting (gntalloc), or NULL with *rc the negative errno, -ENODEV if the driver is
 * not loaded. Owned by xen.
 */
xengntshr_handle *xen_granting(struct xen *xen, int *rc);

/* The handle for mapping (gntdev), likewise. */
xengnttab_handle *xen_mapping(struct xen *xen, int *rc);

#endif
