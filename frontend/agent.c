/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frontend/agent.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "service/device.h"
#include "service/loop.h"
#include "service/log.h"
#include "service/toll.h"
#include "service/worker/worker.h"
#include "state/device.h"
#include "state/error.h"
#include "state/store.h"
#include "state/watches.h"

#define ROOT "device/vchan"

/*
 * The directory of our statistics. Its value is a mark that tells whether the domain was restored
 * or migrated: what a guest wrote into data/ is not restored with it.
 */
#define STATISTICS "data/vchan-frontend"
#define MARK       "this life"

/* A channel in xenstore. If its generation is not that of the last scan, it is gone. */
struct slot {
    SLIST_ENTRY(slot) next;
    uint32_t devid;
    unsigned int generation;
    bool look;             /* it must be looked at at the end of this turn */
    bool identity_changed; /* its name or backend changed, but could not be read completely yet */
    bool identity_unknown; /* in this turn its name or backend could not be read */
    bool looked_once;      /* the toolstack caused the first look, not the backend */
    char name[DEVICE_NAME_MAX + 1];
    char backend[DEVICE_PATH_MAX];
    struct watched_place place; /* the backend's directory */
    struct spec *declared;      /* what the device was created with; NULL: there is none */
    struct device *device;
};

/* A parent directory of our backends' directories: of all those in one domain. */
struct backends {
    SLIST_ENTRY(backends) next;
    struct watched_dir dir;
    struct toll toll;
};

struct agent {
    const struct loop *loop;
    const char *file;
    struct agent_config *config;
    unsigned int generation;
    bool rescan;       /* channels may have come or gone, or could not be listed */
    bool list_failed;  /* the log says that they could not be listed */
    bool mark_written; /* the mark was written */
    bool restored;     /* the domain was restored or migrated */
    bool stopping;     /* stopping, so a restored domain is not served again */
    SLIST_HEAD(, slot) slots;
    SLIST_HEAD(, backends) backends;
    struct watches watches; /* on the directories of backends */
    struct quota_sum sum;
};

/* ---- a restored or migrated domain ---- */

/* A mark that cannot be read now counts as intact. */
static bool is_mark_intact(struct agent *agent)
{
    char text[sizeof(MARK)];
    int rc = store_read_text(agent->loop->store, NULL, STATISTICS, text, sizeof(text));

    return rc == 0 ? strcmp(text, MARK) == 0 : rc != -ENOENT;
}

/*
 * After a restore or a migration, all grants and event channels are void, and the kernel must not
 * release them.
 */
static void check_for_restore(void *arg)
{
    struct agent *agent = arg;

    if (!agent->mark_written || is_mark_intact(agent))
        return;
    log_line(LOG_CHANGES, "the domain was restored or migrated: starting over");
    workers_abandon(agent->loop->workers);
    agent->mark_written = false;
    agent->restored = !agent->stopping;
    event_base_loopbreak(agent->loop->base);
}

/* ---- channels ---- */

static struct slot *slot_find(struct agent *agent, uint32_t devid)
{
    struct slot *slot;

    SLIST_FOREACH (slot, &agent->slots, next)
        if (slot->devid == devid)
            return slot;
    return NULL;
}

static struct slot *slot_add(struct agent *agent, uint32_t devid)
{
    struct slot *slot = calloc(1, sizeof(*slot));

    if (!slot)
        return NULL;
    slot->devid = devid;
    slot->look = true;
    SLIST_INSERT_HEAD(&agent->slots, slot, next);
    return slot;
}

static void slot_unplug(struct slot *slot)
{
    if (slot->device)
        device_free(slot->device);
    free(slot->declared);
    slot->device = NULL;
    slot->declared = NULL;
}

static void slot_remove(struct agent *agent, struct slot *slot)
{
    SLIST_REMOVE(&agent->slots, slot, slot, next);
    watches_remove(&slot->place);
    slot_unplug(slot);
    free(slot);
}

static void copy_text(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text);
}

static void slot_plug(struct agent *agent, struct slot *slot, struct quota *quota,
                      const struct spec *declared)
{
    slot->declared = malloc(sizeof(*slot->declared));
    if (slot->declared)
        slot->device = device_new_frontend(agent->loop, quota, slot->devid, declared);
    if (!slot->device) {
        slot_unplug(slot);
        log_line(LOG_ERRORS, "%" PRIu32 " %s: out of memory", slot->devid, slot->name);
        return;
    }
    *slot->declared = *declared;
}

