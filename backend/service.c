/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/service.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "connection/account.h"
#include "connection/device.h"
#include "connection/log.h"
#include "state/device.h"
#include "vchan/lock.h"

#define ROOT      "backend/vchan"
#define LOCK_NAME "vchan-backend"

/* libxenstore's fd does not tell that xenstored is gone, so it is asked now and then. */
#define HEARTBEAT_SECONDS 5

/* Events taken in one turn, so that a guest that writes in a loop does not keep others waiting. */
#define BATCH 256

/* A device that was seen in the last scan has its generation; one that was not is gone. */
struct entry {
    SLIST_ENTRY(entry) next;
    uint32_t devid;
    unsigned int generation;
    bool look; /* at the end of this turn */
    struct device *device;
};

/* A frontend domain, with one watch for all its devices. */
struct domain {
    SLIST_ENTRY(domain) next;
    domid_t domid;
    char watch[DEVICE_PATH_MAX];
    char token[32];
    SLIST_HEAD(, entry) entries;
};

struct service {
    struct host host;
    int lock;
    int error;
    unsigned int generation;
    SLIST_HEAD(, domain) domains;
    struct event *store_event;
    struct event *xen_event;
    struct event *heartbeat;
};

/* ---- domains and entries ---- */

static struct domain *domain_find(struct service *service, uint32_t domid)
{
    struct domain *domain;

    SLIST_FOREACH(domain, &service->domains, next)
    if (domain->domid == domid)
        return domain;
    return NULL;
}

static struct entry *entry_find(struct domain *domain, uint32_t devid)
{
    struct entry *entry;

    SLIST_FOREACH(entry, &domain->entries, next)
    if (entry->devid == devid)
        return entry;
    return NULL;
}

static struct domain *domain_add(struct service *service, uint32_t domid)
{
    struct domain *domain = calloc(1, sizeof(*domain));
    int rc;

    if (!domain)
        return NULL;
    domain->domid = (domid_t)domid;
    snprintf(domain->watch, sizeof(domain->watch), "/local/domain/%u/device/vchan", domid);
    snprintf(domain->token, sizeof(domain->token), "frontend/%u", domid);
    SLIST_INIT(&domain->entries);
    rc = store_watch(service->host.store, domain->watch, domain->token);
    if (rc < 0) {
        log_line(LOG_ERRORS, "cannot watch %s: %s", domain->watch, strerror(-rc));
        free(domain);
        return NULL;
    }
    SLIST_INSERT_HEAD(&service->domains, domain, next);
    return domain;
}

static struct entry *entry_add(struct service *service, struct domain *domain, uint32_t devid)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    entry->devid = devid;
    entry->look = true;
    entry->device = device_new(&service->host, domain->domid, devid);
    if (!entry->device) {
        free(entry);
        return NULL;
    }
    SLIST_INSERT_HEAD(&domain->entries, entry, next);
    return entry;
}

static void entry_remove(struct domain *domain, struct entry *entry)
{
    SLIST_REMOVE(&domain->entries, entry, entry, next);
    device_free(entry->device);
    free(entry);
}

static void domain_remove(struct service *service, struct domain *domain)
{
    SLIST_REMOVE(&service->domains, domain, domain, next);
    store_unwatch(service->host.store, domain->watch, domain->token);
    free(domain);
}

/* ---- scanning ---- */

/* Calls see() for each number in a directory; what is no number is not a device. */
static void each_number(struct service *service, const char *dir, uint32_t max, domid_t domid,
                        void (*see)(struct service *, domid_t, uint32_t))
{
    unsigned int count;
    char **names;

    if (store_list(service->host.store, NULL, dir, &names, &count) < 0)
        return;
    for (unsigned int i = 0; i < count; i++) {
        uint32_t number;

        if (parse_number(names[i], max, &number) == 0)
            see(service, domid, number);
    }
    free(names);
}

