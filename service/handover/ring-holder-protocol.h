/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The protocol between the service and the ring holder, over a SOCK_SEQPACKET socket. Each request
 * is one message and has one answer.
 */
#ifndef SERVICE_HANDOVER_RING_HOLDER_PROTOCOL_H
#define SERVICE_HANDOVER_RING_HOLDER_PROTOCOL_H

#include "state/endpoint.h"

/*
 * RING_HOLDER_GET_VERSION's result is the ring holder's version. A ring holder that answers -ENOSYS
 * is older, and speaks version 1. The fields up to result never change.
 *
 * RING_HOLDER_LIST is for a ring holder of version 1, whose service noted no rings: before the
 * answer there is a message with RING_HOLDER_ADD for each owner.
 */
enum ring_holder_request {
    RING_HOLDER_ADD,
    RING_HOLDER_DROP,
    RING_HOLDER_LIST,
    RING_HOLDER_GET_VERSION,
    RING_HOLDER_REQUESTS
};

struct ring_holder_message {
    uint32_t request; /* enum ring_holder_request */
    uint32_t tag;     /* an answer has its request's tag; answers with other tags are ignored */
    int32_t result;   /* 0 or a negative errno */
    char owner[32];
    struct endpoint_rings rings;
};

/* The ring holder's end of the socket. */
#define RING_HOLDER_FD 3

#endif
