/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a service (the broker) and a worker say to each other, over a socket of packets that each of
 * them alone has an end of.
 *
 * The broker sends requests, which it numbers; the worker does them in order. The worker sends its
 * status, whole: what is true now, and the number of the last request that it has done. It does so
 * after each request, and when something in it changes. So nothing depends on how many of them
 * come, or which is read. A new broker says HELLO to a worker of an earlier one, and knows all
 * there is.
 *
 * The broker believes nothing of a status but what concerns the worker's own channel, and no
 * descriptor comes from a worker. Both end the conversation by closing the socket; a worker that
 * finds it closed gives the rings back and exits.
 */
#ifndef SERVICE_WORKER_PROTOCOL_H
#define SERVICE_WORKER_PROTOCOL_H

#include <stdint.h>

#include "vchan/channel.h"

/* What is said. A worker that speaks another version only answers HELLO. */
#define WORKER_SPEAKS 1

enum worker_request_type {
    /* Opens Xen's devices: role, era. Descriptors: a page for struct channel_counts. result. */
    WORKER_HELLO,
    /* As state/rings.h has them; result. */
    WORKER_GRANT,
    WORKER_MAP,
    WORKER_ADOPT,
    WORKER_SET_RESUMABLE, /* WORKER_ON, or not */
    WORKER_SET_ENDED,
    WORKER_SET_GONE,
    /* What is kept of a relay, so that another worker can go on with it: the journal's descriptors.
     */
    WORKER_JOURNAL,
    /* Bytes are to move: source and, unless the source is it too, sink. WORKER_ONE_FD,
       WORKER_GO_ON. */
    WORKER_START,
    WORKER_ECHO,   /* or from ring to ring. WORKER_GO_ON */
    WORKER_DIVERT, /* another sink, or none */
    WORKER_KICK,   /* a step is to be made */
    WORKER_PAUSE,  /* bytes stay where they are */
    WORKER_STOP,   /* and what is in the journal is forgotten */
    WORKER_COUNT,  /* a status is to come when the next byte has moved */
    /* The domain has begun another life: nothing may be given back. The worker stays as it is. */
    WORKER_STALE,
    WORKER_RELEASE, /* the end, in order */
    WORKER_REQUESTS
};

enum worker_request_flag {
    WORKER_ONE_FD = 1, /* the source is the sink */
    WORKER_GO_ON = 2,  /* with what was under way, if it is */
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
    uint32_t read_order; /* GRANT: of the rings; MAP, ADOPT: at most */
    uint32_t write_order;
    uint32_t era; /* HELLO: of this broker */
    uint32_t pad;
};

#define WORKER_FDS_MAX 3

enum worker_status_flag {
    WORKER_HELD = 1, /* there are rings */
    WORKER_PEER_DIED = 2,
    WORKER_PEER_LEFT = 4,
    WORKER_RUNNING = 8, /* since START or ECHO */
    WORKER_SOURCE_DONE = 16,
    WORKER_SINK_DONE = 32,
    WORKER_HAS_JOURNAL = 64,
    WORKER_MOVED = 128,   /* since COUNT */
    WORKER_HUNG_UP = 256, /* the source, which is done */
};

struct worker_status {
    uint32_t version;
    uint32_t era;  /* of the broker whose requests are numbered so: others' are passed over */
    uint32_t seen; /* the last request that is done */
    uint32_t flags;
    int32_t result; /* of the last of HELLO, GRANT, MAP and ADOPT */
    int32_t failed; /* of the last START, and the JOURNAL before it */
    /* While there are rings. */
    uint32_t peer;
    uint32_t ring_ref;
    uint32_t port;
    uint32_t pages;
    int32_t pending; /* unless it runs: as channel_readable() */
    /* As in struct relay, since START or ECHO. */
    int32_t source_error;
    int32_t sink_error;
    int32_t ring_error;
};

/* The worker's end of the socket, and the name that the service's own program has as a worker. */
#define WORKER_FD   3
#define WORKER_NAME "vchan-worker"

/*
 * The worker itself. Gives the exit code, when the broker is gone, or has said RELEASE.
 */
int worker_serve(void);

#endif
