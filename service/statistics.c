/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/statistics.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service/log.h"
#include "service/worker/worker.h"
#include "state/error.h"
#include "state/text.h"

/* How often one channel is written, and how many at a time, which takes xenstored some 10 ms. */
#define PERIOD_SECONDS 2
#define BATCH          256

struct ledger {
    struct store *store;
    const char *root;
    struct event *timer; /* pending while something is queued */
    TAILQ_HEAD(, statistics) queue;
    domid_t own;
    bool complained;
};

/* ---- writing ---- */

static struct worker_counts total_counts(const struct statistics *statistics)
{
    struct worker_counts sum = statistics->earlier;

    if (statistics->worker) {
        const struct worker_counts now = worker_counts(statistics->worker);

        worker_counts_add(&sum, &now);
        sum.open = now.open;
        sum.stored = now.stored;
    }
    return sum;
}

/* Writes what is known of streams, if the channel has ever carried any. */
static void format_streams(const struct worker_counts *sum, char *text, size_t size)
{
    text[0] = '\0';
    if (sum->open || sum->opened || sum->refused || sum->reset)
        snprintf(text, size,
                 " streams=%" PRIu32 " opened=%" PRIu64 " refused=%" PRIu64 " reset=%" PRIu64
                 " stored=%" PRIu64,
                 sum->open, sum->opened, sum->refused, sum->reset, sum->stored);
}

static int statistics_write(const struct statistics *statistics)
{
    const struct worker_counts sum = total_counts(statistics);
    char text[512 + STATISTICS_PEER_MAX], streams[160];

    format_streams(&sum, streams, sizeof(streams));
    snprintf(text, sizeof(text),
             "received=%" PRIu64 " sent=%" PRIu64 " wakes=%" PRIu64 " sleeps=%" PRIu64
             " since=%" PRIu64 " connections=%lu%s%s peer=%s",
             sum.channel.received, sum.channel.sent, sum.channel.wakes, sum.channel.sleeps,
             statistics->since, statistics->connections, statistics->waiting ? " waiting=1" : "",
             streams, statistics->peer);
    return store_write_text(statistics->ledger->store, NULL, statistics->node, text);
}

static void ledger_complain(struct ledger *ledger, int rc)
{
    if (!ledger->complained)
        log_line(LOG_ERRORS, "cannot write statistics to %s: %s", ledger->root, error_text(rc));
    ledger->complained = true;
}

static void enqueue_statistics(struct statistics *statistics);

static void on_channel_traffic(void *arg)
{
    enqueue_statistics(arg);
}

static void start_timer(struct ledger *ledger)
{
    static const struct timeval period = {.tv_sec = PERIOD_SECONDS};

    if (!TAILQ_EMPTY(&ledger->queue) && !event_pending(ledger->timer, EV_TIMEOUT, NULL))
        event_add(ledger->timer, &period);
}

static void enqueue_statistics(struct statistics *statistics)
{
    if (!statistics->ledger || statistics->queued)
        return;
    statistics->queued = true;
    TAILQ_INSERT_TAIL(&statistics->ledger->queue, statistics, next);
    start_timer(statistics->ledger);
}

static void dequeue_statistics(struct statistics *statistics)
{
    if (statistics->queued)
        TAILQ_REMOVE(&statistics->ledger->queue, statistics, next);
    statistics->queued = false;
}

static void ledger_write(evutil_socket_t fd, short what, void *arg)
{
    struct ledger *ledger = arg;
    struct statistics *statistics;

    (void)fd, (void)what;
    for (int i = 0; i < BATCH && (statistics = TAILQ_FIRST(&ledger->queue)); i++) {
        int rc = statistics_write(statistics);

        dequeue_statistics(statistics);
        if (rc < 0)
            ledger_complain(ledger, rc);
        if (statistics->worker)
            worker_on_traffic(statistics->worker, on_channel_traffic, statistics);
    }
    start_timer(ledger);
}

/* ---- the ledger ---- */

/* Only this domain and privileged ones may read them: they name what the guest is plugged into. */
static int make_root(struct ledger *ledger)
{
    int rc = store_remove(ledger->store, ledger->root);

    if (rc == 0)
        rc = store_own_domid(ledger->store, &ledger->own);
    if (rc == 0)
        rc = store_make_directory(ledger->store, ledger->root, ledger->own, STORE_NOBODY);
    return rc;
}

/*
 * Keeps a guest's directory data, which the guest could not create again. Domain 0 may not have had
 * one.
 */
static void remove_root(struct ledger *ledger)
{
    store_remove_upward(ledger->store, ledger->root, ledger->own == 0 ? "" : "data");
}

struct ledger *ledger_open(struct event_base *base, struct store *store, const char *root)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    int rc;

    if (ledger)
        ledger->timer = evtimer_new(base, ledger_write, ledger);
    if (!ledger || !ledger->timer) {
        free(ledger);
        return NULL;
    }
    ledger->store = store;
    ledger->root = root;
    TAILQ_INIT(&ledger->queue);
    rc = make_root(ledger);
    if (rc < 0)
        ledger_complain(ledger, rc);
    return ledger;
}

void ledger_close(struct ledger *ledger)
{
    if (!ledger)
        return;
    event_free(ledger->timer);
    remove_root(ledger);
    free(ledger);
}

/* ---- one channel ---- */

void statistics_open(struct statistics *statistics, struct ledger *ledger, const char *id)
{
    memset(statistics, 0, sizeof(*statistics));
    statistics->ledger = ledger;
    if (ledger)
        snprintf(statistics->node, sizeof(statistics->node), "%s/%s", ledger->root, id);
}

void statistics_close(struct statistics *statistics)
{
    if (!statistics->ledger)
        return;
    statistics_end(statistics);
    dequeue_statistics(statistics);
    store_remove_upward(statistics->ledger->store, statistics->node, statistics->ledger->root);
    statistics->ledger = NULL;
}

void statistics_begin(struct statistics *statistics, struct worker *worker)
{
    if (!statistics->ledger)
        return;
    statistics->worker = worker;
    statistics->since = (uint64_t)time(NULL);
    statistics->connections++;
    enqueue_statistics(statistics);
}

void statistics_end(struct statistics *statistics)
{
    statistics->peer[0] = '\0';
    if (!statistics->worker)
        return;
    statistics->earlier = total_counts(statistics);
    statistics->earlier.open = 0;
    statistics->earlier.stored = 0;
    worker_on_traffic(statistics->worker, NULL, NULL);
    statistics->worker = NULL;
    statistics->since = 0;
    enqueue_statistics(statistics);
}

void statistics_set_peer(struct statistics *statistics, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(statistics->peer, sizeof(statistics->peer), format, args);
    va_end(args);
    text_clean(statistics->peer);
    enqueue_statistics(statistics);
}

void statistics_set_waiting(struct statistics *statistics, bool waiting)
{
    if (statistics->waiting == waiting)
        return;
    statistics->waiting = waiting;
    enqueue_statistics(statistics);
}
