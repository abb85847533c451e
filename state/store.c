/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/store.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "state/descriptor.h"

/* A commit that fails so often is no accident: another process writes there in a loop. */
#define TRANSACTION_TRIES 1000
#define CONFLICT_TRIES    20

struct store {
    struct xs_handle *xs;
    xs_transaction_t transaction; /* used by every call; XBT_NULL outside a transaction */
    uint64_t exchanges;
};

/* Counts an exchange with xenstored. */
static struct xs_handle *ask(struct store *store)
{
    store->exchanges++;
    return store->xs;
}

/*
 * A broken connection gives the errors of its socket. xenstored uses ENOSPC for a quota; elsewhere
 * it has other meanings.
 */
static int store_error(void)
{
    if (errno == ENOSPC)
        return -EDQUOT;
    return errno && errno != EBADF && errno != EPIPE ? -errno : -EIO;
}

/*
 * Opens the connection together with its pipe, which libxenstore otherwise makes when first asked
 * for its descriptor.
 */
static struct xs_handle *connect_guarded(void)
{
    struct xs_handle *xs;

    descriptor_guard();
    xs = xs_open(0); /* with XS_UNWATCH_FILTER, xs_unwatch() leaks memory (4.17) */
    if (xs)
        xs_fileno(xs);
    descriptor_unguard();
    return xs;
}

int store_open(struct store **out)
{
    struct store *store = calloc(1, sizeof(*store));

    *out = NULL;
    if (!store)
        return -ENOMEM;
    errno = 0;
    store->xs = connect_guarded();
    if (!store->xs) {
        bool none = errno == ENOENT || errno == ENXIO || errno == ECONNREFUSED;
        int rc = none ? -ENODEV : store_error();

        free(store);
        return rc;
    }
    store->transaction = XBT_NULL;
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->transaction != XBT_NULL)
        xs_transaction_end(ask(store), store->transaction, true);
    xs_close(store->xs);
    free(store);
}

int store_fd(struct store *store)
{
    return xs_fileno(store->xs);
}

uint64_t store_exchanges(const struct store *store)
{
    return store->exchanges;
}

int store_own_domid(struct store *store, domid_t *domid)
{
    uint32_t value;
    int rc = store_read_number(store, NULL, "domid", DOMID_FIRST_RESERVED - 1, &value);

    if (rc == 0)
        *domid = (domid_t)value;
    return rc;
}

static int join_path(char path[STORE_PATH_MAX], const char *dir, const char *key)
{
    int length = dir ? snprintf(path, STORE_PATH_MAX, "%s/%s", dir, key)
                     : snprintf(path, STORE_PATH_MAX, "%s", key);

    return length < STORE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Reads the raw value with a NUL added; the caller frees it. */
static int read_raw(struct store *store, const char *dir, const char *key, char **value,
                    unsigned int *length)
{
    char path[STORE_PATH_MAX];
    int rc = join_path(path, dir, key);

    if (rc < 0)
        return rc;
    *value = xs_read(ask(store), store->transaction, path, length);
    return *value ? 0 : store_error();
}

bool store_is_nothing(int rc)
{
    return rc == -ENOENT || rc == -EINVAL || rc == -ERANGE || rc == -EOVERFLOW;
}

int store_has(struct store *store, const char *dir, const char *key)
{
    char *value;
    unsigned int length;
    int rc = read_raw(store, dir, key, &value, &length);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    free(value);
    return 1;
}

bool store_exists(struct store *store, const char *dir, const char *key)
{
    return store_has(store, dir, key) > 0;
}

int store_read_text(struct store *store, const char *dir, const char *key, char *text, size_t size)
{
    char *value;
    unsigned int length;
    int rc = read_raw(store, dir, key, &value, &length);

    if (rc < 0)
        return rc;
    if (memchr(value, '\0', length))
        rc = -EINVAL;
    else if (length >= size)
        rc = -EOVERFLOW;
    else
        memcpy(text, value, length + 1);
    free(value);
    return rc;
}

int parse_number(const char *text, uint32_t max, uint32_t *value)
{
    uint64_t sum = 0;

    if (*text == '\0')
        return -EINVAL;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9')
            return -EINVAL;
        sum = sum * 10 + (uint64_t)(*c - '0');
        if (sum > max)
            return c[1 + strspn(c + 1, "0123456789")] ? -EINVAL : -ERANGE;
    }
    *value = (uint32_t)sum;
    return 0;
}

