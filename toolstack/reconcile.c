/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxl_utils.h>

#include "toolstack/hold.h"
#include "toolstack/plug.h"

/* What xl calls a domain while it comes from a file or another host, or has gone there. */
static const char *const suffixes[] = {"--incoming", "--migratedaway"};

static const libxl_dominfo *find_domain(const struct reconcile *reconcile, domid_t domid)
{
    for (int i = 0; i < reconcile->domain_count; i++)
        if (reconcile->domains[i].domid == domid)
            return &reconcile->domains[i];
    return NULL;
}

/* A domain that is dying does nothing any more, though it stays while somebody maps its pages. */
static bool is_alive(const struct reconcile *reconcile, domid_t domid)
{
    const libxl_dominfo *info = find_domain(reconcile, domid);

    return info && !info->dying;
}

/* What follows is about one domain: for what is said. */
static void about(struct reconcile *reconcile, const char *name)
{
    snprintf(reconcile->tool->doing, sizeof(reconcile->tool->doing), "daemon: %.*s",
             TOOL_NAME_MAX - 16, name);
}

static void say_channel(struct reconcile *reconcile, const char *channel, const char *what)
{
    tool_complain(reconcile->tool, "channel \"%s\": %s", channel, what);
}

/* --- devices that lost an end --- */

static struct grave *find_grave(struct reconcile *reconcile, const struct device_id *id)
{
    for (size_t i = 0; i < reconcile->grave_count; i++)
        if (memcmp(&reconcile->graves[i].id, id, sizeof(*id)) == 0)
            return &reconcile->graves[i];
    return NULL;
}

static void drop_grave(struct reconcile *reconcile, struct grave *grave)
{
    char path[DEVICE_PATH_MAX];

    device_backend_path(&grave->id, path);
    store_unwatch(reconcile->tool->store, path, "grave");
    *grave = reconcile->graves[--reconcile->grave_count];
}

static int64_t grave_deadline(void)
{
    return tool_now() + TOOL_WAIT_DEFAULT * 1000;
}

/* Any other program may have removed the device, or put a new one in its place. */
static void drop_lost_graves(struct reconcile *reconcile)
{
    for (size_t i = reconcile->grave_count; i-- > 0;)
        if (!reconcile->graves[i].found)
            drop_grave(reconcile, &reconcile->graves[i]);
}

static int add_grave(struct reconcile *reconcile, const struct device_id *id)
{
    struct grave *grown =
        reallocarray(reconcile->graves, reconcile->grave_count + 1, sizeof(*grown));
    char path[DEVICE_PATH_MAX];

    if (!grown)
        return -ENOMEM;
    reconcile->graves = grown;
    grown[reconcile->grave_count++] = (struct grave){
        .id = *id,
        .deadline = grave_deadline(),
        .found = true,
    };
    device_backend_path(id, path);
    return store_watch(reconcile->tool->store, path, "grave");
}

static int remove_device(struct reconcile *reconcile, const struct device_id *id,
                         const char *channel, const char *why)
{
    struct grave *grave = find_grave(reconcile, id);
    int rc = plug_remove(reconcile->tool, id, channel);

    if (rc == 0 && grave)
        drop_grave(reconcile, grave);
    else if (grave)
        grave->deadline = grave_deadline(); /* to try again, and not at once */
    if (rc == 0)
        say_channel(reconcile, channel, why);
    return rc;
}

/* The backend delivers what the frontend sent last, and closes; or has had its time. */
static int bury(struct reconcile *reconcile, const struct device_id *id, const char *channel)
{
    struct grave *grave = find_grave(reconcile, id);
    int rc;

    if (grave)
        grave->found = true;
    if (!grave) {
        rc = plug_ask_close(reconcile->tool, id, channel);
        if (rc == 0)
            return add_grave(reconcile, id);
    } else if (plug_is_closed(reconcile->tool, id)) {
        rc = 1;
    } else {
        rc = tool_now() >= grave->deadline;
    }
    return rc > 0 ? remove_device(reconcile, id, channel, "removed, its domain is gone") : rc;
}

