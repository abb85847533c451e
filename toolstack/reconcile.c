/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxl_utils.h>

#include "state/clock.h"
#include "toolstack/edit.h"
#include "toolstack/identity.h"
#include "toolstack/plug.h"

/* The suffix that xl gives to the name of a domain while it arrives from another host. */
#define INCOMING "--incoming"

/* How long a record must lack its domain to become a day older, in milliseconds. */
#define DAY ((int64_t)24 * 60 * 60 * 1000)

static const libxl_dominfo *find_dominfo(const struct reconcile *reconcile, domid_t domid)
{
    for (int i = 0; i < reconcile->domain_count; i++)
        if (reconcile->domains[i].domid == domid)
            return &reconcile->domains[i];
    return NULL;
}

/* A dying domain does nothing any more, though it stays while its pages are mapped. */
static bool is_alive(const struct reconcile *reconcile, domid_t domid)
{
    const libxl_dominfo *info = find_dominfo(reconcile, domid);

    return info && !info->dying;
}

/* Sets the domain that the following messages are about. */
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
    return clock_ms() + TOOL_WAIT_DEFAULT;
}

/* Drops entries whose device was removed or replaced by another program. */
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
        grave->deadline = grave_deadline(); /* try again, but not at once */
    if (rc == 0)
        say_channel(reconcile, channel, why);
    return rc;
}

/*
 * Removes the device once its backend has delivered what the frontend sent last and closed, or has
 * had enough time.
 */
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
        rc = clock_ms() >= grave->deadline;
    }
    return rc > 0 ? remove_device(reconcile, id, channel, "removed: its domain is gone") : rc;
}

/* Makes the look fail when it is over. What does not depend on the answer is still done. */
static void note_error(struct reconcile *reconcile, int rc)
{
    if (rc < 0 && reconcile->error == 0)
        reconcile->error = rc;
}

/*
 * B exists, but its frontend has no such device. Reads it now, since the scan may be older than a
 * plug.
 */
static bool is_leftover(struct reconcile *reconcile, const struct device_id *id)
{
    domid_t backend;
    int rc = device_read_backend(reconcile->tool->store, id->frontend, id->devid, &backend);

    note_error(reconcile, rc);
    return rc == 0 && backend != id->backend;
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
        return remove_device(reconcile, id, channel, "removed: its backend's domain is gone");
    return 0;
}

static void check_devices(struct reconcile *reconcile)
{
    for (size_t i = 0; i < reconcile->grave_count; i++)
        reconcile->graves[i].found = false;
    for (size_t i = 0; i < reconcile->devices.count; i++)
        /* go on with the others even if it fails */
        check_device(reconcile, &reconcile->devices.ids[i]);
    drop_lost_graves(reconcile);
}

/* --- declarations --- */

static void watch_name(struct reconcile *reconcile, struct known *known, bool on)
{
    char path[DEVICE_PATH_MAX];

    if (known->named == on)
        return;
    snprintf(path, sizeof(path), "/local/domain/%u/name", known->domid);
    if (on)
        known->named = store_watch(reconcile->tool->store, path, "name") == 0;
    else
        known->named = store_unwatch(reconcile->tool->store, path, "name") < 0;
}

/* Finds or creates a domain's entry. NULL: out of memory. */
static struct known *know(struct reconcile *reconcile, domid_t domid)
{
    struct known *grown;

    for (size_t i = 0; i < reconcile->known_count; i++)
        if (reconcile->known[i].domid == domid)
            return &reconcile->known[i];
    grown = reallocarray(reconcile->known, reconcile->known_count + 1, sizeof(*grown));
    if (!grown)
        return NULL;
    reconcile->known = grown;
    grown[reconcile->known_count] = (struct known){.domid = domid};
    return &grown[reconcile->known_count++];
}