const char *store_path_in_domain(const char *path, domid_t *domid)
{
    static const char root[] = "/local/domain/";
    const char *number, *slash;
    uint32_t value;
    char digits[8];

    if (strncmp(path, root, strlen(root)) != 0)
        return NULL;
    number = path + strlen(root);
    slash = strchr(number, '/');
    if (!slash || (size_t)(slash - number) >= sizeof(digits))
        return NULL;
    snprintf(digits, sizeof(digits), "%.*s", (int)(slash - number), number);
    if (parse_number(digits, DOMID_FIRST_RESERVED - 1, &value) < 0)
        return NULL;
    *domid = (domid_t)value;
    return slash + 1;
}

int store_read_number(struct store *store, const char *dir, const char *key, uint32_t max,
                      uint32_t *value)
{
    char text[32];
    int rc = store_read_text(store, dir, key, text, sizeof(text));

    if (rc == -EOVERFLOW)
        return -EINVAL;
    return rc < 0 ? rc : parse_number(text, max, value);
}

int store_read_state(struct store *store, const char *dir, enum xenbus_state *state)
{
    uint32_t value;
    int rc = store_read_number(store, dir, "state", XenbusStateReconfigured, &value);

    *state = XenbusStateUnknown;
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc == -ERANGE ? -EINVAL : rc;
    *state = (enum xenbus_state)value;
    return 0;
}

int store_write_text(struct store *store, const char *dir, const char *key, const char *text)
{
    char path[STORE_PATH_MAX];
    int rc = join_path(path, dir, key);

    if (rc < 0)
        return rc;
    if (!xs_write(ask(store), store->transaction, path, text, (unsigned int)strlen(text)))
        return store_error();
    return 0;
}

int store_write_number(struct store *store, const char *dir, const char *key, uint32_t value)
{
    char text[16];

    snprintf(text, sizeof(text), "%" PRIu32, value);
    return store_write_text(store, dir, key, text);
}

struct device_write {
    const char *dir, *key, *text;
};

static int fill_device_key(struct store *store, void *arg)
{
    const struct device_write *write = arg;

    if (!store_exists(store, write->dir, "state"))
        return -ENOENT;
    return store_write_text(store, write->dir, write->key, write->text);
}

int store_write_device(struct store *store, const char *dir, const char *key, const char *text)
{
    struct device_write write = {.dir = dir, .key = key, .text = text};

    return store_transaction(store, fill_device_key, &write);
}

int store_write_state(struct store *store, const char *dir, enum xenbus_state state)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", state);
    return store_write_device(store, dir, "state", text);
}

int store_make_directory_for(struct store *store, const char *path, domid_t owner,
                             const domid_t readers[2])
{
    /* The first entry is the owner with everybody else's rights. */
    struct xs_permissions perms[3] = {{.id = owner, .perms = XS_PERM_NONE}};
    unsigned int count = 1;

    for (int i = 0; i < 2; i++)
        if (readers[i] != STORE_NOBODY && readers[i] != owner)
            perms[count++] = (struct xs_permissions){.id = readers[i], .perms = XS_PERM_READ};
    if (!xs_mkdir(ask(store), store->transaction, path))
        return store_error();
    if (!xs_set_permissions(ask(store), store->transaction, path, perms, count))
        return store_error();
    return 0;
}

int store_make_directory(struct store *store, const char *path, domid_t owner, domid_t reader)
{
    return store_make_directory_for(store, path, owner, (domid_t[]){reader, STORE_NOBODY});
}

int store_remove(struct store *store, const char *path)
{
    if (xs_rm(ask(store), store->transaction, path) || errno == ENOENT)
        return 0;
    return store_error();
}

static bool is_empty(struct store *store, const char *path)
{
    unsigned int count = 1;
    char **names = xs_directory(ask(store), store->transaction, path, &count);

    free(names);
    return names && count == 0;
}

