/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What outlives a worker of what it had under way (service/worker/journal.h): two pipes and a page,
 * which the service makes, keeps as the connection is kept (fdstore.h), and gives to the worker.
 */
#ifndef SERVICE_HANDOVER_JOURNAL_H
#define SERVICE_HANDOVER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "service/handover/fdstore.h"

/* Whoever finds the page, which is kept last, finds the pipes. */
enum { JOURNAL_TO, JOURNAL_FROM, JOURNAL_PAGE, JOURNAL_DESCRIPTORS };

/* The version of the journals that this program writes, and the highest that one is kept in. */
#define JOURNAL_VERSION 1
uint32_t journal_version(const struct fdstore *fdstore);

/* In memory that is kept. Written in program order, which is all that a kill can cut. */
struct journal_page {
    uint32_t filling; /* 1: the pipe to the connection is being filled, from cons on */
    uint32_t cons;
    uint32_t prod;    /* our index when the pipe from the connection was filled last, from empty */
    uint32_t staged;  /* with so many bytes; 0: they are being put in */
    uint32_t version; /* JOURNAL_VERSION; before that there was none, and the file was shorter */
};

struct journal_kit {
    int fds[JOURNAL_DESCRIPTORS]; /* -1: none */
};

#define JOURNAL_KIT_NONE ((struct journal_kit){{-1, -1, -1}})

bool journal_kit_exists(const struct journal_kit *kit);

/*
 * Takes what an earlier process kept for the owner, whatever became of the connection. Returns
 * whether there was one.
 */
bool journal_kit_find(struct journal_kit *kit, struct fdstore *fdstore, const char *owner);

/* Makes one (of none), which the fdstore has room for. 0, or a negative errno with none made. */
int journal_kit_make(struct journal_kit *kit, struct fdstore *fdstore, const char *owner);

/*
 * How many bytes of the guest's the connection has not taken, and of the connection's are not in
 * the ring yet: exact while no worker moves them.
 */
uint32_t journal_kit_undelivered(const struct journal_kit *kit);
uint32_t journal_kit_unsent(const struct journal_kit *kit);

/* Closes it, with what lies in it, and keeps it no more. */
void journal_kit_drop(struct journal_kit *kit, struct fdstore *fdstore, const char *owner);

/* What lies in a pipe. */
uint32_t journal_pipe_bytes(int pipe);

#endif
