/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/carrier.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct worker *worker_of(const struct carrier *carrier)
{
    return &carrier->connection->worker;
}

/* ---- requests to the worker ---- */

static void give_journal(struct carrier *carrier)
{
    if (journal_kit_exists(&carrier->journal))
        worker_send(worker_of(carrier), WORKER_JOURNAL, 0, carrier->journal.fds,
                    JOURNAL_DESCRIPTORS);
}

static void give_descriptors(struct carrier *carrier)
{
    const int fds[] = {carrier->source, carrier->sink};
    bool one = carrier->source == carrier->sink;
    uint32_t flags = (one ? WORKER_ONE_FD : 0) | (carrier->resumes ? WORKER_RESUME : 0);

    carrier->ends_request =
        worker_send(worker_of(carrier), WORKER_START, flags, fds, one || carrier->sink < 0 ? 1 : 2);
}

/* How many ids of streams a worker may use before they could be those of the next worker. */
#define IDS_SHIFT 20

static void give_streams(struct carrier *carrier)
{
    static const uint32_t answers[] = {
        [CARRIER_ECHOES] = WORKER_ECHOES, [CARRIER_REFUSES] = WORKER_REFUSES};
    struct worker_request request = {
        .type = WORKER_STREAMS,
        .streams = carrier->streams,
        .stream = ++carrier->starts << IDS_SHIFT,
        .flags = answers[carrier->answer] | (carrier->resumes ? WORKER_RESUME : 0),
    };

    carrier->ends_request = worker_send_request(worker_of(carrier), &request, NULL, 0);
}

static void send_start(struct carrier *carrier)
{
    if (carrier->streams)
        give_streams(carrier);
    else if (carrier->echoes)
        carrier->ends_request = worker_send(worker_of(carrier), WORKER_ECHO,
                                            carrier->resumes ? WORKER_RESUME : 0, NULL, 0);
    else
        give_descriptors(carrier);
    carrier->pausing = false;
}

/* ---- the worker's status ---- */

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

static bool are_same_ends(const struct carrier_ends *one, const struct carrier_ends *other)
{
    return one->source_done == other->source_done && one->hung_up == other->hung_up &&
           one->sink_done == other->sink_done && one->source_error == other->source_error &&
           one->sink_error == other->sink_error && one->ring_error == other->ring_error;
}

static void report_ends(struct carrier *carrier, const struct worker_status *status)
{
    const struct carrier_ends ends = ends_of(status);

    if (are_same_ends(&ends, &carrier->ends))
        return;
    carrier->ends = ends;
    carrier->ends_changed(carrier->arg);
}

static void carrier_status_changed(void *arg)
{
    struct carrier *carrier = arg;
    const struct worker_status *status =
        worker_status_after(worker_of(carrier), carrier->ends_request);

    if (!carrier->on || !status || carrier->ends_request == 0)
        return;
    if (status->failed < 0) {
        endpoint_fail(carrier->connection->endpoint, status->failed, "cannot move bytes: %s",
                      strerror(-status->failed));
        return;
    }
    report_ends(carrier, status);
    if (carrier->on && carrier->streams_changed)
        carrier->streams_changed(carrier->arg);
}

/* A new worker process: it completes from the journal what the dead one left half done. */
static void carrier_restarted(void *arg)
{
    struct carrier *carrier = arg;

    give_journal(carrier);
    carrier->resumes |= carrier->on;
    if (carrier->on)
        send_start(carrier);
}

/* Without a journal, bytes that had left the ring for a descriptor, or the reverse, are lost. */
static bool carrier_can_resume(void *arg)
{
    const struct carrier *carrier = arg;

    return !carrier->on || carrier->echoes || carrier->streams ||
           journal_kit_exists(&carrier->journal);
}

static void use_worker(struct carrier *carrier)
{
    worker_of(carrier)->user = (struct worker_user){.status_changed = carrier_status_changed,
                                                    .restarted = carrier_restarted,
                                                    .can_resume = carrier_can_resume,
                                                    .arg = carrier};
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

    carrier->resumes = endpoint_resumed(connection->endpoint);
    carrier->pausing = false;
    use_worker(carrier);
    if (journal_kit_find(&carrier->journal, connection->fdstore, connection->id))
        give_journal(carrier);
}

