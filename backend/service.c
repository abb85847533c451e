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
#include "service/cgroup.h"
#include "service/device.h"
#include "service/handover/ring-holder.h"
#include "service/loop.h"
#include "service/handover/fdstore.h"
#include "service/log.h"
#include "service/quota.h"
#include "service/toll.h"
#include "state/device.h"
#include "state/error.h"
#include "state/claims.h"
#include "state/watches.h"

#define ROOT "backend/vchan"

/* How many rounds are made before the event loop runs again, which moves bytes, for example. */
#define ROUNDS_AT_ONCE 16

static const struct timeval at_once;

/* A device in xenstore. If its generation is not that of the last scan, it is gone. */
struct entry {
    struct turn turn; /* marked if it must be looked at */
    struct domain *domain;
    struct watched_place frontend; /* the frontend's directory */
    uint32_t devid;
    unsigned int generation;
    bool looked_once; /* the toolstack caused the first look, not the guest */
    struct device *device;
};

/* A frontend domain. */
struct domain {
    TAILQ_ENTRY(domain) next;
    struct turns_guest guest; /* paused while the toll is */
    struct service *service;
    domid_t domid;
    struct watched_dir frontends; /* the parent of the frontends' directories */
    struct entry **entries;       /* by devid; elements may be NULL */
    uint32_t room;
    uint32_t count;
    struct toll toll;
    struct claims claims; /* listed in the present rounds, if a device needed them */
};

