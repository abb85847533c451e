/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/config-search.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Files larger than this are no config files; such directories may hold other things. */
#define FILE_MAX (1 << 20)

/* How well a file matches the domain. */
enum fit { FIT_NOT, FIT_NAME, FIT_UUID };

struct search {
    struct tool *tool;
    const char *name, *uuid;
    enum fit fit; /* of the best match so far */
    char path[PATH_MAX];
    struct stat status;
    char other[PATH_MAX]; /* another file that matches as well, or "" */
};

/* A file that is no config file at all is skipped without a message. */
static enum fit fit_of(const struct search *search, const char *path)
{
    struct config config;
    char why[CONFIG_WHY_MAX];
    enum fit fit = FIT_NOT;

    if (config_read_identity(path, &config, why) < 0)
        return FIT_NOT;
    if (config.uuid)
        fit = strcasecmp(config.uuid, search->uuid) == 0 ? FIT_UUID : FIT_NOT;
    else if (config.name && strcmp(config.name, search->name) == 0)
        fit = FIT_NAME;
    config_free(&config);
    return fit;
}

/* /etc/xen/auto is usually full of links to files in /etc/xen. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Copies made by editors, packagers and people do not count as declarations. */
static bool is_copy(const char *name)
{
    static const char *const ends[] = {"~",        ".bak",     ".old",    ".orig",  ".save",
                                       ".rpmsave", ".rpmorig", ".rpmnew", ".swp",   ".tmp",
                                       ".new",     ".disabled", ".off"};
    size_t length = strlen(name);

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t end = strlen(ends[i]);

        if (length >= end && strcasecmp(name + length - end, ends[i]) == 0)
            return true;
    }
    return strstr(name, ".dpkg-") || strstr(name, ".ucf-");
}

/* Warns, since the administrator may have meant the file to count. */
static void complain_copy(const struct search *search, const char *path)
{
    tool_complain(search->tool,
                  "%s declares this domain but is ignored: its name looks like a backup copy", path);
}

static void try_file(struct search *search, const char *path)
{
    struct stat status;
    enum fit fit;

    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_MAX ||
        (search->fit != FIT_NOT && is_same_file(&status, &search->status)))
        return;
    fit = fit_of(search, path);
    if (fit != FIT_NOT && is_copy(path)) {
        complain_copy(search, path);
        return;
    }
    if (fit == FIT_NOT || fit < search->fit)
        return;
    if (fit == search->fit) {
        snprintf(search->other, sizeof(search->other), "%s", path);
        return;
    }
    search->fit = fit;
    search->status = status;
    search->other[0] = '\0';
    snprintf(search->path, sizeof(search->path), "%s", path);
}

static void try_dir(struct search *search, const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char file[PATH_MAX];

        if (entry->d_name[0] != '.' &&
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < (int)sizeof(file))
            try_file(search, file);
    }
    if (dir)
        closedir(dir);
}

static int read_found(const struct search *search, struct config *config)
{
    char why[CONFIG_WHY_MAX];
    int rc = config_read(search->path, "", config, why);

    if (rc < 0)
        tool_complain(search->tool, "%s", why);
    return rc;
}

int config_search(struct tool *tool, const struct config_dirs *dirs, const char *name,
                  const char *uuid, struct config *config, bool *by_name)
{
    struct search search = {.tool = tool, .name = name, .uuid = uuid};

    for (size_t i = 0; i < dirs->count; i++)
        try_dir(&search, dirs->dirs[i]);
    *config = (struct config){.count = 0};
    *by_name = search.fit == FIT_NAME;
    if (search.fit == FIT_NOT)
        return -ENOENT;
    if (search.other[0] == '\0')
        return read_found(&search, config);
    tool_complain(tool,
                  "the domain is declared in both %s and %s (remove one of them, or choose one "
                  "with xl-vchan apply)",
                  search.path, search.other);
    return -ENOTUNIQ;
}
