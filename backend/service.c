/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/service.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "backend/turns.h"
#include "service/device.h"
#include "service/handover/holder.h"
#include "service/loop.h"
#include "service/handover/fdstore.h"
#include "service/log.h"
#include "service/quota.h"
#include "service/toll.h"
#include "state/device.h"
#include "state/error.h"
#include "state/claims.h"

#define ROOT "backend/vchan"

/*
 * How many devices of each guest are looked at before what else is there to do has its turn, such
 * as moving bytes.
 */
#define ROUNDS_AT_ONCE 16

static const struct timeval at_once;

/* A device that was seen in the last scan has its generation; one that was not is gone. */
struct entry {
    struct turn turn; /* marked: it is to be looked at */
    uint32_t devid;
    unsigned int generation;
    bool looked; /* once, which the toolstack has called for, and not the guest */
    struct device *device;
};

/* A frontend domain, with one watch for all its devices. */
struct domain {
    TAILQ_ENTRY(domain) next;
    struct turns_guest guest; /* held: as the toll is */
    struct service *service;
    domid_t domid;
    char watch[DEVICE_PATH_MAX];
    char token[32];
    struct entry **entries; /* by devid; NULL: none */
    uint32_t room;
    uint32_t count;
    char sample[DEVICE_PATH_MAX]; /* one device's directory, watched besides; "": none */
    uint32_t sample_devid;
    bool stirred; /* the sample was: the domain may have ended */
    struct toll toll;
    struct claims claims; /* listed in these rounds, if a device had to know */
};

struct service {
    const struct loop *loop;
    const struct quota_limits *limits;
    struct quota_sum sum;
    unsigned int generation;
    bool draining;
    bool come;   /* all that was there at first had a look */
    bool rescan; /* a device came or went, perhaps, or not all could be listed, */
    bool unlisted; /* which the log says once */
    TAILQ_HEAD(, domain) domains;
    struct turns turns;
    struct event *more; /* pending: there are more to look at */
};

/* ---- domains and entries ---- */

static struct domain *domain_find(struct service *service, uint32_t domid)
{
    struct domain *domain;

    TAILQ_FOREACH (domain, &service->domains, next)
        if (domain->domid == domid)
            return domain;
    return NULL;
}

static struct entry *entry_find(struct domain *domain, uint32_t devid)
{
    return devid < domain->room ? domain->entries[devid] : NULL;
}

static void entry_mark(struct domain *domain, struct entry *entry)
{
    turns_mark(&domain->service->turns, &domain->guest, &entry->turn);
}

/* The frontend's side of it changed. */
static void entry_mark_frontend(struct domain *domain, struct entry *entry)
{
    if (!device_is_others(entry->device))
        entry_mark(domain, entry);
}

static void domain_mark_all(struct domain *domain)
{
    for (uint32_t i = 0; i < domain->room; i++)
        if (domain->entries[i])
            entry_mark_frontend(domain, domain->entries[i]);
}

static bool domain_make_room(struct domain *domain, uint32_t devid)
{
    uint32_t room = domain->room ? domain->room : 16;
    struct entry **entries;

    while (room <= devid)
        room *= 2;
    if (room == domain->room)
        return true;
    entries = reallocarray(domain->entries, room, sizeof(entries[0]));
    if (!entries)
        return false;
    memset(entries + domain->room, 0, (room - domain->room) * sizeof(entries[0]));
    domain->entries = entries;
    domain->room = room;
    return true;
}

static struct entry *entry_add(struct service *service, struct domain *domain, uint32_t devid)
{
    struct entry *entry = domain_make_room(domain, devid) ? calloc(1, sizeof(*entry)) : NULL;

    if (!entry)
        return NULL;
    entry->devid = devid;
    entry->device = device_new_backend(service->loop, &domain->toll.quota, &domain->claims,
                                       domain->domid, devid);
    if (!entry->device) {
        free(entry);
        return NULL;
    }
    domain->entries[devid] = entry;
    domain->count++;
    entry_mark(domain, entry);
    return entry;
}

static void entry_remove(struct domain *domain, struct entry *entry)
{
    turns_unmark(&entry->turn);
    domain->entries[entry->devid] = NULL;
    domain->count--;
    device_free(entry->device);
    free(entry);
}

/*
 * A domain that dies takes its nodes along, and of that xenstored tells only who may read the very
 * node that is watched: in a driver domain not the directory of all devices, but that of each.
 */
static void domain_unwatch_sample(struct service *service, struct domain *domain)
{
    if (domain->sample[0])
        store_unwatch(service->loop->store, domain->sample, domain->token);
    domain->sample[0] = '\0';
}

