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
#include "vchan/streams.h"

/*
 * The protocol's version. A worker of another version carries out only HELLO and RELEASE, whose
 * packets have the same WORKER_HELLO_BYTES in all versions.
 */
#define WORKER_VERSION 2
#define WORKER_HELLO_BYTES 44

/* How many of the peer's streams a status lists, and how many descriptors may wait for a stream. */
#define WORKER_ASKED_MAX   64
#define WORKER_WAITING_MAX 32

enum worker_request_type {
    /*
     * Fields: role, era. Descriptor: memory for struct worker_counts, in which the worker counts.
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
    WORKER_RELEASE, /* releases the rings and exits; has this number in all versions */
    /*
     * Carries streams. Fields: streams; stream: its own ids are larger. Flags: WORKER_RESUME; the
     * worker answers the peer's streams itself with WORKER_ECHOES (and sends back what comes) and
     * WORKER_REFUSES.
     */
    WORKER_STREAMS,
    WORKER_CONNECT, /* opens a stream for a descriptor, once one is free */
    WORKER_ACCEPT,  /* plugs the peer's stream of that id into a descriptor */
    WORKER_REFUSE,  /* refuses it. Fields: stream, reason */
    WORKER_REQUESTS
};

enum worker_request_flag {
    WORKER_ONE_FD = 1, /* the source is also the sink */
    WORKER_RESUME = 2, /* continue what an earlier broker or worker began */
    WORKER_ON = 4,
    WORKER_ECHOES = 8,
    WORKER_REFUSES = 16,
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
    uint32_t streams; /* STREAMS: how many at once */
    uint32_t stream;  /* ACCEPT, REFUSE: an id of worker_status.asked; STREAMS: a first one */
    uint32_t reason;  /* REFUSE: enum stream_reason */
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
    WORKER_FULL = 256,    /* descriptors wait for a stream: the broker sends no more of them */
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
    /* While RUNNING with streams. */
    uint32_t asked[WORKER_ASKED_MAX]; /* the peer's streams that must be answered, oldest first; 0 */
    uint32_t failures;                /* streams that ended with an error, modulo 2^32 */
    uint32_t last_reason;             /* enum stream_reason of the last of them */
};

/* What a worker has moved. It writes this into memory that the broker reads. */
struct worker_counts {
    struct channel_counts channel;
    uint64_t opened; /* streams that were accepted by either side */
    uint64_t refused;
    uint64_t reset;
    uint64_t stored; /* bytes that came for streams whose connection does not take them now */
    uint32_t open;   /* streams now */
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
