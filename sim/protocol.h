/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The messages from programs to the hypervisor. A SOCK_SEQPACKET connection to
 * $XENSIM_DIR/hypervisor stands for one open device file; its end is the kernel's release() of the
 * file. The listening socket identifies the domain. A request is a struct sim_message with a
 * payload. Each request gets one reply unless the table below says otherwise.
 */
#ifndef SIM_PROTOCOL_H
#define SIM_PROTOCOL_H

#include <stdint.h>

#define SIM_DIR     "/run/xensim" /* where a domain finds its host, in its own mount namespace */
#define SIM_PAYLOAD 65536
#define SIM_FDS     200 /* per message; the kernel takes 253 */
#define SIM_PAGE    4096u
#define SIM_NONE    UINT32_MAX /* no port, no offset */
#define SIM_NAME    64

enum sim_op {
    /* event channels (arguments → reply) */
    SIM_EVTCHN_OPEN,      /* → index, generation, slot; fds: eventfd, control memory */
    SIM_BIND_UNBOUND,     /* domid → port */
    SIM_BIND_INTERDOMAIN, /* domid, port → port */
    SIM_BIND_VIRQ,        /* virq → port */
    SIM_UNBIND,           /* port */
    SIM_PEER,             /* port → index, generation; fd: the eventfd of the peer's handle */
    SIM_STORE,            /* → port; fd: store page. For a domain's own init only */
    SIM_PORT_STATUS,      /* domid, port → state, remote domid, remote port or virq */
    /* grants */
    SIM_SHARE,   /* domid, pages, writable, offset, port → id; payload: refs; fd: memory */
    SIM_UNSHARE, /* id */
    SIM_MAP,     /* id or SIM_NONE, writable, offset, port; payload: struct sim_ref[]
                    → id; payload: struct sim_page[]; fds: memories */
    SIM_UNMAP,   /* id */
    /* domains */
    SIM_LIST,     /* first domid → payload: struct sim_info[] */
    SIM_CREATE,   /* payload: struct sim_create; fd: program (sim_program_pack)
                     → domid, store port */
    SIM_DESTROY,  /* domid */
    SIM_PAUSE,    /* domid */
    SIM_UNPAUSE,  /* domid */
    SIM_SHUTDOWN, /* domid, reason */
    /* domid, then argc; fds: program, stdin, stdout, stderr → (when it ends) wait status */
    SIM_SPAWN,
    SIM_SIGNAL, /* signal, for what this connection spawned. No reply */
    /* the host */
    SIM_LIMIT, /* domid, pages of gntalloc */
    SIM_READY, /* what is open now belongs to the host and is not a leak */
    SIM_LEAKS, /* everything, or only what the dead left → payload: lines */
    SIM_OPS
};

struct sim_message {
    uint32_t op;
    int32_t result; /* in a reply: 0 or a negative errno */
    uint32_t arg[5];
    uint32_t length; /* of the payload */
};

struct sim_ref {
    uint32_t domid, ref;
};

/* A mapped page. Its memory is the message's descriptor number fd. */
struct sim_page {
    uint32_t fd, page;
};

#define SIM_INFO_PAUSED   1u
#define SIM_INFO_SHUTDOWN 2u
#define SIM_INFO_DYING    4u

struct sim_info {
    uint32_t domid, flags, reason, pages;
    uint8_t uuid[16];
    char name[SIM_NAME];
};

struct sim_create {
    uint32_t pages;
    uint8_t uuid[16];
    char name[SIM_NAME];
};

#endif