static void drop_dead_known(struct reconcile *reconcile)
{
    size_t kept = 0;

    for (size_t i = 0; i < reconcile->known_count; i++) {
        if (is_alive(reconcile, reconcile->known[i].domid))
            reconcile->known[kept++] = reconcile->known[i];
        else
            watch_name(reconcile, &reconcile->known[i], false);
    }
    reconcile->known_count = kept;
}

static bool is_incoming(const char *name)
{
    size_t length = strlen(name), suffix = strlen(INCOMING);

    return length > suffix && strcmp(name + length - suffix, INCOMING) == 0;
}

/* --- one live domain for a record --- */

static bool comes_to(struct reconcile *reconcile, struct known *known, const char *name,
                     domid_t owner)
{
    size_t length;

    tool_domain_key(reconcile->tool, owner, known->comes_as);
    length = strlen(known->comes_as);
    return strncmp(name, known->comes_as, length) == 0 && strcmp(name + length, INCOMING) == 0;
}

/* Whether the domain of that uuid has stopped to be migrated or saved. */
static bool is_suspended(struct reconcile *reconcile, const char *uuid)
{
    char other[RECORD_UUID_MAX];

    for (int i = 0; i < reconcile->domain_count; i++) {
        const libxl_dominfo *info = &reconcile->domains[i];

        if (info->shutdown && info->shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND &&
            identity_uuid(reconcile->tool, (domid_t)info->domid, other) == 0 &&
            strcmp(uuid, other) == 0)
            return true;
    }
    return false;
}

static bool is_barred(const struct reconcile *reconcile, domid_t domid)
{
    for (size_t i = 0; i < reconcile->known_count; i++)
        if (reconcile->known[i].domid == domid)
            return reconcile->known[i].barred;
    return false;
}

/*
 * The older domain keeps the record. A younger one that migrates on this host gets it once the
 * older has stopped for that, or once it has the name. Any other younger one never gets it.
 */
static int check_record_owner(struct reconcile *reconcile, struct known *known, const char *name,
                              const struct edit *edit)
{
    domid_t owner;

    if (identity_by_uuid(reconcile->tool, edit->uuid, (uint32_t)edit->config.domid, &owner) < 0)
        owner = known->domid;
    if (owner == known->domid || is_barred(reconcile, owner))
        return !known->second || strcmp(name, known->comes_as) == 0 ||
                       is_suspended(reconcile, edit->uuid)
                   ? 0
                   : -EEXIST;
    if (!known->second)
        tool_complain(reconcile->tool,
                      "domain %u has the same uuid and came first: domain %u gets none of its "
                      "channels",
                      owner, known->domid);
    known->second = true;
    known->barred = !comes_to(reconcile, known, name, owner);
    return -EEXIST;
}

/* Whether another live domain was declared under that name and still has its channels. */
static bool is_taken(struct reconcile *reconcile, domid_t domid, const char *name, domid_t *by)
{
    bool taken = false;

    for (int i = 0; i < reconcile->domain_count && !taken; i++) {
        const libxl_dominfo *info = &reconcile->domains[i];
        char uuid[RECORD_UUID_MAX], *other;

        *by = (domid_t)info->domid;
        if (*by == domid || info->dying || info->shutdown ||
            identity_uuid(reconcile->tool, *by, uuid) < 0)
            continue;
        other = record_name(uuid);
        taken = other && strcmp(other, name) == 0;
        free(other);
    }
    return taken;
}

/* --- what it is to have --- */

static int keep(struct reconcile *reconcile, struct edit *edit)
{
    int rc = edit_stage(reconcile->tool, edit);

    return rc == 0 ? edit_commit(reconcile->tool, edit) : rc;
}

static int check_file(struct reconcile *reconcile, domid_t domid, const char *name, bool by_name)
{
    domid_t other;

    if (!by_name || !is_taken(reconcile, domid, name, &other))
        return 0;
    tool_complain(reconcile->tool,
                  "the channels declared for this name belong to domain %u, which had the name "
                  "first (xl-vchan apply CONFIG gives this one channels, too)",
                  other);
    return -EEXIST;
}