static void see_device(struct service *service, domid_t domid, uint32_t devid)
{
    struct domain *domain = domain_find(service, domid);
    struct entry *entry;

    if (!domain)
        domain = domain_add(service, domid);
    if (!domain)
        return;
    entry = entry_find(domain, devid);
    if (!entry)
        entry = entry_add(service, domain, devid);
    if (entry)
        entry->generation = service->generation;
}

static void see_domain(struct service *service, domid_t unused, uint32_t domid)
{
    char dir[DEVICE_PATH_MAX];

    (void)unused;
    snprintf(dir, sizeof(dir), ROOT "/%" PRIu32, domid);
    each_number(service, dir, DEVICE_ID_MAX, (domid_t)domid, see_device);
}

/* Removes the entries of other generations than this, and domains without any. */
static void sweep(struct service *service, unsigned int generation)
{
    struct domain *domain, *next_domain;
    struct entry *entry, *next_entry;

    for (domain = SLIST_FIRST(&service->domains); domain; domain = next_domain) {
        next_domain = SLIST_NEXT(domain, next);
        for (entry = SLIST_FIRST(&domain->entries); entry; entry = next_entry) {
            next_entry = SLIST_NEXT(entry, next);
            if (entry->generation != generation)
                entry_remove(domain, entry);
        }
        if (SLIST_EMPTY(&domain->entries))
            domain_remove(service, domain);
    }
}

static void look_at_those(struct service *service, bool taken)
{
    struct domain *domain;
    struct entry *entry;

    SLIST_FOREACH (domain, &service->domains, next) {
        SLIST_FOREACH (entry, &domain->entries, next) {
            if (!entry->look || device_is_taken(entry->device) != taken)
                continue;
            entry->look = false;
            device_look(entry->device);
        }
    }
}

/* First those that are served: what one lets go of may be what another, new one wants. */
static void look_at_marked(struct service *service)
{
    look_at_those(service, true);
    look_at_those(service, false);
}

