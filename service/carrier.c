/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/carrier.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static struct worker *worker_of(const struct carrier *carrier)
{
    return &carrier->connection->worker;
}

/* ---- what the worker is told ---- */

static void give_journal(struct carrier *carrier)
{
    if (journal_kit_is_there(&carrier->journal))
        worker_tell(worker_of(carrier), WORKER_JOURNAL, 0, carrier->journal.fds,
                    JOURNAL_DESCRIPTORS);
}

static void give_descriptors(struct carrier *carrier)
{
    const int fds[] = {carrier->source, carrier->sink};
    bool one = carrier->source == carrier->sink;
    uint32_t flags = (one ? WORKER_ONE_FD : 0) | (carrier->goes_on ? WORKER_GO_ON : 0);

    carrier->since =
        worker_tell(worker_of(carrier), WORKER_START, flags, fds, one || carrier->sink < 0 ? 1 : 2);
}

static void carrier_begin(struct carrier *carrier)
{
    if (carrier->echoes)
        carrier->since = worker_tell(worker_of(carrier), WORKER_ECHO,
                                     carrier->goes_on ? WORKER_GO_ON : 0, NULL, 0);
    else
        give_descriptors(carrier);
    carrier->halting = false;
}

/* ---- what the worker says ---- */

static struct carrier_ends ends_of(const struct worker_status *status)
{
    return (struct carrier_ends){
        .source_done = status->flags & WORKER_SOURCE_DONE,
        .hung_up = status->flags & WORKER_HUNG_UP,
        .sink_done = status->flags & WORKER_SINK_DONE,
        .source_error = status->source_error,
        .sink_error = status->sink_error,
        .ring_error = status->ring_error,
    };
}

static bool are_same(const struct carrier_ends *one, const struct carrier_ends *other)
{
    return one->source_done == other->source_done && one->hung_up == other->hung_up &&
           one->sink_done == other->sink_done && one->source_error == other->source_error &&
           one->sink_error == other->sink_error && one->ring_error == other->ring_error;
}

static void carrier_told(void *arg)
{
    struct carrier *carrier = arg;
    const struct worker_status *status = worker_status_since(worker_of(carrier), carrier->since);
    struct carrier_ends ends;

    if (!carrier->on || !status || carrier->since == 0)
        return;
    if (status->failed < 0) {
        endpoint_fail(carrier->connection->endpoint, status->failed, "cannot move bytes: %s",
                      strerror(-status->failed));
        return;
    }
    ends = ends_of(status);
    if (are_same(&ends, &carrier->ends))
        return;
    carrier->ends = ends;
    carrier->stepped(carrier->arg);
}

/* Another worker: it mends what is left of the one that died, and goes on. */
static void carrier_anew(void *arg)
{
    struct carrier *carrier = arg;

    give_journal(carrier);
    carrier->goes_on |= carrier->on;
    if (carrier->on)
        carrier_begin(carrier);
}

/* With neither descriptors nor a journal nothing is under way but in the rings. */
static bool carrier_is_whole(void *arg)
{
    const struct carrier *carrier = arg;

    return !carrier->on || carrier->echoes || journal_kit_is_there(&carrier->journal);
}

static void use_worker(struct carrier *carrier)
{
    worker_of(carrier)->user = (struct worker_user){
        .told = carrier_told, .anew = carrier_anew, .whole = carrier_is_whole, .arg = carrier};
}

/* ---- for the kinds ---- */

void carrier_init(struct carrier *carrier, struct connection *connection)
{
    *carrier = (struct carrier){
        .connection = connection, .journal = JOURNAL_KIT_NONE, .source = -1, .sink = -1};
}

void carrier_open(struct carrier *carrier)
{
    const struct connection *connection = carrier->connection;

    carrier->goes_on = endpoint_resumed(connection->endpoint);
    carrier->halting = false;
    use_worker(carrier);
    if (journal_kit_find(&carrier->journal, connection->fdstore, connection->id))
        give_journal(carrier);
}

/* An earlier process kept what it had begun with; otherwise this is a new one. */
static bool is_begun(const struct carrier *carrier, const struct carrier_end *last)
{
    const struct connection *connection = carrier->connection;

    return carrier->goes_on && fdstore_is_kept(connection->fdstore, connection->id, last->what);
}

/* So many more descriptors than are kept have room, or there is no need for them. */
static bool has_room_for(const struct carrier *carrier, const struct carrier_end *last,
                         unsigned int count)
{
    const struct connection *connection = carrier->connection;
    unsigned int more = journal_kit_is_there(&carrier->journal) ? 0 : JOURNAL_DESCRIPTORS;

    if (!fdstore_is_stored(connection->fdstore, connection->id, last->what))
        more += count;
    return fdstore_has_room(connection->fdstore, more);
}

static int make_journal(struct carrier *carrier)
{
    const struct connection *connection = carrier->connection;
    int rc;

    if (journal_kit_is_there(&carrier->journal))
        return 0;
    rc = journal_kit_make(&carrier->journal, connection->fdstore, connection->id);
    if (rc == 0)
        give_journal(carrier);
    return rc;
}