/*
 * Reads a node that identifies the channel again. An invalid one counts as missing. Returns 1 if it
 * has changed, 0 if not, or a negative errno if it cannot be read now.
 */
static int reread_node(struct agent *agent, const char *dir, const char *key, char *text,
                       size_t size)
{
    char now[DEVICE_PATH_MAX];
    int rc = store_read_text(agent->loop->store, dir, key, now, sizeof(now));
    bool changed;

    if (rc < 0 && !store_is_nothing(rc))
        return rc;
    if (rc < 0)
        now[0] = '\0';
    changed = strcmp(text, now) != 0;
    copy_text(text, size, now);
    return changed;
}

/* Returns the channel's spec in the configuration, unless that leaves it to applications. */
static const struct spec *declared_spec(const struct agent *agent, const struct slot *slot)
{
    const struct spec *declared = agent_config_find(agent->config, slot->name);

    return declared && !spec_is_app(declared) ? declared : NULL;
}

/*
 * Lets go of the device if this is another channel now, or the configuration has another spec. If
 * its nodes are gone, it has time to deliver what is left. Returns false if its identity cannot be
 * read now.
 */
static bool slot_check_identity(struct agent *agent, struct slot *slot)
{
    char dir[DEVICE_PATH_MAX];
    const struct spec *declared;
    int named, placed;

    snprintf(dir, sizeof(dir), ROOT "/%" PRIu32, slot->devid);
    if (!store_exists(agent->loop->store, dir, "state"))
        return true;
    named = reread_node(agent, dir, "name", slot->name, sizeof(slot->name));
    placed = reread_node(agent, dir, "backend", slot->backend, sizeof(slot->backend));
    slot->identity_changed |= named > 0 || placed > 0;
    if (named < 0 || placed < 0)
        return false;
    declared = declared_spec(agent, slot);
    if (slot->device &&
        (slot->identity_changed || !declared || !spec_equal(slot->declared, declared)))
        slot_unplug(slot);
    if (slot->identity_changed)
        watches_remove(&slot->place); /* not before the device: it uses the quota */
    slot->identity_changed = false;
    return true;
}

static void slot_look(struct agent *agent, struct slot *slot, struct quota *quota)
{
    const struct spec *declared = declared_spec(agent, slot);

    if (!slot->device && declared && !agent->stopping)
        slot_plug(agent, slot, quota, declared);
    if (slot->device)
        device_look(slot->device);
}

/* ---- watches on the backends' nodes ---- */

static void slot_mark(void *slot)
{
    ((struct slot *)slot)->look = true;
}

/* Without a watch, the agent looks at all of them, at the next heartbeat at the latest. */
static int backends_watch(void *arg)
{
    struct backends *backends = arg;
    int rc = watched_dir_start(&backends->dir);

    if (rc < 0) {
        watched_dir_stop(&backends->dir);
        watched_dir_look(&backends->dir, slot_mark);
    }
    return rc;
}

static void backends_unwatch(void *arg)
{
    struct backends *backends = arg;

    watched_dir_stop(&backends->dir);
}

static struct backends *backends_around(struct watched_dir *dir)
{
    return (struct backends *)((char *)dir - offsetof(struct backends, dir));
}

/* Returns the domain that a directory belongs to, for logs. */
static domid_t domid_of(const char *dir)
{
    domid_t domid;

    return store_path_in_domain(dir, &domid) ? domid : DOMID_INVALID;
}

static void backends_free(struct backends *backends)
{
    watched_dir_close(&backends->dir);
    free(backends);
}

static int backends_open(struct agent *agent, struct backends *backends, const struct slot *slot)
{
    static const struct quota_limits limits = QUOTA_LIMITS;
    static const struct toll_ops ops = {.watch = backends_watch, .unwatch = backends_unwatch};
    char dir[DEVICE_PATH_MAX];
    int rc;

    snprintf(dir, sizeof(dir), "%.*s", (int)store_parent_length(slot->backend), slot->backend);
    rc = watched_dir_open(&backends->dir, &agent->watches, dir);
    return rc < 0 ? rc
                  : toll_open(&backends->toll, agent->loop->base, domid_of(dir), &limits,
                              &agent->sum, &ops, backends);
}

static struct backends *backends_add(struct agent *agent, const struct slot *slot)
{
    struct backends *backends = calloc(1, sizeof(*backends));

    if (!backends)
        return NULL;
    if (backends_open(agent, backends, slot) < 0) {
        backends_free(backends);
        return NULL;
    }
    SLIST_INSERT_HEAD(&agent->backends, backends, next);
    return backends;
}