/* Whether an earlier process of the service had begun with these descriptors, and kept them. */
static bool is_begun(const struct carrier *carrier, const struct carrier_end *last)
{
    const struct connection *connection = carrier->connection;

    return carrier->resumes && fdstore_is_kept(connection->fdstore, connection->id, last->item);
}

/* Whether an earlier process's worker died, and nothing tells which bytes it had moved. */
static bool is_unrecorded(const struct carrier *carrier)
{
    return carrier->resumes && worker_of(carrier)->lost_found &&
           !journal_kit_exists(&carrier->journal);
}

/* Whether the fdstore has room for those of the descriptors that it does not have yet. */
static bool has_room_for(const struct carrier *carrier, const struct carrier_end *last,
                         unsigned int count)
{
    const struct connection *connection = carrier->connection;
    unsigned int more = journal_kit_exists(&carrier->journal) ? 0 : JOURNAL_DESCRIPTORS;

    if (!fdstore_is_stored(connection->fdstore, connection->id, last->item))
        more += count;
    return fdstore_has_room(connection->fdstore, more);
}

static int make_journal(struct carrier *carrier)
{
    const struct connection *connection = carrier->connection;
    int rc;

    if (journal_kit_exists(&carrier->journal))
        return 0;
    rc = journal_kit_make(&carrier->journal, connection->fdstore, connection->id);
    if (rc < 0)
        return rc;
    worker_send(worker_of(carrier), WORKER_STOP, 0, NULL, 0); /* it may have an earlier one */
    give_journal(carrier);
    return 0;
}

int carrier_start(struct carrier *carrier, int source, int sink, const struct carrier_end *ends,
                  unsigned int count, void (*ends_changed)(void *arg), void *arg)
{
    const struct connection *connection = carrier->connection;
    bool lasting = has_room_for(carrier, &ends[count - 1], count);
    int rc;

    carrier->resumes = is_begun(carrier, &ends[count - 1]);
    rc = is_unrecorded(carrier) ? -EPIPE : lasting ? make_journal(carrier) : 0;
    if (rc < 0) {
        carrier_stop(carrier);
        return rc;
    }
    for (unsigned int i = 0; i < count; i++)
        if (ends[i].fd >= 0)
            fdstore_add(connection->fdstore, connection->id, ends[i].item, ends[i].fd, lasting);
    carrier->source = source;
    carrier->sink = sink;
    carrier->ends_changed = ends_changed;
    carrier->arg = arg;
    carrier->ends = (struct carrier_ends){0};
    carrier->source_told = carrier->sink_told = carrier->echoes = false;
    carrier->streams = 0;
    carrier->streams_changed = NULL;
    carrier->on = true;
    send_start(carrier);
    carrier->resumes = false;
    return 0;
}

/* Turns the carrier on without descriptors. */
static void start_without(struct carrier *carrier, void (*ends_changed)(void *arg),
                          void (*streams_changed)(void *arg), void *arg)
{
    carrier->resumes = endpoint_resumed(carrier->connection->endpoint);
    carrier->ends_changed = ends_changed;
    carrier->streams_changed = streams_changed;
    carrier->arg = arg;
    carrier->ends = (struct carrier_ends){0};
    carrier->on = true;
    use_worker(carrier);
    send_start(carrier);
    carrier->resumes = false;
}

void carrier_start_echo(struct carrier *carrier, void (*ends_changed)(void *arg), void *arg)
{
    carrier->echoes = true;
    carrier->streams = 0;
    start_without(carrier, ends_changed, NULL, arg);
}

void carrier_start_streams(struct carrier *carrier, uint32_t streams, enum carrier_answer answer,
                           void (*ends_changed)(void *arg), void (*streams_changed)(void *arg),
                           void *arg)
{
    carrier->echoes = false;
    carrier->streams = streams;
    carrier->answer = answer;
    start_without(carrier, ends_changed, streams_changed, arg);
}

bool carrier_can_connect(const struct carrier *carrier)
{
    return carrier->on && worker_has_room(worker_of(carrier));
}