static int domain_watch_sample(struct service *service, struct domain *domain)
{
    struct device_id id = {.frontend = domain->domid};
    int rc;

    if (domain->sample[0] && entry_find(domain, domain->sample_devid))
        return 0;
    domain_unwatch_sample(service, domain);
    while (id.devid < domain->room && !domain->entries[id.devid])
        id.devid++;
    domain->sample_devid = id.devid;
    device_frontend_path(&id, domain->sample);
    rc = store_watch(service->loop->store, domain->sample, domain->token);
    if (rc < 0)
        domain->sample[0] = '\0';
    return rc;
}

/* Its side of a device is gone, while ours was not unplugged. */
static bool domain_has_ended(const struct service *service, const struct domain *domain)
{
    char dir[DEVICE_PATH_MAX];

    if (!domain->sample[0] || store_exists(service->loop->store, domain->sample, "state"))
        return false;
    snprintf(dir, sizeof(dir), ROOT "/%u/%" PRIu32, domain->domid, domain->sample_devid);
    return store_exists(service->loop->store, dir, "state");
}

/* ---- domains that come and go ---- */

static void domain_unwatch(void *arg)
{
    struct domain *domain = arg;

    domain->guest.held = true;
    domain_unwatch_sample(domain->service, domain);
    store_unwatch(domain->service->loop->store, domain->watch, domain->token);
}

/* Without a watch all are looked at. */
static int domain_watch(void *arg)
{
    struct domain *domain = arg;
    struct service *service = domain->service;
    int rc = store_watch(service->loop->store, domain->watch, domain->token);

    if (rc == 0 && domain->count > 0)
        rc = domain_watch_sample(service, domain);
    if (rc < 0)
        domain_unwatch(domain);
    domain->guest.held = false;
    if (rc < 0) {
        domain_mark_all(domain);
        event_add(service->more, &at_once);
    }
    return rc;
}

static struct domain *domain_add(struct service *service, uint32_t domid)
{
    static const struct toll_ops ops = {.watch = domain_watch, .unwatch = domain_unwatch};
    struct domain *domain = calloc(1, sizeof(*domain));

    if (!domain)
        return NULL;
    domain->service = service;
    domain->domid = (domid_t)domid;
    snprintf(domain->watch, sizeof(domain->watch), "/local/domain/%u/device/vchan", domid);
    snprintf(domain->token, sizeof(domain->token), "frontend/%u", domid);
    if (toll_open(&domain->toll, service->loop->base, domain->domid, service->limits, &service->sum,
                  &ops, domain) < 0) {
        free(domain);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&service->domains, domain, next);
    turns_add(&service->turns, &domain->guest);
    toll_watch(&domain->toll);
    return domain;
}

static void domain_remove(struct service *service, struct domain *domain)
{
    toll_close(&domain->toll);
    TAILQ_REMOVE(&service->domains, domain, next);
    turns_remove(&service->turns, &domain->guest);
    claims_forget(&domain->claims);
    free(domain->entries);
    free(domain);
}

/* ---- scanning ---- */

static int see_device(struct service *service, domid_t domid, uint32_t devid)
{
    struct domain *domain = domain_find(service, domid);
    struct entry *entry;

    if (!domain)
        domain = domain_add(service, domid);
    if (!domain)
        return -ENOMEM;
    entry = entry_find(domain, devid);
    if (!entry)
        entry = entry_add(service, domain, devid);
    if (!entry)
        return -ENOMEM;
    entry->generation = service->generation;
    return 0;
}

static int see_domain(struct service *service, domid_t domid)
{
    char dir[DEVICE_PATH_MAX];
    uint32_t *devids;
    size_t count;
    int rc;

    snprintf(dir, sizeof(dir), ROOT "/%u", domid);
    rc = store_list_numbers(service->loop->store, dir, DEVICE_ID_MAX, &devids, &count);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = see_device(service, domid, devids[i]);
    free(devids);
    return rc;
}

static int see_all(struct service *service)
{
    uint32_t *domids;
    size_t count;
    int rc = store_list_numbers(service->loop->store, ROOT, DOMID_FIRST_RESERVED - 1, &domids,
                                &count);

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = see_domain(service, (domid_t)domids[i]);
    free(domids);
    return rc;
}

static void domain_keep_sample(struct service *service, struct domain *domain)
{
    int rc = 0;

    if (!domain->toll.held && !domain->toll.unwatched)
        rc = domain_watch_sample(service, domain);
    if (rc < 0)
        toll_lose(&domain->toll, rc);
}

