/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/log.h"
#include "state/device.h"

/* Space for a domain's id as text, with its NUL. */
#define ID_MAX 8

static void write_id(domid_t domid, char id[ID_MAX])
{
    snprintf(id, ID_MAX, "%u", domid);
}

static bool is_id(const char *text, domid_t *domid)
{
    uint32_t number;

    if (parse_number(text, DOMID_FIRST_RESERVED - 1, &number) < 0 || (text[0] == '0' && text[1]))
        return false;
    *domid = (domid_t)number;
    return true;
}

static int run_dir_open(void)
{
    int dir = open(SPEC_RUN_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    /* cppcheck-suppress resourceLeak ; it is returned */
    return dir < 0 ? -errno : dir;
}

static bool has_default_path(const struct connection *connection)
{
    return !connection->spec.path[0] && spec_has_default(&connection->spec, SPEC_PATH);
}

/* ---- names in a directory ---- */

/* Calls visit() for each name but "." and "..", until one returns other than 0. Returns that. */
static int each_name(int dir, int (*visit)(int dir, const char *name, void *arg), void *arg)
{
    int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *names = own < 0 ? NULL : fdopendir(own);
    struct dirent *entry;

    if (!names) {
        rc = -errno;
        if (own >= 0)
            close(own);
        return rc;
    }
    while (rc == 0 && (entry = readdir(names)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = visit(dir, entry->d_name, arg);
    closedir(names);
    return rc;
}

/* ---- links ---- */

/* Finds out to which domain's directory a link leads. Returns false if it leads to none. */
static bool link_target(int dir, const char *name, domid_t *target)
{
    char id[ID_MAX];
    ssize_t length = readlinkat(dir, name, id, sizeof(id) - 1);

    if (length < 0)
        return false;
    id[length] = '\0';
    return is_id(id, target);
}

/* Links to a domain's directory. */
struct links {
    domid_t domid;
    const char *except; /* the link that stays; or NULL */
};

static int remove_link(int dir, const char *name, void *arg)
{
    const struct links *links = arg;
    domid_t target;

    if (link_target(dir, name, &target) && target == links->domid &&
        (!links->except || strcmp(name, links->except) != 0))
        unlinkat(dir, name, 0);
    return 0;
}

/* Whether a domain's name cannot be mistaken for a lock ("devices", "vchan-backend") or a domid. */
static bool is_link_name(const char *name)
{
    return device_name_valid(name) && name[0] != '.' && name[strspn(name, "0123456789")] != '\0' &&
           strcmp(name, "devices") != 0 && strncmp(name, "vchan-", strlen("vchan-")) != 0 &&
           strncmp(name, "xl-vchan", strlen("xl-vchan")) != 0;
}

/* Reads a domain's name. Returns false if there is none, or it cannot be a link's. */
static bool read_link_name(struct store *store, domid_t domid, char name[DEVICE_NAME_MAX + 1])
{
    char dir[DEVICE_PATH_MAX];

    snprintf(dir, sizeof(dir), "/local/domain/%u", domid);
    return store_read_text(store, dir, "name", name, DEVICE_NAME_MAX + 1) == 0 &&
           is_link_name(name);
}

/* Creates a link, and replaces one of that name in one step. */
static int replace_link(int dir, const char *name, domid_t domid)
{
    char id[ID_MAX], made[DEVICE_NAME_MAX + 2];

    write_id(domid, id);
    snprintf(made, sizeof(made), ".%s", name);
    unlinkat(dir, made, 0);
    if (symlinkat(id, dir, made) < 0)
        return -errno;
    return renameat(dir, made, dir, name) < 0 ? -errno : 0;
}

/*
 * Returns 0 if the name is free, or has a link that is out of date; 1 if the link leads to our
 * domain already; -EEXIST if it is another's; or another negative errno.
 */
static int check_domain_link(const struct connection *connection, int dir, const char *name,
                             enum log_level level)
{
    char other[DEVICE_NAME_MAX + 1];
    struct stat file;
    domid_t target;

    if (fstatat(dir, name, &file, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!link_target(dir, name, &target))
        return -EEXIST;
    if (target == connection->peer)
        return 1;
    if (faccessat(dir, name, F_OK, 0) < 0 || !read_link_name(connection->store, target, other) ||
        strcmp(other, name) != 0)
        return 0; /* the other domain has no directory, was renamed, or is gone */
    connection_log(connection, level,
                   "domain %u is called %s too: " SPEC_RUN_DIR "/%s does not lead to this one",
                   target, name, name);
    return -EEXIST;
}

/* Updates the link. level is for the line that two domains have the same name. */
static void follow_name(const struct connection *connection, int dir, enum log_level level)
{
    char name[DEVICE_NAME_MAX + 1];
    struct links old = {.domid = connection->peer, .except = name};
    int rc;

    if (!read_link_name(connection->store, connection->peer, name))
        return;
    rc = check_domain_link(connection, dir, name, level);
    if (rc == 0)
        rc = replace_link(dir, name, connection->peer);
    if (rc == 0)
        each_name(dir, remove_link, &old);
    else if (rc < 0 && rc != -EEXIST)
        connection_log(connection, LOG_CHANGES, "cannot make the link " SPEC_RUN_DIR "/%s: %s",
                       name, strerror(-rc));
}

void path_follow_name(const struct connection *connection)
{
    int dir = has_default_path(connection) ? run_dir_open() : -1;

    if (dir < 0)
        return;
    follow_name(connection, dir, LOG_DETAILS);
    close(dir);
}

/* ---- a channel's path ---- */

static int make_directory(const struct connection *connection)
{
    char id[ID_MAX];
    int dir = run_dir_open(), rc = 0;

    if (dir < 0)
        return dir;
    write_id(connection->peer, id);
    if (mkdirat(dir, id, 0755) < 0 && errno != EEXIST)
        rc = -errno;
    if (rc == 0)
        follow_name(connection, dir, LOG_CHANGES);
    close(dir);
    return rc;
}

int path_choose(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    int rc;

    snprintf(connection->path, sizeof(connection->path), "%s", connection->spec.path);
    if (!has_default_path(connection))
        return 0;
    if (connection->peer == DOMID_INVALID ||
        !spec_default_path(connection->peer, connection_name(connection), connection->path)) {
        snprintf(why, CONNECTION_WHY_MAX,
                 "its name is not valid, or begins with a dot, and so has "
                 "no default path");
        return -EINVAL;
    }
    rc = make_directory(connection);
    if (rc < 0)
        snprintf(why, CONNECTION_WHY_MAX, "cannot make the directory of its default path: %s",
                 strerror(-rc));
    return rc;
}

/* Removes a domain's directory if it is empty, and then the links to it. */
static void remove_directory(int dir, domid_t domid)
{
    struct links all = {.domid = domid};
    char id[ID_MAX];

    write_id(domid, id);
    if (unlinkat(dir, id, AT_REMOVEDIR) == 0)
        each_name(dir, remove_link, &all);
}

void path_leave(const struct connection *connection)
{
    int dir = has_default_path(connection) ? run_dir_open() : -1;

    if (dir < 0)
        return;
    remove_directory(dir, connection->peer);
    close(dir);
}

/* ---- files that killed processes left ---- */

/* The names of all channels with one domain, each between two slashes. */
struct declared {
    struct store *store;
    domid_t peer;
    FILE *names;
};

static int add_declared_name(const struct declared *declared, const char *dir)
{
    char name[DEVICE_NAME_MAX + 1];
    int rc = store_read_text(declared->store, dir, "name", name, sizeof(name));

    if (rc == 0)
        fprintf(declared->names, "%s/", name);
    return store_is_nothing(rc) ? 0 : rc;
}

static int add_backend_names(const struct declared *declared)
{
    char dir[DEVICE_PATH_MAX];
    uint32_t *devids;
    size_t count;
    int rc;

    snprintf(dir, sizeof(dir), "backend/vchan/%u", declared->peer);
    rc = store_list_numbers(declared->store, dir, DEVICE_ID_MAX, &devids, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        snprintf(dir, sizeof(dir), "backend/vchan/%u/%u", declared->peer, devids[i]);
        rc = add_declared_name(declared, dir);
    }
    free(devids);
    return rc;
}

static int add_frontend_names(const struct declared *declared)
{
    char dir[DEVICE_PATH_MAX];
    uint32_t *devids, backend;
    size_t count;
    int rc = store_list_numbers(declared->store, "device/vchan", DEVICE_ID_MAX, &devids, &count);

    for (size_t i = 0; i < count && rc == 0; i++) {
        snprintf(dir, sizeof(dir), "device/vchan/%u", devids[i]);
        rc = store_read_number(declared->store, dir, "backend-id", UINT16_MAX, &backend);
        if (rc == 0 && backend == declared->peer)
            rc = add_declared_name(declared, dir);
        if (store_is_nothing(rc))
            rc = 0;
    }
    free(devids);
    return rc;
}

/* Lists the names of all channels with a domain. On success the caller frees *names. */
static int list_declared(struct store *store, domid_t peer, char **names)
{
    size_t size;
    struct declared declared = {
        .store = store, .peer = peer, .names = open_memstream(names, &size)};
    int rc;

    if (!declared.names)
        return -ENOMEM;
    fputc('/', declared.names);
    rc = add_backend_names(&declared);
    if (rc == 0)
        rc = add_frontend_names(&declared);
    if (fclose(declared.names) != 0 && rc == 0)
        rc = -ENOMEM;
    if (rc < 0)
        free(*names);
    return rc;
}

static int remove_undeclared(int dir, const char *name, void *arg)
{
    char between[NAME_MAX + 3];

    snprintf(between, sizeof(between), "/%s/", name);
    if (!strstr(arg, between))
        unlinkat(dir, name, 0);
    return 0;
}

static void sweep_directory(struct store *store, int run, const char *id, domid_t domid)
{
    int dir = openat(run, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char *names;

    if (dir < 0)
        return;
    if (list_declared(store, domid, &names) == 0) {
        each_name(dir, remove_undeclared, names);
        free(names);
        remove_directory(run, domid);
    }
    close(dir);
}

static int sweep_name(int run, const char *name, void *arg)
{
    domid_t domid;

    if (is_id(name, &domid))
        sweep_directory(arg, run, name, domid);
    else if (link_target(run, name, &domid) && faccessat(run, name, F_OK, 0) < 0)
        unlinkat(run, name, 0);
    return 0;
}

void path_sweep(struct store *store)
{
    int run = run_dir_open();

    if (run < 0)
        return;
    each_name(run, sweep_name, store);
    close(run);
}
