/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A way for a relay (vchan/relay.h) to move bytes such that a worker that is killed at any moment
 * neither loses nor repeats one: between the ring and the connection lie two pipes, which outlive
 * the worker (service/handover/journal.h), with a page beside them that is written ahead.
 *
 * To the connection: bytes are written into an empty pipe, consumed from the ring, then spliced on.
 * From it: bytes are spliced into an empty pipe, copied from there into the ring (tee), shown, then
 * thrown away. What a killed worker did of that can be told from how much lies in the pipes, the
 * indices in the shared page, and that page, which says where they stood when it was begun.
 */
#ifndef SERVICE_WORKER_JOURNAL_H
#define SERVICE_WORKER_JOURNAL_H

#include "service/handover/journal.h"
#include "vchan/relay.h"

struct journal;

/* Once, before any journal is opened: what all of them need. 0 or a negative errno. */
int journal_open_tools(void);

/*
 * Goes on with a journal, and mends what an earlier worker left half done in it and in the rings.
 * The descriptors are the journal's in any case. On success the caller owns *journal. -EPROTO: it
 * makes no sense; or -ENOMEM.
 */
int journal_open(const int fds[JOURNAL_DESCRIPTORS], struct channel *channel,
                 struct journal **journal);

/* The way, for relay->way. Owned by the journal. NULL for NULL. */
const struct relay_way *journal_way(const struct journal *journal);

/* Unmaps and closes. What lies in it stays, for who has its descriptors, too. NULL is allowed. */
void journal_close(struct journal *journal);

#endif
