/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors of a worker's journal (service/worker/journal.h): two pipes and a page. The
 * service creates them, keeps them like the connection's own (fdstore.h), and sends them to the
 * worker.
 */
#ifndef SERVICE_HANDOVER_JOURNAL_KIT_H
#define SERVICE_HANDOVER_JOURNAL_KIT_H

#include <stdbool.h>
#include <stdint.h>

#include "service/handover/fdstore.h"

/* The page is kept last, so if it is found, the pipes are too. */
enum { JOURNAL_TO, JOURNAL_FROM, JOURNAL_PAGE, JOURNAL_DESCRIPTORS };

/* The page. Its layout is part of FDSTORE_VERSION. */
struct journal_page {
    uint32_t filling; /* 1: the pipe to the connection is being filled, from cons on */
    uint32_t cons;
    uint32_t prod;   /* our index when the pipe from the connection was last filled */
    uint32_t staged; /* how many bytes were put in then; 0: that is under way */
};

struct journal_kit {
    int fds[JOURNAL_DESCRIPTORS]; /* -1: none */
};

#define JOURNAL_KIT_NONE ((struct journal_kit){{-1, -1, -1}})

bool journal_kit_exists(const struct journal_kit *kit);

/*
 * Takes the journal that an earlier process kept for the owner, even if its connection is gone.
 * Returns whether there was a complete one; one that is not is dropped.
 */
bool journal_kit_find(struct journal_kit *kit, struct fdstore *fdstore, const char *owner);

/*
 * Creates a journal in an empty kit, and keeps it; call fdstore_has_room() first. Returns 0, or a
 * negative errno with the kit empty.
 */
int journal_kit_make(struct journal_kit *kit, struct fdstore *fdstore, const char *owner);

/*
 * Returns how many bytes in the journal are still to be delivered to a connection, or still to be
 * put into the ring. Exact while no worker moves bytes.
 */
uint32_t journal_kit_undelivered(const struct journal_kit *kit);
uint32_t journal_kit_unsent(const struct journal_kit *kit);

/* Closes the journal with the bytes in it, and stops keeping it. Leaves the kit empty. */
void journal_kit_drop(struct journal_kit *kit, struct fdstore *fdstore, const char *owner);

/* Returns how many bytes are in a pipe. */
uint32_t journal_pipe_bytes(int pipe);

#endif