/* Gives a record to a domain that plain xl created. */
static int adopt(struct reconcile *reconcile, domid_t domid, const char *name, struct edit *edit)
{
    struct config found;
    bool by_name;
    int rc = config_search(reconcile->tool, reconcile->dirs, name, edit->uuid, &found, &by_name);

    if (rc == 0)
        rc = found.count ? check_file(reconcile, domid, name, by_name) : -ENOENT;
    for (size_t i = 0; i < found.count && rc == 0; i++)
        rc = edit_put(reconcile->tool, edit, &found.channels[i]);
    config_free(&found);
    return rc == 0 ? keep(reconcile, edit) : rc;
}

/*
 * There is no record: searches the config files. A domain that arrives from another host has a name
 * under which a file may declare it only once it is there.
 */
static int find_declared(struct reconcile *reconcile, struct known *known, const char *name,
                         struct edit *edit)
{
    int rc;

    watch_name(reconcile, known, is_incoming(name));
    if (known->looked || known->named)
        return -ENOENT;
    known->looked = true;
    rc = edit_read(reconcile->tool, known->domid, edit);
    return rc == 0 ? adopt(reconcile, known->domid, name, edit) : rc;
}

/* Replaces a record that could not be read by what xenstore has. */
static int restore_record(struct reconcile *reconcile, domid_t domid, struct edit *edit)
{
    int rc = edit_read(reconcile->tool, domid, edit);

    return rc == 0 ? keep(reconcile, edit) : rc;
}

/* Reads what the domain is to have. -ENOENT: nothing is declared. */
static int read_declared(struct reconcile *reconcile, struct known *known, const char *name,
                         struct edit *edit)
{
    int rc = identity_uuid(reconcile->tool, known->domid, edit->uuid);

    if (rc == 0)
        rc = record_read(reconcile->tool, edit->uuid, &edit->config);
    if (rc == -ENOENT)
        return find_declared(reconcile, known, name, edit);
    if (rc == -EBADMSG)
        return restore_record(reconcile, known->domid, edit);
    if (rc == 0)
        rc = check_record_owner(reconcile, known, name, edit);
    watch_name(reconcile, known, rc == -EEXIST && !known->barred);
    return rc;
}

static bool backend_is_there(struct reconcile *reconcile, const struct spec *channel)
{
    domid_t backend;

    return identity_of_backend(reconcile->tool, channel, &backend) == 0 &&
           (backend == reconcile->tool->own || is_alive(reconcile, backend));
}

/* Returns whether the channel is present. */
static bool plug_missing(struct reconcile *reconcile, struct roster *roster,
                         const struct spec *channel, bool is_new)
{
    struct device_id id;
    domid_t backend;

    if (!backend_is_there(reconcile, channel)) {
        if (is_new)
            say_channel(reconcile, channel->name, "waiting for its backend's domain");
        return false;
    }
    if (plug_find_backend(reconcile->tool, channel, roster->frontend, &backend) < 0 ||
        plug_write(reconcile->tool, channel, roster, backend, &id) < 0)
        return false;
    say_channel(reconcile, channel->name, "plugged");
    return true;
}

/* Binds the record to the backend's uuid. Returns whether that is new. */
static bool bind_backend(struct reconcile *reconcile, struct edit *edit,
                         const struct spec *channel)
{
    struct spec before = *channel;

    return edit_put(reconcile->tool, edit, &before) == 0 && !spec_equal(&before, channel);
}

/* Returns whether the record must be written. */
static bool plug_declared(struct reconcile *reconcile, domid_t domid, struct edit *edit,
                          bool is_new)
{
    struct roster roster = ROSTER_OF(domid);
    const struct config *config = &edit->config;
    bool changed = false;
    int rc = roster_update(&roster, reconcile->tool->store);

    note_error(reconcile, rc);
    if (rc == 0)
        for (size_t i = 0; i < config->count; i++)
            if (!roster_has_name(&roster, config->channels[i].name) &&
                plug_missing(reconcile, &roster, &config->channels[i], is_new))
                changed |= bind_backend(reconcile, edit, &config->channels[i]);
    roster_free(&roster);
    return changed;
}