/* Lets the kernel store no more for a slow program than the worker does. */
static void bound_buffer(const struct carrier *carrier, int fd)
{
    int size = (int)streams_usual_credit(carrier->streams);

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

void carrier_connect(struct carrier *carrier, int fd)
{
    bound_buffer(carrier, fd);
    worker_send(worker_of(carrier), WORKER_CONNECT, 0, &fd, 1);
    close(fd);
}

const struct worker_status *carrier_streams(const struct carrier *carrier)
{
    return carrier->on ? worker_status_after(worker_of(carrier), carrier->ends_request) : NULL;
}

static void give_answer(struct carrier *carrier, struct worker_request request, int fd)
{
    worker_send_request(worker_of(carrier), &request, &fd, fd < 0 ? 0 : 1);
    if (fd >= 0)
        close(fd);
}

void carrier_accept(struct carrier *carrier, uint32_t stream, int fd)
{
    bound_buffer(carrier, fd);
    give_answer(carrier, (struct worker_request){.type = WORKER_ACCEPT, .stream = stream}, fd);
}

void carrier_refuse(struct carrier *carrier, uint32_t stream, enum stream_reason reason)
{
    give_answer(carrier,
                (struct worker_request){
                    .type = WORKER_REFUSE, .stream = stream, .reason = (uint32_t)reason},
                -1);
}

bool carrier_is_on(const struct carrier *carrier)
{
    return carrier->on;
}

void carrier_kick(struct carrier *carrier)
{
    worker_send(worker_of(carrier), WORKER_KICK, 0, NULL, 0);
}

/*
 * Fails the endpoint after an error, and returns whether it did. After a sink's error it waits for
 * the source's end, since the program may still send bytes.
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
    carrier->ends_request =
        worker_send(worker_of(carrier), WORKER_DIVERT, 0, &sink, sink < 0 ? 0 : 1);
}

static void turn_carrier_off(struct carrier *carrier)
{
    carrier->on = false;
    carrier->source = carrier->sink = -1;
}

void carrier_stop(struct carrier *carrier)
{
    const struct connection *connection = carrier->connection;

    turn_carrier_off(carrier);
    worker_send(worker_of(carrier), WORKER_STOP, 0, NULL, 0);
    journal_kit_drop(&carrier->journal, connection->fdstore, connection->id);
}

void carrier_pause(struct carrier *carrier)
{
    turn_carrier_off(carrier);
    worker_send(worker_of(carrier), WORKER_PAUSE, 0, NULL, 0);
}

/*
 * Pauses a worker that still runs what an earlier broker began: the kind has not started anything
 * itself. Returns whether it still runs.
 */
static bool is_still_running(struct carrier *carrier, const struct worker_status *status)
{
    if (!(status->flags & WORKER_RUNNING))
        return false;
    if (!carrier->pausing)
        worker_send(worker_of(carrier), WORKER_PAUSE, 0, NULL, 0);
    carrier->pausing = true;
    return true;
}

/* Returns how much the journal keeps for the next connection. Drops a journal that keeps nothing.
 */
static uint32_t take_undelivered(struct carrier *carrier)
{
    uint32_t undelivered = journal_kit_undelivered(&carrier->journal);

    if (undelivered == 0 && journal_kit_exists(&carrier->journal))
        carrier_stop(carrier);
    return undelivered;
}

int carrier_undelivered(struct carrier *carrier)
{
    const struct worker_status *status = worker_status(worker_of(carrier));
    int pending, undelivered;

    if (!status || is_still_running(carrier, status))
        return -EINPROGRESS;
    pending = status->pending;
    undelivered = (int)take_undelivered(carrier);
    if (pending < 0)
        return pending == -EAGAIN && undelivered > 0 ? undelivered : pending;
    return pending + undelivered;
}

uint32_t carrier_unsent(const struct carrier *carrier)
{
    return journal_kit_unsent(&carrier->journal);
}

bool carrier_has_begun(const struct carrier *carrier)
{
    const struct worker_status *status = worker_status(worker_of(carrier));

    return journal_kit_exists(&carrier->journal) || (status && status->flags & WORKER_RUNNING);
}
