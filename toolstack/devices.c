/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/store.h"

/* How many levels of directories a scan goes down at most. */
#define DEPTH_MAX 3

/* A scan of directories "<root>/<number><middle>/<number>…" that collects the numbers. */
struct walk {
    const char *const *parts; /* the texts before each number */
    unsigned int depth;
    int (*found)(struct store *store, const uint32_t *numbers, struct devices *devices);
};

static int walk_down(struct store *store, const struct walk *walk, unsigned int level,
                     const char *dir, uint32_t *numbers, struct devices *devices)
{
    char path[DEVICE_PATH_MAX];
    uint32_t *found;
    size_t count;
    int rc;

    if (level == walk->depth)
        return walk->found(store, numbers, devices);
    snprintf(path, sizeof(path), "%s%s", dir, walk->parts[level]);
    rc = store_list_numbers(store, path, DEVICE_ID_MAX, &found, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        char below[DEVICE_PATH_MAX + 16];

        numbers[level] = found[i];
        snprintf(below, sizeof(below), "%s/%u", path, found[i]);
        rc = walk_down(store, walk, level + 1, below, numbers, devices);
    }
    free(found);
    return rc;
}

static int devices_add(struct devices *devices, const struct device_id *id)
{
    struct device_id *ids = reallocarray(devices->ids, devices->count + 1, sizeof(*ids));

    if (!ids)
        return -ENOMEM;
    devices->ids = ids;
    devices->ids[devices->count++] = *id;
    return 0;
}

static bool devices_have(const struct devices *devices, domid_t frontend, uint32_t devid)
{
    for (size_t i = 0; i < devices->count; i++)
        if (devices->ids[i].frontend == frontend && devices->ids[i].devid == devid)
            return true;
    return false;
}

/* T or F exists: numbers are frontend and devid. */
static int found_frontend(struct store *store, const uint32_t *numbers, struct devices *devices)
{
    struct device_id id = {.frontend = (domid_t)numbers[0], .devid = numbers[1]};
    int rc;

    if (devices_have(devices, id.frontend, id.devid))
        return 0;
    rc = device_read_backend(store, id.frontend, id.devid, &id.backend);
    return rc < 0 ? rc : devices_add(devices, &id);
}

/* B exists: numbers are backend, frontend and devid. */
static int found_backend(struct store *store, const uint32_t *numbers, struct devices *devices)
{
    struct device_id id = {
        .backend = (domid_t)numbers[0],
        .frontend = (domid_t)numbers[1],
        .devid = numbers[2],
    };

    (void)store;
    for (size_t i = 0; i < devices->count; i++)
        if (memcmp(&devices->ids[i], &id, sizeof(id)) == 0)
            return 0;
    return devices_add(devices, &id);
}

static int id_compare(const void *a, const void *b)
{
    const struct device_id *x = a, *y = b;

    if (x->frontend != y->frontend)
        return x->frontend < y->frontend ? -1 : 1;
    if (x->devid != y->devid)
        return x->devid < y->devid ? -1 : 1;
    return (x->backend > y->backend) - (x->backend < y->backend);
}

static const struct walk walks[] = {
    {(const char *const[]){"/libxl", "/device/vchan"}, 2, found_frontend},
    {(const char *const[]){"/local/domain", "/device/vchan"}, 2, found_frontend},
    {(const char *const[]){"/local/domain", "/backend/vchan", ""}, 3, found_backend},
};

int devices_scan(struct store *store, struct devices *devices)
{
    uint32_t numbers[DEPTH_MAX];
    int rc = 0;

    *devices = (struct devices){.count = 0};
    for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]) && rc == 0; i++)
        rc = walk_down(store, &walks[i], 0, "", numbers, devices);
    if (rc < 0)
        devices_free(devices);
    else if (devices->count)
        qsort(devices->ids, devices->count, sizeof(*devices->ids), id_compare);
    return rc;
}

void devices_free(struct devices *devices)
{
    free(devices->ids);
    *devices = (struct devices){.count = 0};
}

static int read_backend_in(struct store *store, const char *dir, domid_t *backend)
{
    uint32_t domid;
    int rc = store_read_number(store, dir, "backend-id", DOMID_FIRST_RESERVED - 1, &domid);

    if (rc == 0)
        *backend = (domid_t)domid;
    return store_is_nothing(rc) ? 0 : rc;
}

int device_read_backend(struct store *store, domid_t frontend, uint32_t devid, domid_t *backend)
{
    struct device_id id = {.frontend = frontend, .devid = devid};
    char dir[DEVICE_PATH_MAX];
    int rc;

    *backend = DEVICE_BACKEND_UNKNOWN;
    device_libxl_path(&id, dir);
    rc = read_backend_in(store, dir, backend);
    if (rc < 0 || *backend != DEVICE_BACKEND_UNKNOWN)
        return rc;
    device_frontend_path(&id, dir);
    return read_backend_in(store, dir, backend);
}

int device_name_of(struct store *store, const struct device_id *id, char name[DEVICE_NAME_MAX + 1])
{
    static void (*const path_of[])(const struct device_id *, char[DEVICE_PATH_MAX]) = {
        device_libxl_path, device_backend_path, device_frontend_path};
    char dir[DEVICE_PATH_MAX];

    for (size_t i = 0; i < sizeof(path_of) / sizeof(path_of[0]); i++) {
        int rc;

        path_of[i](id, dir);
        rc = store_read_text(store, dir, "name", name, DEVICE_NAME_MAX + 1);
        if (rc == 0 && device_name_valid(name))
            return 0;
        if (rc < 0 && !store_is_nothing(rc))
            return rc;
    }
    return -ENOENT;
}

/* Returns 0, -ENOENT, or another negative errno. */
static int find_name(struct store *store, const struct devices *devices, domid_t frontend,
                     const char *text, struct device_id *id)
{
    char name[DEVICE_NAME_MAX + 1];

    for (size_t i = 0; i < devices->count; i++) {
        int rc;

        *id = devices->ids[i];
        if (id->frontend != frontend)
            continue;
        rc = device_name_of(store, id, name);
        if (rc == 0 && strcmp(name, text) == 0)
            return 0;
        if (rc < 0 && rc != -ENOENT)
            return rc;
    }
    return -ENOENT;
}

static bool find_devid(const struct devices *devices, domid_t frontend, const char *text,
                       struct device_id *id)
{
    uint32_t devid;

    if (parse_number(text, DEVICE_ID_MAX, &devid) < 0)
        return false;
    for (size_t i = 0; i < devices->count; i++) {
        *id = devices->ids[i];
        if (id->frontend == frontend && id->devid == devid)
            return true;
    }
    return false;
}

int device_find(struct store *store, domid_t frontend, const char *text, struct device_id *id)
{
    struct devices devices;
    int rc = devices_scan(store, &devices);

    if (rc < 0)
        return rc;
    rc = find_name(store, &devices, frontend, text, id);
    if (rc == -ENOENT && find_devid(&devices, frontend, text, id))
        rc = 0;
    devices_free(&devices);
    return rc;
}