int carrier_start(struct carrier *carrier, int source, int sink, const struct carrier_end *ends,
                  unsigned int count, void (*stepped)(void *arg), void *arg)
{
    const struct connection *connection = carrier->connection;
    bool lasting = has_room_for(carrier, &ends[count - 1], count);
    int rc = lasting ? make_journal(carrier) : 0;

    if (rc < 0) {
        carrier_stop(carrier);
        return rc;
    }
    carrier->goes_on = is_begun(carrier, &ends[count - 1]);
    for (unsigned int i = 0; i < count; i++)
        if (ends[i].fd >= 0)
            fdstore_add(connection->fdstore, connection->id, ends[i].what, ends[i].fd, lasting);
    carrier->source = source;
    carrier->sink = sink;
    carrier->stepped = stepped;
    carrier->arg = arg;
    carrier->ends = (struct carrier_ends){0};
    carrier->source_told = carrier->sink_told = carrier->echoes = false;
    carrier->on = true;
    carrier_begin(carrier);
    carrier->goes_on = false;
    return 0;
}

void carrier_start_echo(struct carrier *carrier, void (*stepped)(void *arg), void *arg)
{
    carrier->goes_on = endpoint_resumed(carrier->connection->endpoint);
    carrier->stepped = stepped;
    carrier->arg = arg;
    carrier->ends = (struct carrier_ends){0};
    carrier->on = carrier->echoes = true;
    use_worker(carrier);
    carrier_begin(carrier);
    carrier->goes_on = false;
}

bool carrier_is_on(const struct carrier *carrier)
{
    return carrier->on;
}

void carrier_kick(struct carrier *carrier)
{
    worker_tell(worker_of(carrier), WORKER_KICK, 0, NULL, 0);
}

/*
 * What cannot be mended: true if there was such a thing, and the endpoint has failed. An end that
 * takes no more may still have something to say, which is waited for.
 */
static bool pass_failure(const struct carrier *carrier, const char *peer)
{
    const struct carrier_ends *ends = &carrier->ends;
    struct endpoint *endpoint = carrier->connection->endpoint;
    int error = ends->source_error ? ends->source_error : ends->sink_error;

    if (ends->ring_error == -EPROTO)
        endpoint_fail_corrupt(endpoint);
    else if (error && ends->source_done)
        endpoint_fail(endpoint, error, "%s did not take all bytes: %s", peer, strerror(-error));
    else
        return false;
    return true;
}

void carrier_pass_ends(struct carrier *carrier, const char *peer)
{
    const struct carrier_ends *ends = &carrier->ends;
    struct endpoint *endpoint = carrier->connection->endpoint;

    if (pass_failure(carrier, peer))
        return;
    if (ends->sink_done && !carrier->sink_told) {
        carrier->sink_told = true;
        shutdown(carrier->sink, ends->sink_error ? SHUT_RD : SHUT_WR);
        if (ends->sink_error)
            carrier_kick(carrier);
        else
            endpoint_set_drained(endpoint);
    }
    if (carrier->on && ends->source_done && !carrier->source_told) {
        carrier->source_told = true;
        endpoint_set_finished(endpoint);
    }
}

void carrier_divert(struct carrier *carrier, int sink)
{
    carrier->sink = sink;
    carrier->ends.sink_done = false;
    carrier->ends.sink_error = 0;
    carrier->since = worker_tell(worker_of(carrier), WORKER_DIVERT, 0, &sink, sink < 0 ? 0 : 1);
}

static void turn_off(struct carrier *carrier)
{
    carrier->on = false;
    carrier->source = carrier->sink = -1;
}

void carrier_stop(struct carrier *carrier)
{
    const struct connection *connection = carrier->connection;

    turn_off(carrier);
    worker_tell(worker_of(carrier), WORKER_STOP, 0, NULL, 0);
    journal_kit_drop(&carrier->journal, connection->fdstore, connection->id);
}

void carrier_pause(struct carrier *carrier)
{
    turn_off(carrier);
    worker_tell(worker_of(carrier), WORKER_PAUSE, 0, NULL, 0);
}

/* A worker that goes on with what an earlier broker had begun, and nobody wants, is to halt. */
static bool is_halting(struct carrier *carrier, const struct worker_status *status)
{
    if (!(status->flags & WORKER_RUNNING))
        return false;
    if (!carrier->halting)
        worker_tell(worker_of(carrier), WORKER_PAUSE, 0, NULL, 0);
    carrier->halting = true;
    return true;
}

/* What lies in the journal is for the next one; an empty one is not needed. */
static uint32_t take_holds(struct carrier *carrier)
{
    uint32_t holds = journal_kit_holds(&carrier->journal);

    if (holds == 0 && journal_kit_is_there(&carrier->journal))
        carrier_stop(carrier);
    return holds;
}

int carrier_waits(struct carrier *carrier)
{
    const struct worker_status *status = worker_status(worker_of(carrier));
    int pending, holds;

    if (!status || is_halting(carrier, status))
        return -EINPROGRESS;
    pending = status->pending;
    holds = (int)take_holds(carrier);
    if (pending < 0)
        return pending == -EAGAIN && holds > 0 ? holds : pending;
    return pending + holds;
}

uint32_t carrier_brings(const struct carrier *carrier)
{
    return journal_kit_brings(&carrier->journal);
}

bool carrier_has_begun(const struct carrier *carrier)
{
    const struct worker_status *status = worker_status(worker_of(carrier));

    return journal_kit_is_there(&carrier->journal) || (status && status->flags & WORKER_RUNNING);
}
