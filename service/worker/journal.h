/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A way for a relay (vchan/relay.h) to move bytes so that a worker that is killed at any moment
 * neither loses nor repeats one. Two pipes between the ring and the connection outlive the worker
 * (service/handover/journal-kit.h), and so does a page that is written before each step.
 *
 * To the connection: the worker writes bytes into an empty pipe, consumes them from the ring, then
 * splices them on. From the connection: it splices bytes into an empty pipe, copies them into the
 * ring (tee), shows them to the peer, then removes them from the pipe. How far a killed worker came
 * follows from the pipes' fill, the indices in the shared page, and the journal's page, which has
 * the indices as they were before the step.
 */
#ifndef SERVICE_WORKER_JOURNAL_H
#define SERVICE_WORKER_JOURNAL_H

#include "service/handover/journal-kit.h"
#include "vchan/relay.h"

struct journal;

/* Opens what all journals share. Call it once, before journal_open(). Returns 0 or -errno. */
int journal_open_tools(void);

/*
 * Opens a journal, and completes what an earlier worker left half done in it and in the rings.
 * Takes ownership of the descriptors, on failure too. Returns 0 with *journal owned by the caller,
 * or a negative errno: -EPROTO (journal and rings contradict each other), -EIO (a pipe cannot be
 * emptied), -ENOMEM, or mmap()'s.
 */
int journal_open(const int fds[JOURNAL_DESCRIPTORS], struct channel *channel,
                 struct journal **journal);

/* Returns the way for relay->way, owned by the journal; NULL for NULL. */
const struct relay_way *journal_way(const struct journal *journal);

/*
 * Unmaps the page and closes the descriptors. Other processes' copies of them keep the contents.
 * NULL is allowed.
 */
void journal_close(struct journal *journal);

#endif