/* All that is there; generation 0 is never used, so that sweep(0) removes everything. */
static void scan(struct service *service)
{
    if (++service->generation == 0)
        service->generation = 1;
    each_number(service, ROOT, DOMID_FIRST_RESERVED - 1, 0, see_domain);
    sweep(service, service->generation);
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

/* The frontend domain that a path is of, and what follows its directory in the path. */
static struct domain *domain_of(struct service *service, const char *path, const char **below)
{
    struct domain *domain;
    uint32_t domid;

    *below = path_below(path, ROOT);
    if (*below)
        return take_number(below, &domid) ? domain_find(service, domid) : NULL;
    SLIST_FOREACH(domain, &service->domains, next)
    {
        *below = path_below(path, domain->watch);
        if (*below)
            return domain;
    }
    return NULL;
}

/*
 * The device that a path lies in, if we know it. The device's own directory does not count: it has
 * come or gone, as far as we can tell.
 */
static struct entry *entry_of(struct service *service, const char *path)
{
    const char *below;
    struct domain *domain = domain_of(service, path, &below);
    uint32_t devid;

    return domain && take_number(&below, &devid) ? entry_find(domain, devid) : NULL;
}

/*
 * A frontend domain that ends takes all of its nodes along, and the one event is for the directory that is
 * watched; a device's own directory may go alone. Then look at all that lay there.
 */
static void mark_gone(struct service *service, const char *path)
{
    struct domain *domain;
    struct entry *entry;

    SLIST_FOREACH (domain, &service->domains, next) {
        if (strcmp(path, domain->watch) != 0 && !path_below(path, domain->watch))
            continue;
        SLIST_FOREACH (entry, &domain->entries, next)
            entry->look = true;
    }
}

/* Takes a batch of events, then does once what any number of them call for. */
static int take_events(struct service *service)
{
    struct store_event event;
    bool rescan = false;
    int rc = 0;

    for (int i = 0; i < BATCH && (rc = store_next_event(service->host.store, &event)) > 0; i++) {
        struct entry *entry = entry_of(service, event.path);

        if (entry) {
            entry->look = true;
        } else {
            mark_gone(service, event.path);
            rescan = true;
        }
    }
    if (rescan)
        scan(service);
    look_at_marked(service);
    return rc;
}

static void give_up(struct service *service, int rc, const char *what)
{
    log_line(LOG_ERRORS, "%s: %s", what, strerror(-rc));
    service->error = rc;
    event_base_loopbreak(service->host.base);
}

static void on_store(evutil_socket_t fd, short what, void *arg)
{
    struct service *service = arg;

    (void)fd, (void)what;
    if (take_events(service) < 0)
        give_up(service, -ECONNRESET, "lost xenstored");
}

static void on_xen(evutil_socket_t fd, short what, void *arg)
{
    struct service *service = arg;
    int rc = xen_dispatch(service->host.xen);

    (void)fd, (void)what;
    if (rc < 0)
        give_up(service, rc, "lost the event channels");
}

/* ---- coming and going ---- */

static int add_event(struct service *service, struct event **event, int fd, short what,
                     event_callback_fn callback, const struct timeval *time)
{
    *event = event_new(service->host.base, fd, what | EV_PERSIST, callback, service);
    return *event && event_add(*event, time) == 0 ? 0 : -ENOMEM;
}

static int add_events(struct service *service)
{
    static const struct timeval heartbeat = {.tv_sec = HEARTBEAT_SECONDS};
    int rc = add_event(service, &service->store_event, store_fd(service->host.store), EV_READ,
                       on_store, NULL);

    if (rc == 0)
        rc = add_event(service, &service->xen_event, xen_fd(service->host.xen), EV_READ, on_xen,
                       NULL);
    if (rc == 0)
        rc = add_event(service, &service->heartbeat, -1, 0, on_store, &heartbeat);
    return rc;
}

/* The steps of service_open. */
static int take_lock(struct service *service)
{
    service->lock = lock_take(LOCK_NAME);
    return service->lock < 0 ? service->lock : 0;
}

static int open_store(struct service *service)
{
    return store_open(&service->host.store);
}

static int open_xen(struct service *service)
{
    return xen_open(&service->host.xen);
}

static int start(struct service *service)
{
    int rc = store_watch(service->host.store, ROOT, "backend");

    service->host.ledger = ledger_open(service->host.base, service->host.store);
    if (!service->host.ledger)
        rc = -ENOMEM;
    return rc < 0 ? rc : add_events(service);
}

static const struct {
    int (*run)(struct service *service);
    const char *what;
} steps[] = {
    {take_lock, "cannot lock " LOCK_DIR "/" LOCK_NAME},
    {open_store, "cannot connect to xenstored"},
    {open_xen, "cannot open the event channels (/dev/xen/evtchn)"},
    {start, "cannot watch " ROOT},
};

static int service_start(struct service *service)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int rc = steps[i].run(service);

        if (rc == 0)
            continue;
        log_line(LOG_ERRORS, "%s: %s", steps[i].what,
                 rc == -EBUSY ? "another vchan-backend runs in this domain" : strerror(-rc));
        return rc;
    }
    return 0;
}

int service_open(struct event_base *base, struct service **out)
{
    struct service *service = calloc(1, sizeof(*service));
    int rc;

    *out = NULL;
    if (!service) {
        log_line(LOG_ERRORS, "no memory");
        return -ENOMEM;
    }
    service->host.base = base;
    service->lock = -1;
    SLIST_INIT(&service->domains);
    rc = service_start(service);
    if (rc < 0) {
        service_close(service);
        return rc;
    }
    scan(service);
    look_at_marked(service);
    *out = service;
    return 0;
}

int service_error(const struct service *service)
{
    return service->error;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

void service_close(struct service *service)
{
    if (!service)
        return;
    sweep(service, 0);
    free_event(service->heartbeat);
    free_event(service->xen_event);
    free_event(service->store_event);
    ledger_close(service->host.ledger);
    xen_close(service->host.xen);
    store_close(service->host.store);
    if (service->lock >= 0)
        lock_release(LOCK_NAME, service->lock);
    free(service);
}
