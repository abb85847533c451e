/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/account.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service/log.h"
#include "state/error.h"
#include "state/text.h"

/* How often one channel is written, and how many are at a time: some 10 ms of xenstored's time. */
#define PERIOD_SECONDS 2
#define BATCH          256

struct ledger {
    struct store *store;
    const char *root;
    struct event *timer; /* pending while something is queued */
    TAILQ_HEAD(, account) queue;
    domid_t own;
    bool complained;
};

/* ---- writing ---- */

static struct channel_counts sum_of(const struct account *account)
{
    struct channel_counts sum = account->before;

    if (account->channel) {
        const struct channel_counts *now = channel_counts(account->channel);

        sum.received += now->received;
        sum.sent += now->sent;
        sum.wakes += now->wakes;
        sum.sleeps += now->sleeps;
    }
    return sum;
}

static int account_write(const struct account *account)
{
    const struct channel_counts sum = sum_of(account);
    char text[256 + ACCOUNT_PEER_MAX];

    snprintf(text, sizeof(text),
             "received=%" PRIu64 " sent=%" PRIu64 " wakes=%" PRIu64 " sleeps=%" PRIu64
             " since=%" PRIu64 " connections=%lu%s peer=%s",
             sum.received, sum.sent, sum.wakes, sum.sleeps, account->since, account->connections,
             account->waiting ? " waiting=1" : "", account->peer);
    return store_write_text(account->ledger->store, NULL, account->node, text);
}

static void complain(struct ledger *ledger, int rc)
{
    if (!ledger->complained)
        log_line(LOG_ERRORS, "cannot write statistics to %s: %s", ledger->root, error_text(rc));
    ledger->complained = true;
}

static void queue_up(struct account *account);

static void traffic_seen(void *arg)
{
    queue_up(arg);
}

static void start_timer(struct ledger *ledger)
{
    static const struct timeval period = {.tv_sec = PERIOD_SECONDS};

    if (!TAILQ_EMPTY(&ledger->queue) && !event_pending(ledger->timer, EV_TIMEOUT, NULL))
        event_add(ledger->timer, &period);
}

static void queue_up(struct account *account)
{
    if (!account->ledger || account->queued)
        return;
    account->queued = true;
    TAILQ_INSERT_TAIL(&account->ledger->queue, account, next);
    start_timer(account->ledger);
}

static void unqueue(struct account *account)
{
    if (account->queued)
        TAILQ_REMOVE(&account->ledger->queue, account, next);
    account->queued = false;
}

static void ledger_write(evutil_socket_t fd, short what, void *arg)
{
    struct ledger *ledger = arg;
    struct account *account;

    (void)fd, (void)what;
    for (int i = 0; i < BATCH && (account = TAILQ_FIRST(&ledger->queue)); i++) {
        int rc = account_write(account);

        unqueue(account);
        if (rc < 0)
            complain(ledger, rc);
        if (account->channel)
            channel_on_traffic(account->channel, traffic_seen, account);
    }
    start_timer(ledger);
}

/* ---- all of them ---- */

/*
 * Nobody but this domain and the privileged ones may read them: they tell what the guest is plugged
 * into.
 */
static int make_root(struct ledger *ledger)
{
    int rc = store_remove(ledger->store, ledger->root);

    if (rc == 0)
        rc = store_own_domid(ledger->store, &ledger->own);
    if (rc == 0)
        rc = store_make_directory(ledger->store, ledger->root, ledger->own, STORE_NOBODY);
    return rc;
}

/* A guest could not make its directory data again, which domain 0 may not have had before. */
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
        complain(ledger, rc);
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

/* ---- one ---- */

void account_open(struct account *account, struct ledger *ledger, const char *id)
{
    memset(account, 0, sizeof(*account));
    account->ledger = ledger;
    if (ledger)
        snprintf(account->node, sizeof(account->node), "%s/%s", ledger->root, id);
}

void account_close(struct account *account)
{
    if (!account->ledger)
        return;
    account_end(account);
    unqueue(account);
    store_remove_upward(account->ledger->store, account->node, account->ledger->root);
    account->ledger = NULL;
}

void account_begin(struct account *account, struct channel *channel)
{
    if (!account->ledger)
        return;
    account->channel = channel;
    account->since = (uint64_t)time(NULL);
    account->connections++;
    queue_up(account);
}

void account_end(struct account *account)
{
    account->peer[0] = '\0';
    if (!account->channel)
        return;
    account->before = sum_of(account);
    channel_on_traffic(account->channel, NULL, NULL);
    account->channel = NULL;
    account->since = 0;
    queue_up(account);
}

void account_set_peer(struct account *account, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(account->peer, sizeof(account->peer), format, args);
    va_end(args);
    text_clean(account->peer);
    queue_up(account);
}

void account_set_waiting(struct account *account, bool waiting)
{
    if (account->waiting == waiting)
        return;
    account->waiting = waiting;
    queue_up(account);
}
