/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service and its holder say to each other: one of these each way, and after HOLDER_LIST
 * any number of answers HOLDER_HOLD before the last.
 */
#ifndef SERVICE_HANDOVER_HOLDER_OWN_H
#define SERVICE_HANDOVER_HOLDER_OWN_H

#include "state/endpoint.h"

/*
 * HOLDER_VERSION's result is the version that the holder speaks. One that answers -ENOSYS is older,
 * and speaks as version 1 does. What begins a message never changes, up to the result.
 */
enum holder_request { HOLDER_HOLD, HOLDER_LET_GO, HOLDER_LIST, HOLDER_VERSION, HOLDER_REQUESTS };

struct holder_message {
    uint32_t request; /* enum holder_request */
    uint32_t tag;     /* the answer's is the request's: older ones are passed over */
    int32_t result;   /* 0 or a negative errno */
    char owner[32];
    struct endpoint_rings rings;
};

/* The holder's end of the socket. */
#define HOLDER_FD 3

#endif