/* Removes the entries of other generations than this, and domains without any. */
static void sweep(struct service *service, unsigned int generation)
{
    struct domain *domain, *next_domain;

    for (domain = TAILQ_FIRST(&service->domains); domain; domain = next_domain) {
        next_domain = TAILQ_NEXT(domain, next);
        for (uint32_t i = 0; i < domain->room; i++)
            if (domain->entries[i] && domain->entries[i]->generation != generation)
                entry_remove(domain, domain->entries[i]);
        if (domain->count == 0)
            domain_remove(service, domain);
        else
            domain_keep_sample(service, domain);
    }
}

/* ---- looking ---- */

static struct entry *entry_of(const struct turn *turn)
{
    return (struct entry *)((const char *)turn - offsetof(struct entry, turn));
}

static enum turns_rank entry_rank(const struct turn *turn)
{
    const struct entry *entry = entry_of(turn);

    if (device_is_taken(entry->device))
        return TURNS_SERVED;
    return entry->looked ? TURNS_UNSERVED : TURNS_NEW;
}

/*
 * What it costs is its guest's to bear, but for the first look. What an earlier process had
 * connected is taken over even if it is to end: its guest waits for that.
 */
static void entry_look(struct turns_guest *guest, struct turn *turn)
{
    struct domain *domain = (struct domain *)((char *)guest - offsetof(struct domain, guest));
    const struct store *store = domain->service->loop->store;
    uint64_t before = store_exchanges(store);
    struct entry *entry = entry_of(turn);

    device_look(entry->device);
    if (entry->looked)
        toll_charge(&domain->toll, 0, store_exchanges(store) - before);
    else if (domain->service->draining)
        device_end(entry->device);
    entry->looked = true;
}

static bool look_at_some(struct service *service)
{
    struct domain *domain;
    bool more = true;

    for (int round = 0; more && round < ROUNDS_AT_ONCE; round++)
        more = turns_round(&service->turns);
    TAILQ_FOREACH (domain, &service->domains, next)
        claims_forget(&domain->claims);
    return more;
}

static void look_at_marked(struct service *service)
{
    if (look_at_some(service)) {
        event_add(service->more, &at_once);
    } else if (!service->come && !service->rescan) {
        service->come = true;
        /*
         * Of devices that have gone meanwhile: who goes on took its own at the first look, which no
         * budget puts off.
         */
        fdstore_forget(service->loop->fdstore, NULL);
        holder_forget(service->loop->holder);
    }
    if (service->draining)
        loop_moved(service->loop);
}

static void look_at_more(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    look_at_marked(arg);
}

/*
 * All that is there; generation 0 is never used, so that sweep(0) removes everything. What was not
 * seen because it could not be listed has not gone: the next heartbeat scans again.
 */
static void scan_root(struct service *service)
{
    int rc;

    if (++service->generation == 0)
        service->generation = 1;
    rc = see_all(service);
    service->rescan = rc < 0;
    if (rc == 0)
        sweep(service, service->generation);
    else if (!service->unlisted)
        log_line(LOG_ERRORS, "cannot list all devices in xenstore: %s (retrying)", strerror(-rc));
    service->unlisted = rc < 0;
}

/* ---- events ---- */

/* Takes the number at the head of a path, and the slash that must follow it. */
static bool take_number(const char **path, uint32_t *number)
{
    char part[16];
    size_t length = strcspn(*path, "/");

    if (length >= sizeof(part) || (*path)[length] != '/')
        return false;
    memcpy(part, *path, length);
    part[length] = '\0';
    *path += length + 1;
    return parse_number(part, UINT32_MAX, number) == 0;
}