int store_remove_upward(struct store *store, const char *path, const char *stop)
{
    char parent[STORE_PATH_MAX];
    int rc = store_remove(store, path);

    if (rc == 0)
        rc = join_path(parent, NULL, path);
    while (rc == 0) {
        char *slash = strrchr(parent, '/');

        if (!slash)
            break;
        *slash = '\0';
        if (strlen(parent) <= strlen(stop) || !is_empty(store, parent))
            break;
        rc = store_remove(store, parent);
    }
    return rc;
}

int store_list_numbers(struct store *store, const char *dir, uint32_t max, uint32_t **numbers,
                       size_t *count)
{
    unsigned int listed = 0;
    char **names = xs_directory(ask(store), store->transaction, dir, &listed);

    *numbers = NULL;
    *count = 0;
    if (!names && errno != ENOENT)
        return store_error();
    /* + 1: calloc() of none may return NULL, which is not out of memory */
    *numbers = calloc(listed + 1, sizeof(**numbers));
    for (unsigned int i = 0; *numbers && i < listed; i++)
        *count += parse_number(names[i], max, &(*numbers)[*count]) == 0;
    free(names);
    return *numbers ? 0 : -ENOMEM;
}

/*
 * A domain may have 10 transactions open in all its processes together (xenstored's default). If
 * there are too many, wait: the others are as short as ours, and no event announces their end.
 */
static xs_transaction_t start_transaction(struct store *store)
{
    for (int try = 0; try < TRANSACTION_TRIES; try++) {
        xs_transaction_t transaction = xs_transaction_start(ask(store));

        if (transaction != XBT_NULL || errno != ENOSPC)
            return transaction;
        poll(NULL, 0, 1);
    }
    errno = ENOSPC;
    return XBT_NULL;
}

/*
 * In a transaction, each node is read as it was at its first read. If others change two nodes
 * meanwhile, these may not fit together, and xenstored returns such errors before the commit fails.
 */
static bool is_conflict(int rc)
{
    return rc == -EIO || rc == -EINVAL;
}

int store_transaction(struct store *store, int (*fill)(struct store *store, void *arg), void *arg)
{
    int conflicts = 0;

    if (store->transaction != XBT_NULL)
        return -EBUSY;

    for (int try = 0; try < TRANSACTION_TRIES; try++) {
        bool committed;
        int rc;

        store->transaction = start_transaction(store);
        if (store->transaction == XBT_NULL)
            return store_error();
        rc = fill(store, arg);
        committed = xs_transaction_end(ask(store), store->transaction, rc < 0);
        store->transaction = XBT_NULL;
        if (is_conflict(rc) && conflicts++ < CONFLICT_TRIES)
            continue;
        if (rc < 0 || committed)
            return rc;
        if (errno != EAGAIN)
            return store_error();
    }
    return -EAGAIN;
}

int store_watch(struct store *store, const char *path, const char *token)
{
    if (xs_watch(ask(store), path, token))
        return 0;
    return errno == E2BIG ? -EDQUOT : store_error(); /* xenstored's errno for this quota */
}

int store_unwatch(struct store *store, const char *path, const char *token)
{
    return xs_unwatch(ask(store), path, token) ? 0 : store_error();
}

int store_next_event(struct store *store, struct store_event *event)
{
    char **watch = xs_check_watch(store->xs);
    int rc;

    if (!watch && errno == EINVAL)
        return -EIO; /* libxenstore's errno for a broken connection */
    if (!watch)
        return errno == EAGAIN ? 0 : store_error();
    rc = join_path(event->path, NULL, watch[XS_WATCH_PATH]);
    if (snprintf(event->token, sizeof(event->token), "%s", watch[XS_WATCH_TOKEN]) >=
        (int)sizeof(event->token))
        rc = -ENAMETOOLONG;
    free(watch);
    return rc < 0 ? rc : 1;
}

int store_skip_events(struct store *store)
{
    struct store_event event;
    int rc;

    while ((rc = store_next_event(store, &event)) > 0)
        continue;
    return rc;
}