/* B is there, but its frontend has no such device. Read now: the look may be older than a plug. */
static bool is_leftover(struct reconcile *reconcile, const struct device_id *id)
{
    return device_backend_of(reconcile->tool->store, id->frontend, id->devid) != id->backend;
}

static int check_device(struct reconcile *reconcile, const struct device_id *id)
{
    char channel[DEVICE_NAME_MAX + 1], domain[TOOL_NAME_MAX];

    if (device_name_of(reconcile->tool->store, id, channel) < 0)
        snprintf(channel, sizeof(channel), "%u", id->devid);
    tool_domain_name(reconcile->tool, id->frontend, domain);
    about(reconcile, domain);
    if (!is_alive(reconcile, id->frontend) || is_leftover(reconcile, id))
        return bury(reconcile, id, channel);
    if (id->backend != DEVICE_BACKEND_UNKNOWN && !is_alive(reconcile, id->backend))
        return remove_device(reconcile, id, channel, "removed, its backend's domain is gone");
    return 0;
}

static void check_devices(struct reconcile *reconcile)
{
    for (size_t i = 0; i < reconcile->grave_count; i++)
        reconcile->graves[i].found = false;
    for (size_t i = 0; i < reconcile->devices.count; i++)
        check_device(reconcile, &reconcile->devices.ids[i]); /* the others get their turn anyway */
    drop_lost_graves(reconcile);
}

/* --- declarations --- */

static bool is_known(const struct reconcile *reconcile, domid_t domid)
{
    for (size_t i = 0; i < reconcile->known_count; i++)
        if (reconcile->known[i] == domid)
            return true;
    return false;
}

static void add_known(struct reconcile *reconcile, domid_t domid)
{
    domid_t *grown = reallocarray(reconcile->known, reconcile->known_count + 1, sizeof(*grown));

    if (!grown)
        return;
    reconcile->known = grown;
    reconcile->known[reconcile->known_count++] = domid;
}

static void drop_dead_known(struct reconcile *reconcile)
{
    size_t kept = 0;

    for (size_t i = 0; i < reconcile->known_count; i++)
        if (is_alive(reconcile, reconcile->known[i]))
            reconcile->known[kept++] = reconcile->known[i];
    reconcile->known_count = kept;
}

static void cut_suffix(char *name)
{
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t length = strlen(name), cut = strlen(suffixes[i]);

        if (length > cut && strcmp(name + length - cut, suffixes[i]) == 0)
            name[length - cut] = '\0';
    }
}

/* A domain that plain xl created: from now on it has a record. */
static int adopt(struct reconcile *reconcile, const char *name, struct hold *hold)
{
    struct config found;
    int rc = declared_find(reconcile->tool, reconcile->dirs, name, hold->uuid, &found);

    for (size_t i = 0; i < found.count && rc == 0; i++)
        rc = hold_put(reconcile->tool, hold, &found.channels[i]);
    if (rc == 0 && found.count == 0)
        rc = -ENOENT;
    config_free(&found);
    if (rc == 0)
        rc = hold_stage(reconcile->tool, hold);
    return rc == 0 ? hold_commit(reconcile->tool, hold) : rc;
}

/* What the domain is to have. -ENOENT: nobody declared anything. */
static int read_declared(struct reconcile *reconcile, domid_t domid, const char *name,
                         struct hold *hold)
{
    bool known = is_known(reconcile, domid);
    int rc = record_uuid(reconcile->tool, domid, hold->uuid);

    if (rc == 0)
        rc = record_read(reconcile->tool, hold->uuid, &hold->config);
    if (!known)
        add_known(reconcile, domid);
    if (rc != -ENOENT || known)
        return rc;
    rc = hold_read(reconcile->tool, domid, hold);
    return rc == 0 ? adopt(reconcile, name, hold) : rc;
}

static bool backend_is_there(struct reconcile *reconcile, const struct declaration *channel)
{
    domid_t backend = reconcile->tool->own;

    return channel->backend[0] == '\0' ||
           (tool_find_domain(reconcile->tool, channel->backend, &backend) == 0 &&
            is_alive(reconcile, backend));
}

