/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A way for a relay (vchan/relay.h) to move bytes such that a process that is killed at any moment
 * neither loses nor repeats one: between the ring and the connection lie two pipes, which are kept
 * as the connection is (service/handover/fdstore.h), with a page beside them that is written ahead.
 *
 * To the connection: bytes are written into an empty pipe, consumed from the ring, then spliced on.
 * From it: bytes are spliced into an empty pipe, copied from there into the ring (tee), shown, then
 * thrown away. What a killed process did of that can be told from how much lies in the pipes, the
 * indices in the shared page, and that page, which says where they stood when it was begun.
 */
#ifndef SERVICE_HANDOVER_JOURNAL_H
#define SERVICE_HANDOVER_JOURNAL_H

#include "service/handover/fdstore.h"
#include "vchan/relay.h"

struct journal;

/* What each takes of an fdstore's room. */
#define JOURNAL_DESCRIPTORS 3

/*
 * The owner's journal of an earlier process, whatever became of the connection: from now on it is the
 * caller's. NULL: there is none, or no memory, so that it is left.
 */
struct journal *journal_find(struct fdstore *fdstore, const char *owner);

/* The version of the journals that this program writes, and the highest that one is kept in. */
#define JOURNAL_SPEAKS 1
uint32_t journal_version(const struct fdstore *fdstore);

/*
 * Makes *journal ready for a connection, and mends what an earlier process left half done. NULL: the
 * one that is left of such a process, or a new one, for which the fdstore has room. The channel is
 * connected, and the connection is to be kept after it: then whoever finds the connection finds the
 * journal. On success the caller owns *journal. -errno: no memory, no descriptors, or an earlier one
 * that makes no sense; then it is closed, and *journal is NULL.
 */
int journal_open(struct fdstore *fdstore, const char *owner, struct channel *channel, struct journal **journal);

/* The way, for relay->way. Owned by the journal. */
const struct relay_way *journal_way(const struct journal *journal);

/*
 * How many bytes of the guest's the connection has not taken: they are not in the ring any more.
 * NULL: none.
 */
uint32_t journal_holds(const struct journal *journal);

/* How many bytes of the connection's are not in the ring yet. NULL: none. */
uint32_t journal_brings(const struct journal *journal);

/* Gives it up, with what lies in it: the connection is not kept any more. NULL is allowed. */
void journal_close(struct journal *journal);

#endif
