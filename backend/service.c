/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/service.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "connection/device.h"
#include "connection/host.h"
#include "connection/log.h"
#include "state/device.h"

#define ROOT "backend/vchan"

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
    const struct host *host;
    unsigned int generation;
    bool rescan; /* a device came or went, perhaps */
    SLIST_HEAD(, domain) domains;
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
    rc = store_watch(service->host->store, domain->watch, domain->token);
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
    entry->device = device_new_backend(service->host, domain->domid, devid);
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
    store_unwatch(service->host->store, domain->watch, domain->token);
    free(domain);
}

/* ---- scanning ---- */

/* Calls see() for each number in a directory; what is no number is not a device. */
static void each_number(struct service *service, const char *dir, uint32_t max, domid_t domid,
                        void (*see)(struct service *, domid_t, uint32_t))
{
    unsigned int count;
    char **names;

    if (store_list(service->host->store, NULL, dir, &names, &count) < 0)
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

/* ---- for the host ---- */

static int service_start(const struct host *host, void *arg)
{
    struct service *service = arg;

    service->host = host;
    scan(service);
    look_at_marked(service);
    return 0;
}

static void service_changed(void *arg, const char *path)
{
    struct service *service = arg;
    struct entry *entry = entry_of(service, path);

    if (entry) {
        entry->look = true;
    } else {
        mark_gone(service, path);
        service->rescan = true;
    }
}

static void service_settle(void *arg)
{
    struct service *service = arg;

    if (service->rescan)
        scan(service);
    service->rescan = false;
    look_at_marked(service);
}

static void service_stop(void *arg)
{
    sweep(arg, 0);
}

int service_run(void)
{
    static const struct host_ops ops = {
        .program = "vchan-backend",
        .watch = ROOT,
        .statistics = "data/vchan-backend",
        .start = service_start,
        .changed = service_changed,
        .settle = service_settle,
        .stop = service_stop,
    };
    struct service service = {.rescan = false};

    SLIST_INIT(&service.domains);
    return host_serve(&ops, &service);
}
