/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/roster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int entry_compare(const void *a, const void *b)
{
    const struct roster_entry *x = a, *y = b;

    return (x->devid > y->devid) - (x->devid < y->devid);
}

/* A name that cannot be read does not count as missing: it would then look free. */
static int read_name(struct store *store, domid_t frontend, struct roster_entry *entry)
{
    struct device_id id = {.frontend = frontend, .devid = entry->devid};
    char dir[DEVICE_PATH_MAX];
    int rc;

    device_libxl_path(&id, dir);
    rc = store_read_text(store, dir, "name", entry->name, sizeof(entry->name));
    if (rc < 0 || !device_name_valid(entry->name))
        entry->name[0] = '\0';
    return rc == -ENOENT || rc == -EINVAL || rc == -EOVERFLOW ? 0 : rc;
}

/* An entry without a name may be just disappearing: it is read again each time. */
static int take_entry(const struct roster *roster, struct store *store, struct roster_entry *entry)
{
    const struct roster_entry *known = NULL;

    if (roster->count)
        known = bsearch(entry, roster->entries, roster->count, sizeof(*entry), entry_compare);
    if (!known || known->name[0] == '\0')
        return read_name(store, roster->frontend, entry);
    *entry = *known;
    return 0;
}

int roster_update(struct roster *roster, struct store *store)
{
    struct roster now = ROSTER_OF(roster->frontend);
    char dir[DEVICE_PATH_MAX];
    uint32_t *devids;
    size_t listed;
    int rc;

    snprintf(dir, sizeof(dir), "/libxl/%u/device/vchan", roster->frontend);
    rc = store_list_numbers(store, dir, DEVICE_ID_MAX, &devids, &listed);
    if (rc < 0)
        return rc;
    now.entries = calloc(listed + 1, sizeof(*now.entries));
    rc = now.entries ? 0 : -ENOMEM;
    for (size_t i = 0; i < listed && rc == 0; i++) {
        now.entries[now.count].devid = devids[i];
        rc = take_entry(roster, store, &now.entries[now.count++]);
    }
    free(devids);
    if (rc < 0) {
        roster_free(&now);
        return rc;
    }
    qsort(now.entries, now.count, sizeof(*now.entries), entry_compare);
    roster_free(roster);
    *roster = now;
    return 0;
}

bool roster_has_name(const struct roster *roster, const char *name)
{
    for (size_t i = 0; i < roster->count; i++)
        if (strcmp(roster->entries[i].name, name) == 0)
            return true;
    return false;
}

uint32_t roster_free_devid(const struct roster *roster, uint32_t devid)
{
    for (size_t i = 0; i < roster->count; i++)
        devid += roster->entries[i].devid == devid;
    return devid;
}

void roster_free(struct roster *roster)
{
    free(roster->entries);
    roster->entries = NULL;
    roster->count = 0;
}