/*
 * Finds the parent of the slot's backend, and watches it. Returns NULL if there is none, or memory
 * runs out.
 */
static struct backends *backends_of(struct agent *agent, struct slot *slot)
{
    struct watched_dir *dir;
    struct backends *backends;

    if (store_parent_length(slot->backend) == 0)
        return NULL;
    if (slot->place.parent)
        return backends_around(slot->place.parent);
    dir = watches_find(&agent->watches, slot->backend);
    backends = dir ? backends_around(dir) : backends_add(agent, slot);
    if (!backends || watched_dir_add(&backends->dir, &slot->place, slot->backend, slot) < 0)
        return NULL;
    toll_watch(&backends->toll);
    return backends;
}

static void remove_unused_backends(struct agent *agent)
{
    struct backends *backends, *next;

    for (backends = SLIST_FIRST(&agent->backends); backends; backends = next) {
        next = SLIST_NEXT(backends, next);
        if (!LIST_EMPTY(&backends->dir.places)) {
            /* A removed place may have been the one that was watched. */
            toll_watch(&backends->toll);
            continue;
        }
        toll_close(&backends->toll);
        SLIST_REMOVE(&agent->backends, backends, backends, next);
        backends_free(backends);
    }
}

/* ---- scanning ---- */

/* Returns false if memory runs out. */
static bool scan_slot(struct agent *agent, uint32_t devid)
{
    struct slot *slot = slot_find(agent, devid);

    if (!slot)
        slot = slot_add(agent, devid);
    if (slot)
        slot->generation = agent->generation;
    return slot != NULL;
}

/*
 * Removes channels that are gone, once their last bytes are delivered. Until then, each turn, and so
 * each heartbeat, sweeps again.
 */
static void sweep_slots(struct agent *agent)
{
    struct slot *slot, *next;

    for (slot = SLIST_FIRST(&agent->slots); slot; slot = next) {
        next = SLIST_NEXT(slot, next);
        if (slot->generation == agent->generation)
            continue;
        if (slot->device)
            device_look(slot->device);
        if (slot->device && device_is_connected(slot->device))
            agent->rescan = true;
        else
            slot_remove(agent, slot);
    }
}

/* Takes channels for gone only if all could be listed. Otherwise the next heartbeat rescans. */
static void scan_frontends(struct agent *agent)
{
    uint32_t *devids;
    size_t count;
    int rc = store_list_numbers(agent->loop->store, ROOT, DEVICE_ID_MAX, &devids, &count);

    agent->generation++;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = scan_slot(agent, devids[i]) ? 0 : -ENOMEM;
    free(devids);
    if (rc < 0 && !agent->list_failed)
        log_line(LOG_ERRORS, "cannot list the devices in xenstore: %s (retrying)", strerror(-rc));
    agent->rescan = agent->list_failed = rc < 0;
    if (rc == 0)
        sweep_slots(agent);
}

/* The backend's domain is charged for a look, except the first. */
static void look_at_slot(struct agent *agent, struct slot *slot)
{
    struct backends *backends = backends_of(agent, slot);
    uint64_t before = store_exchanges(agent->loop->store);
    bool nowhere = store_parent_length(slot->backend) == 0;

    if (!nowhere && (!backends || backends->toll.paused))
        return; /* it stays marked */
    slot->look = false;
    slot_look(agent, slot, backends ? &backends->toll.quota : NULL);
    if (slot->looked_once && backends)
        toll_charge(&backends->toll, 0, store_exchanges(agent->loop->store) - before);
    slot->looked_once = true;
}

/*
 * Checks identities first, since a channel that goes may have a path that another needs. A channel
 * that cannot be read now stays marked, and the next heartbeat looks at it at the latest.
 */
static void look_at_slots(struct agent *agent)
{
    struct slot *slot;

    SLIST_FOREACH (slot, &agent->slots, next)
        if (slot->look)
            slot->identity_unknown = !slot_check_identity(agent, slot);
    SLIST_FOREACH (slot, &agent->slots, next)
        if (slot->look && !slot->identity_unknown)
            look_at_slot(agent, slot);
}

static void mark_all(struct agent *agent)
{
    struct slot *slot;

    SLIST_FOREACH (slot, &agent->slots, next)
        slot->look = true;
}

/* ---- for the loop ---- */

static int agent_start(const struct loop *loop, void *arg)
{
    struct agent *agent = arg;

    agent->loop = loop;
    agent->watches.store = loop->store;
    agent->mark_written = store_write_text(loop->store, NULL, STATISTICS, MARK) == 0;
    scan_frontends(agent);
    look_at_slots(agent);
    return 0;
}