/* What follows a directory in a path, or NULL. */
static const char *path_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);

    return strncmp(path, dir, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

/*
 * Something of a device of ours changed, which it looks at; or one of them came or went, as far as
 * we can tell.
 */
static void device_changed(struct service *service, const char *below)
{
    struct entry *entry = NULL;
    struct domain *domain;
    uint32_t domid, devid;

    if (take_number(&below, &domid)) {
        domain = domain_find(service, domid);
        if (domain && take_number(&below, &devid))
            entry = entry_find(domain, devid);
    }
    if (entry)
        entry_mark(domain, entry);
    else
        service->rescan = true;
}

/*
 * A frontend domain that ends takes all of its nodes along, and the one event is for the directory
 * that is watched. What a guest writes where no device of ours is calls for nothing.
 */
static void frontend_changed(struct domain *domain, const char *below)
{
    char path[STORE_PATH_MAX + 1];
    const char *rest = path;
    struct entry *entry = NULL;
    uint32_t devid;

    if (*below == '\0') {
        domain_mark_all(domain);
        return;
    }
    snprintf(path, sizeof(path), "%s/", below); /* the device's own directory counts too */
    if (take_number(&rest, &devid))
        entry = entry_find(domain, devid);
    if (entry)
        entry_mark_frontend(domain, entry);
}

/* The domain whose devices lie at the path, and where below its directory. */
static struct domain *domain_of(struct service *service, const char *path, const char **below)
{
    struct domain *domain;

    TAILQ_FOREACH (domain, &service->domains, next) {
        *below = path_below(path, domain->watch);
        if (!*below && strcmp(path, domain->watch) == 0)
            *below = "";
        if (*below)
            return domain;
    }
    return NULL;
}

/* ---- for the loop ---- */

static int service_start(const struct loop *loop, void *arg)
{
    struct service *service = arg;

    service->loop = loop;
    service->more = evtimer_new(loop->base, look_at_more, service);
    if (!service->more) {
        log_line(LOG_ERRORS, "out of memory");
        return -ENOMEM;
    }
    scan_root(service);
    look_at_marked(service);
    return 0;
}

/*
 * Events that were under way when a domain was paused tell nothing: it will be looked at after
 * that.
 */
static void service_changed(void *arg, const char *path)
{
    struct service *service = arg;
    const char *below = path_below(path, ROOT);
    struct domain *domain;

    if (below || strcmp(path, ROOT) == 0) {
        device_changed(service, below ? below : "");
        return;
    }
    domain = domain_of(service, path, &below);
    if (!domain || domain->guest.held)
        return;
    domain->stirred |= strcmp(path, domain->sample) == 0;
    frontend_changed(domain, below);
    toll_charge(&domain->toll, 1, 0);
}

/* However often its sample changed. */
static void domain_settle(struct service *service, struct domain *domain)
{
    uint64_t before = store_exchanges(service->loop->store);

    if (!domain->stirred)
        return;
    domain->stirred = false;
    if (domain_has_ended(service, domain))
        domain_mark_all(domain);
    toll_charge(&domain->toll, 0, store_exchanges(service->loop->store) - before);
}

static void service_settle(void *arg)
{
    struct service *service = arg;
    struct domain *domain;

    TAILQ_FOREACH (domain, &service->domains, next)
        domain_settle(service, domain);
    if (service->rescan && !service->draining)
        scan_root(service);
    look_at_marked(service);
}

/*
 * What comes now is for the next process. What is there, and was not looked at yet, ends after
 * that.
 */
static void service_drain(void *arg)
{
    struct service *service = arg;
    struct domain *domain;

    service->draining = true;
    TAILQ_FOREACH (domain, &service->domains, next)
        for (uint32_t i = 0; i < domain->room; i++)
            if (domain->entries[i] && domain->entries[i]->looked)
                device_end(domain->entries[i]->device);
}

static bool entry_is_drained(const struct entry *entry)
{
    return entry->looked && !device_has_rings(entry->device);
}

static bool service_drained(void *arg)
{
    struct service *service = arg;
    struct domain *domain;

    TAILQ_FOREACH (domain, &service->domains, next)
        for (uint32_t i = 0; i < domain->room; i++)
            if (domain->entries[i] && !entry_is_drained(domain->entries[i]))
                return false;
    return true;
}

static void service_count(void *arg, unsigned int *channels, unsigned int *connected)
{
    struct service *service = arg;
    struct domain *domain;

    TAILQ_FOREACH (domain, &service->domains, next) {
        *channels += domain->toll.quota.channels;
        for (uint32_t i = 0; i < domain->room; i++)
            *connected += domain->entries[i] && device_is_connected(domain->entries[i]->device);
    }
}

static void service_stop(void *arg)
{
    struct service *service = arg;

    sweep(service, 0);
    event_free(service->more);
}

int service_run(const struct quota_limits *limits)
{
    static const struct loop_ops ops = {
        .keeps = true,
        .program = "vchan-backend",
        .watch = ROOT,
        .statistics = "data/vchan-backend",
        .start = service_start,
        .changed = service_changed,
        .settle = service_settle,
        .drain = service_drain,
        .drained = service_drained,
        .count = service_count,
        .stop = service_stop,
    };
    struct service service = {.limits = limits};

    TAILQ_INIT(&service.domains);
    turns_init(&service.turns, entry_rank, entry_look);
    return loop_serve(&ops, &service);
}