static void check_locked(struct reconcile *reconcile, domid_t domid, const char *name)
{
    struct known *known = know(reconcile, domid);
    struct edit edit = EDIT_NONE;
    bool is_new, moved;

    if (!known || known->barred)
        return;
    is_new = !known->looked;
    if (read_declared(reconcile, known, name, &edit) == 0) {
        known->looked = true;
        moved = edit.config.domid != domid;
        edit.config.domid = domid;
        record_touch(edit.uuid);
        if (plug_declared(reconcile, domid, &edit, is_new) || moved)
            keep(reconcile, &edit);
    }
    edit_close(&edit);
}

/* The lock of the name is held; takes the record's lock, too. */
static int check_named(struct reconcile *reconcile, domid_t domid, const char *name)
{
    char uuid[SPEC_UUID_MAX + 1];
    int rc = identity_uuid(reconcile->tool, domid, uuid);

    if (rc == 0)
        rc = record_try_lock(reconcile->tool, reconcile->locks, uuid);
    if (rc < 0)
        return rc;
    check_locked(reconcile, domid, name);
    record_unlock(reconcile->locks, uuid);
    return 0;
}

/* A domain that has shut down is about to go, or is kept for inspection. */
static void check_running(struct reconcile *reconcile, const libxl_dominfo *info)
{
    char *name = libxl_domid_to_name(reconcile->tool->ctx, info->domid);
    int rc;

    if (!name || info->dying || info->shutdown) {
        free(name);
        return;
    }
    about(reconcile, name);
    rc = record_try_lock(reconcile->tool, reconcile->locks, name);
    if (rc == 0) {
        rc = check_named(reconcile, (domid_t)info->domid, name);
        record_unlock(reconcile->locks, name);
    }
    if (rc == -EBUSY)
        reconcile->deferred = true;
    free(name);
}

/* --- a look --- */

static int look_once(struct reconcile *reconcile)
{
    struct tool *tool = reconcile->tool;
    int rc = devices_scan(tool->store, &reconcile->devices);

    if (rc < 0)
        return rc;
    /* after the scan: everything found of a domain that is not here now is left over */
    reconcile->domains = libxl_list_domain(tool->ctx, &reconcile->domain_count);
    if (!reconcile->domains)
        return -EIO;
    drop_dead_known(reconcile);
    check_devices(reconcile);
    for (int i = 0; i < reconcile->domain_count; i++)
        check_running(reconcile, &reconcile->domains[i]);
    return reconcile->error;
}

/* Call before a look, which notes which domains exist. */
static void pass_days(struct reconcile *reconcile)
{
    if (clock_ms() < reconcile->day)
        return;
    if (reconcile->day)
        record_pass_day();
    reconcile->day = clock_ms() + DAY;
}

int reconcile_look(struct reconcile *reconcile)
{
    struct tool *tool = reconcile->tool;
    int rc;

    reconcile->deferred = false;
    reconcile->error = 0;
    pass_days(reconcile);
    rc = look_once(reconcile);
    libxl_dominfo_list_free(reconcile->domains, reconcile->domain_count);
    devices_free(&reconcile->devices);
    reconcile->domains = NULL;
    reconcile->domain_count = 0;
    snprintf(tool->doing, sizeof(tool->doing), "daemon");
    if (rc < 0)
        tool_complain(tool, "cannot list the domains: %s", tool_why(rc));
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
    for (size_t i = 0; i < reconcile->known_count; i++)
        reconcile->known[i].looked = false;
}

void reconcile_free(struct reconcile *reconcile)
{
    free(reconcile->known);
    free(reconcile->graves);
}