struct service {
    const struct loop *loop;
    const struct quota_limits *limits;
    struct quota_sum sum;
    struct watches watches; /* on the frontends' directories */
    unsigned int generation;
    bool draining;
    bool first_looks_done; /* all devices that existed at the start were looked at */
    bool rescan;           /* devices may have come or gone, or could not be listed */
    bool list_failed;      /* the log says that they could not be listed */
    TAILQ_HEAD(, domain) domains;
    struct turns turns;
    struct event *look_timer; /* pending: devices are marked */
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

static void entry_mark(struct entry *entry)
{
    turns_mark(&entry->domain->service->turns, &entry->domain->guest, &entry->turn);
}

/* The frontend's directory changed. An application's device does not depend on that. */
static void entry_mark_frontend(void *arg)
{
    struct entry *entry = arg;

    if (!device_is_app(entry->device))
        entry_mark(entry);
}

static void domain_mark_all(struct domain *domain)
{
    for (uint32_t i = 0; i < domain->room; i++)
        if (domain->entries[i])
            entry_mark_frontend(domain->entries[i]);
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

/*
 * Creates the device, and adds the frontend's directory to those that are watched. Returns 0 or
 * -ENOMEM.
 */
static int entry_fill(struct service *service, struct domain *domain, struct entry *entry)
{
    const struct device_id id = {.frontend = domain->domid, .devid = entry->devid};
    char dir[DEVICE_PATH_MAX];

    entry->device = device_new_backend(service->loop, &domain->toll.quota, &domain->claims,
                                       domain->domid, entry->devid);
    if (!entry->device)
        return -ENOMEM;
    device_frontend_path(&id, dir);
    return watched_dir_add(&domain->frontends, &entry->frontend, dir, entry);
}

static void entry_free(struct entry *entry)
{
    watches_remove(&entry->frontend);
    if (entry->device)
        device_free(entry->device);
    free(entry);
}

static struct entry *entry_add(struct service *service, struct domain *domain, uint32_t devid)
{
    struct entry *entry = domain_make_room(domain, devid) ? calloc(1, sizeof(*entry)) : NULL;

    if (!entry)
        return NULL;
    entry->domain = domain;
    entry->devid = devid;
    if (entry_fill(service, domain, entry) < 0) {
        entry_free(entry);
        return NULL;
    }
    domain->entries[devid] = entry;
    domain->count++;
    entry_mark(entry);
    toll_watch(&domain->toll);
    return entry;
}

static void entry_remove(struct entry *entry)
{
    turns_unmark(&entry->turn);
    entry->domain->entries[entry->devid] = NULL;
    entry->domain->count--;
    entry_free(entry);
}

/* ---- domains that come and go ---- */

static void domain_unwatch(void *arg)
{
    struct domain *domain = arg;

    domain->guest.paused = true;
    watched_dir_stop(&domain->frontends);
}

/* Without a watch, the service looks at all devices. */
static int domain_watch(void *arg)
{
    struct domain *domain = arg;
    int rc = watched_dir_start(&domain->frontends);

    domain->guest.paused = false;
    if (rc < 0) {
        watched_dir_stop(&domain->frontends);
        domain_mark_all(domain);
        event_add(domain->service->look_timer, &at_once);
    }
    return rc;
}

static void domain_free(struct domain *domain)
{
    watched_dir_close(&domain->frontends);
    free(domain->entries);
    free(domain);
}

static int domain_open(struct service *service, struct domain *domain)
{
    static const struct toll_ops ops = {.watch = domain_watch, .unwatch = domain_unwatch};
    char dir[DEVICE_PATH_MAX];
    int rc;

    snprintf(dir, sizeof(dir), "/local/domain/%u/device/vchan", domain->domid);
    rc = watched_dir_open(&domain->frontends, &service->watches, dir);
    return rc < 0 ? rc
                  : toll_open(&domain->toll, service->loop->base, domain->domid, service->limits,
                              &service->sum, &ops, domain);
}

static struct domain *domain_add(struct service *service, uint32_t domid)
{
    struct domain *domain = calloc(1, sizeof(*domain));

    if (!domain)
        return NULL;
    domain->service = service;
    domain->domid = (domid_t)domid;
    if (domain_open(service, domain) < 0) {
        domain_free(domain);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&service->domains, domain, next);
    turns_add(&service->turns, &domain->guest);
    return domain;
}

static void domain_remove(struct service *service, struct domain *domain)
{
    toll_close(&domain->toll);
    TAILQ_REMOVE(&service->domains, domain, next);
    turns_remove(&service->turns, &domain->guest);
    claims_forget(&domain->claims);
    domain_free(domain);
}

/* ---- scanning ---- */

static int scan_device(struct service *service, domid_t domid, uint32_t devid)
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

static int scan_domain(struct service *service, domid_t domid)
{
    char dir[DEVICE_PATH_MAX];
    uint32_t *devids;
    size_t count;
    int rc;

    snprintf(dir, sizeof(dir), ROOT "/%u", domid);
    rc = store_list_numbers(service->loop->store, dir, DEVICE_ID_MAX, &devids, &count);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = scan_device(service, domid, devids[i]);
    free(devids);
    return rc;
}

static int scan_all_domains(struct service *service)
{
    uint32_t *domids;
    size_t count;
    int rc =
        store_list_numbers(service->loop->store, ROOT, DOMID_FIRST_RESERVED - 1, &domids, &count);

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = scan_domain(service, (domid_t)domids[i]);
    free(domids);
    return rc;
}

/* Removes entries with another generation, and domains without entries. */
static void remove_unseen(struct service *service, unsigned int generation)
{
    struct domain *domain, *next_domain;

    for (domain = TAILQ_FIRST(&service->domains); domain; domain = next_domain) {
        next_domain = TAILQ_NEXT(domain, next);
        for (uint32_t i = 0; i < domain->room; i++)
            if (domain->entries[i] && domain->entries[i]->generation != generation)
                entry_remove(domain->entries[i]);
        if (domain->count == 0)
            domain_remove(service, domain);
        else
            toll_watch(&domain->toll); /* a removed entry may have been the one that was watched */
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
    return entry->looked_once ? TURNS_UNSERVED : TURNS_NEW;
}

/*
 * The guest is charged for a look, except the first. During a drain, a device of an earlier process
 * is taken over first and then ended, since its guest waits for that.
 */
static void entry_look(struct turns_guest *guest, struct turn *turn)
{
    struct domain *domain = (struct domain *)((char *)guest - offsetof(struct domain, guest));
    const struct store *store = domain->service->loop->store;
    uint64_t before = store_exchanges(store);
    struct entry *entry = entry_of(turn);

    device_look(entry->device);
    if (entry->looked_once)
        toll_charge(&domain->toll, 0, store_exchanges(store) - before);
    else if (domain->service->draining)
        device_end(entry->device);
    entry->looked_once = true;
}

static bool run_rounds(struct service *service)
{
    struct domain *domain;
    bool more = true;

    for (int round = 0; more && round < ROUNDS_AT_ONCE; round++)
        more = turns_round(&service->turns);
    TAILQ_FOREACH (domain, &service->domains, next)
        claims_forget(&domain->claims);
    return more;
}

static bool is_any_asking(const struct service *service)
{
    struct domain *domain;

    TAILQ_FOREACH (domain, &service->domains, next)
        for (uint32_t i = 0; i < domain->room; i++)
            if (domain->entries[i] && device_is_asking(domain->entries[i]->device))
                return true;
    return false;
}

/*
 * Discards what an earlier process had for devices that are gone. Each device that goes on has
 * taken its own by now: no budget puts off its first look, and it has the rings that it asked for.
 * (It writes its state then, so our watch brings us back here.)
 */
static void discard_unclaimed(struct service *service)
{
    if (service->first_looks_done || service->rescan || is_any_asking(service))
        return;
    service->first_looks_done = true;
    fdstore_drop_untaken(service->loop->fdstore, NULL);
    cgroups_sweep();
    ring_holder_drop_unclaimed(service->loop->ring_holder);
}

static void look_at_marked(struct service *service)
{
    if (run_rounds(service))
        event_add(service->look_timer, &at_once);
    else
        discard_unclaimed(service);
    if (service->draining)
        loop_state_changed(service->loop);
}

static void look_at_more(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    look_at_marked(arg);
}

/*
 * Finds all devices. Generation 0 is never used, so remove_unseen(0) removes everything. If devices
 * could not be listed, they are not taken for gone: the next heartbeat scans again.
 */
static void scan_root(struct service *service)
{
    int rc;

    if (++service->generation == 0)
        service->generation = 1;
    rc = scan_all_domains(service);
    service->rescan = rc < 0;
    if (rc == 0)
        remove_unseen(service, service->generation);
    else if (!service->list_failed)
        log_line(LOG_ERRORS, "cannot list all devices in xenstore: %s (retrying)", strerror(-rc));
    service->list_failed = rc < 0;
}

/* ---- events ---- */

/* Takes a number and the slash that must follow it from the beginning of a path. */
static bool take_path_number(const char **path, uint32_t *number)
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

/* Returns what follows a directory in a path, or NULL. */
static const char *path_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);

    return strncmp(path, dir, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

/* A node of one of our devices changed, or devices may have come or gone. */
static void device_changed(struct service *service, const char *below)
{
    struct entry *entry = NULL;
    struct domain *domain;
    uint32_t domid, devid;

    if (take_path_number(&below, &domid)) {
        domain = domain_find(service, domid);
        if (domain && take_path_number(&below, &devid))
            entry = entry_find(domain, devid);
    }
    if (entry)
        entry_mark(entry);
    else
        service->rescan = true;
}

/*
 * The guest is charged for all events, also where none of our devices is. Events that were under
 * way when it was paused do not count: its devices are looked at when the pause ends.
 */
static void frontend_changed(struct service *service, const char *path)
{
    uint64_t before = store_exchanges(service->loop->store);
    struct watched_dir *watched = watches_heed(&service->watches, path, entry_mark_frontend);
    struct domain *domain;

    if (!watched)
        return;
    domain = (struct domain *)((char *)watched - offsetof(struct domain, frontends));
    if (!domain->guest.paused)
        toll_charge(&domain->toll, 1, store_exchanges(service->loop->store) - before);
}

/* ---- for the loop ---- */

static int service_start(const struct loop *loop, void *arg)
{
    struct service *service = arg;

    service->loop = loop;
    service->watches.store = loop->store;
    service->look_timer = evtimer_new(loop->base, look_at_more, service);
    if (!service->look_timer) {
        log_line(LOG_ERRORS, "out of memory");
        return -ENOMEM;
    }
    scan_root(service);
    look_at_marked(service);
    return 0;
}

static void service_changed(void *arg, const char *path)
{
    struct service *service = arg;
    const char *below = path_below(path, ROOT);

    if (below || strcmp(path, ROOT) == 0)
        device_changed(service, below ? below : "");
    else
        frontend_changed(service, path);
}

static void service_settle(void *arg)
{
    struct service *service = arg;

    if (service->rescan && !service->draining)
        scan_root(service);
    look_at_marked(service);
}

/*
 * New devices are for the next process. Devices that were not looked at yet end after their first
 * look.
 */
static void service_drain(void *arg)
{
    struct service *service = arg;
    struct domain *domain;

    service->draining = true;
    TAILQ_FOREACH (domain, &service->domains, next)
        for (uint32_t i = 0; i < domain->room; i++)
            if (domain->entries[i] && domain->entries[i]->looked_once)
                device_end(domain->entries[i]->device);
}

static bool entry_is_drained(const struct entry *entry)
{
    return entry->looked_once && !device_has_rings(entry->device);
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

    remove_unseen(service, 0);
    event_free(service->look_timer);
}

int service_run(const struct quota_limits *limits)
{
    static const struct loop_ops ops = {
        .role = MACHINE_BACKEND,
        .hands_over = true,
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