/* Reads the devid after a directory in a path. Returns false if none, or nothing, follows. */
static bool devid_in(const char *path, const char *dir, uint32_t *devid)
{
    char part[16];
    size_t length = strlen(dir);

    if (strncmp(path, dir, length) != 0 || path[length] != '/')
        return false;
    path += length + 1;
    length = strcspn(path, "/");
    if (path[length] != '/' || length >= sizeof(part))
        return false;
    memcpy(part, path, length);
    part[length] = '\0';
    return parse_number(part, DEVICE_ID_MAX, devid) == 0;
}

/*
 * Returns whether the path lies in a directory of backends. Its domain is charged for the event,
 * also where no backend of ours is.
 */
static bool backend_changed(struct agent *agent, const char *path)
{
    uint64_t before = store_exchanges(agent->loop->store);
    struct watched_dir *dir = watches_heed(&agent->watches, path, slot_mark);

    /* If the domain is paused, the event was under way when the watch ended. */
    if (dir && !backends_around(dir)->toll.paused)
        toll_charge(&backends_around(dir)->toll, 1, store_exchanges(agent->loop->store) - before);
    return dir != NULL;
}

static void agent_changed(void *arg, const char *path)
{
    struct agent *agent = arg;
    struct slot *slot = NULL;
    uint32_t devid;

    if (backend_changed(agent, path))
        return;
    if (devid_in(path, ROOT, &devid))
        slot = slot_find(agent, devid);
    if (slot) {
        slot_mark(slot);
        return;
    }
    mark_all(agent);
    agent->rescan = true;
}

static void agent_settle(void *arg)
{
    struct agent *agent = arg;

    check_for_restore(agent);
    if (agent->restored)
        return;
    if (agent->rescan)
        scan_frontends(agent);
    look_at_slots(agent);
    remove_unused_backends(agent);
}

static void agent_reload(void *arg)
{
    struct agent *agent = arg;
    struct agent_config config;
    char why[AGENT_CONFIG_WHY_MAX];

    if (agent_config_read(agent->file, &config, why) < 0) {
        log_line(LOG_ERRORS, "%s (keeping the old configuration)", why);
        return;
    }
    log_line(LOG_CHANGES, "reread %s", agent->file);
    agent_config_free(agent->config);
    *agent->config = config;
    mark_all(agent);
    agent_settle(agent);
}

static void agent_drain(void *arg)
{
    struct agent *agent = arg;
    struct slot *slot;

    agent->stopping = true;
    SLIST_FOREACH (slot, &agent->slots, next)
        if (slot->device)
            device_end(slot->device);
}

static bool agent_drained(void *arg)
{
    const struct agent *agent = arg;
    const struct slot *slot;

    SLIST_FOREACH (slot, &agent->slots, next)
        if (slot->device && device_has_rings(slot->device))
            return false;
    return true;
}

static void agent_count(void *arg, unsigned int *channels, unsigned int *connected)
{
    const struct agent *agent = arg;
    const struct slot *slot;

    SLIST_FOREACH (slot, &agent->slots, next) {
        *channels += slot->device != NULL;
        *connected += slot->device && device_is_connected(slot->device);
    }
}

static void agent_stop(void *arg)
{
    struct agent *agent = arg;

    agent->stopping = true;
    while (!SLIST_EMPTY(&agent->slots))
        slot_remove(agent, SLIST_FIRST(&agent->slots));
    remove_unused_backends(agent);
}

int agent_run(const char *file, struct agent_config *config)
{
    static const struct loop_ops ops = {
        .role = MACHINE_FRONTEND,
        .program = "vchan-frontend",
        .watch = ROOT,
        .statistics = STATISTICS,
        .start = agent_start,
        .changed = agent_changed,
        .settle = agent_settle,
        .stop = agent_stop,
        .drain = agent_drain,
        .drained = agent_drained,
        .count = agent_count,
        .releasing = check_for_restore,
        .reload = agent_reload,
    };
    struct agent agent = {.file = file, .config = config};
    int rc;

    SLIST_INIT(&agent.slots);
    SLIST_INIT(&agent.backends);
    do {
        agent.restored = agent.stopping = agent.rescan = false;
        rc = loop_serve(&ops, &agent);
    } while (agent.restored);
    agent_config_free(config);
    /* cppcheck-suppress uninitvar ; the loop has run once */
    return rc;
}
