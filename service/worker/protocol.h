/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The protocol between a service (the broker) and a worker, over a SOCK_SEQPACKET socket. The
 * service manager may keep a copy of the broker's end, for the next broker.
 *
 * The broker sends numbered requests; the worker carries them out in order. The worker sends its
 * whole status after each request, and whenever the status changes: what is true now, and the
 * number of the last request done. So only the last status counts, and a reader may skip others. A
 * new broker sends HELLO to the worker of an earlier one, and learns everything from the answer.
 *
 * A status can affect only the worker's own channel, and a worker sends no descriptors. When the
 * last copy of the broker's end is closed, the worker releases its rings and exits.
 */
#ifndef SERVICE_WORKER_PROTOCOL_H
#define SERVICE_WORKER_PROTOCOL_H

#include <stdint.h>

#include "vchan/channel.h"

/* The protocol's version. A worker of another version carries out only HELLO and RELEASE. */
#define WORKER_VERSION 1

enum worker_request_type {
    /*
     * Fields: role, era. Descriptor: memory for struct channel_counts, in which the worker counts.
     * A new worker opens Xen's devices, and reports in result whether it could.
     */
    WORKER_HELLO,
    /* As in state/rings.h; the answer is in result. */
    WORKER_GRANT,
    WORKER_MAP,
    WORKER_ADOPT,
    WORKER_SET_RESUMABLE, /* flag: WORKER_ON, or clear */
    WORKER_SET_ENDED,
    WORKER_SET_GONE,
    /* Descriptors: the journal, in which the worker records what another one needs to resume. */
    WORKER_JOURNAL,
    /* Moves bytes. Descriptors: source, then sink. Flags: WORKER_ONE_FD, WORKER_RESUME. */
    WORKER_START,
    WORKER_ECHO,   /* moves bytes from ring to ring. Flag: WORKER_RESUME */
    WORKER_DIVERT, /* replaces the sink. Descriptor: the new one, or none */
    WORKER_KICK,   /* makes a step, as if a descriptor had become ready */
    WORKER_PAUSE,  /* stops moving bytes, and keeps the journal */
    WORKER_STOP,   /* stops moving bytes, and closes the journal */
    WORKER_COUNT,  /* sends a status with WORKER_MOVED when the next byte has moved */
    /* The domain was restored or migrated: keeps the rings for ever, and does nothing more. */
    WORKER_STALE,
    WORKER_RELEASE, /* releases the rings and exits */
    WORKER_REQUESTS
};

enum worker_request_flag {
    WORKER_ONE_FD = 1, /* the source is also the sink */
    WORKER_RESUME = 2, /* continue what an earlier broker or worker began */
    WORKER_ON = 4,
};

struct worker_request {
    uint32_t version;
    uint32_t number; /* from 1 on */
    uint32_t type;
    uint32_t flags;
    uint32_t role; /* HELLO: enum machine_role */
    uint32_t peer; /* GRANT, MAP, ADOPT */
    uint32_t ring_ref;
    uint32_t port;
    uint32_t read_order; /* GRANT: the rings' orders; MAP, ADOPT: the largest allowed */
    uint32_t write_order;
    uint32_t era; /* HELLO: a number by which the broker knows the answers to its own requests */
};

enum worker_status_flag {
    WORKER_HELD = 1, /* the worker has rings */
    WORKER_PEER_DIED = 2,
    WORKER_PEER_LEFT = 4,
    WORKER_RUNNING = 8, /* it moves bytes, after START or ECHO */
    WORKER_SOURCE_DONE = 16,
    WORKER_SINK_DONE = 32,
    WORKER_MOVED = 64,    /* bytes have moved since COUNT */
    WORKER_HUNG_UP = 128, /* SOURCE_DONE, and the source's other end takes no bytes either */
};

struct worker_status {
    uint32_t version;
    uint32_t era;  /* as in the last HELLO; a broker ignores a status with another era */
    uint32_t seen; /* the number of the last request done */
    uint32_t flags;
    int32_t result; /* 0 or a negative errno: the last of HELLO, GRANT, MAP and ADOPT */
    int32_t failed; /* the same: the last START, with the JOURNAL before it */
    /* While HELD. */
    uint32_t peer;
    uint32_t ring_ref;
    uint32_t port;
    uint32_t pages;
    int32_t pending; /* while not RUNNING: channel_readable() */
    /* While RUNNING: as in struct relay. */
    int32_t source_error;
    int32_t sink_error;
    int32_t ring_error;
};

/* The worker's end of the socket, and argv[0] of the service's program when it runs as a worker. */
#define WORKER_FD   3
#define WORKER_NAME "vchan-worker"

/*
 * Runs the worker, until RELEASE or until the last copy of the broker's end is closed. Returns the
 * exit code.
 */
int worker_serve(void);

#endif