static void plug_missing(struct reconcile *reconcile, struct roster *roster,
                         const struct declaration *channel, bool is_new)
{
    struct device_id id;
    domid_t backend;

    if (!backend_is_there(reconcile, channel)) {
        if (is_new)
            say_channel(reconcile, channel->name, "waits for its backend's domain");
        return;
    }
    if (plug_find_backend(reconcile->tool, channel, roster->frontend, &backend) == 0 &&
        plug_write(reconcile->tool, channel, roster, backend, &id) == 0)
        say_channel(reconcile, channel->name, "plugged");
}

static void plug_declared(struct reconcile *reconcile, domid_t domid, const struct config *config,
                          bool is_new)
{
    struct roster roster = ROSTER_OF(domid);

    if (roster_update(&roster, reconcile->tool->store) == 0)
        for (size_t i = 0; i < config->count; i++)
            if (!roster_has_name(&roster, config->channels[i].name))
                plug_missing(reconcile, &roster, &config->channels[i], is_new);
    roster_free(&roster);
}

static void check_locked(struct reconcile *reconcile, domid_t domid, const char *name)
{
    bool is_new = !is_known(reconcile, domid);
    struct hold hold = HOLD_NONE;

    if (read_declared(reconcile, domid, name, &hold) == 0) {
        record_touch(hold.uuid);
        plug_declared(reconcile, domid, &hold.config, is_new);
    }
    hold_close(&hold);
}

/* One that has shut down is about to go, or kept for somebody to look at. */
static void check_domain(struct reconcile *reconcile, const libxl_dominfo *info)
{
    char *name = libxl_domid_to_name(reconcile->tool->ctx, info->domid);
    int rc;

    if (!name || info->dying || info->shutdown) {
        free(name);
        return;
    }
    about(reconcile, name);
    rc = record_try_lock(reconcile->tool, reconcile->locks, name);
    if (rc == -EBUSY)
        reconcile->deferred = true;
    if (rc == 0) {
        char lock[TOOL_NAME_MAX];

        snprintf(lock, sizeof(lock), "%s", name);
        cut_suffix(name);
        check_locked(reconcile, (domid_t)info->domid, name);
        record_unlock(reconcile->locks, lock);
    }
    free(name);
}

/* --- a look --- */

static int look(struct reconcile *reconcile)
{
    struct tool *tool = reconcile->tool;
    int rc = devices_scan(tool->store, &reconcile->devices);

    if (rc < 0)
        return rc;
    /* After the scan: a domain that is not here now has left all that was found of it. */
    reconcile->domains = libxl_list_domain(tool->ctx, &reconcile->domain_count);
    if (!reconcile->domains)
        return -EIO;
    drop_dead_known(reconcile);
    check_devices(reconcile);
    for (int i = 0; i < reconcile->domain_count; i++)
        check_domain(reconcile, &reconcile->domains[i]);
    return 0;
}

int reconcile_look(struct reconcile *reconcile)
{
    struct tool *tool = reconcile->tool;
    int rc;

    reconcile->deferred = false;
    rc = look(reconcile);
    libxl_dominfo_list_free(reconcile->domains, reconcile->domain_count);
    devices_free(&reconcile->devices);
    reconcile->domains = NULL;
    reconcile->domain_count = 0;
    record_prune();
    snprintf(tool->doing, sizeof(tool->doing), "daemon");
    if (rc < 0)
        tool_complain(tool, "cannot look at the domains: %s", tool_why(rc));
    return rc;
}

int64_t reconcile_deadline(const struct reconcile *reconcile)
{
    int64_t deadline = -1;

    for (size_t i = 0; i < reconcile->grave_count; i++)
        if (deadline < 0 || reconcile->graves[i].deadline < deadline)
            deadline = reconcile->graves[i].deadline;
    return deadline;
}

void reconcile_forget(struct reconcile *reconcile)
{
    reconcile->known_count = 0;
}

void reconcile_free(struct reconcile *reconcile)
{
    free(reconcile->known);
    free(reconcile->graves);
}
