/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "service/kinds/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

#define LINKS_MAX 40
#define PARTS_MAX 256 /* bounds the time: links can add any number of parts */

struct walk {
    int dir;     /* the directory reached so far, O_PATH */
    bool shared; /* other users can create entries there, but not replace root's */
    bool follow;
    unsigned int links, parts;
    struct blame *blame;
    char trail[PATH_MAX]; /* the same as a path, for errors: "/run"; "" is the root */
    char rest[PATH_MAX];  /* the path to walk */
    const char *next;     /* where in rest the walk continues */
};

struct fd_path fd_path(int fd)
{
    struct fd_path path;

    snprintf(path.path, sizeof(path.path), "/proc/self/fd/%d", fd);
    return path;
}

void spot_close(struct spot *spot)
{
    if (spot->file >= 0)
        close(spot->file);
    close(spot->dir);
}

/* ---- places that no channel may use ---- */

static bool is_at(const struct stat *file, const char *path)
{
    struct stat other;

    return stat(path, &other) == 0 && other.st_dev == file->st_dev && other.st_ino == file->st_ino;
}

/* Whether the file is xenstored's socket, where libxenstore finds it or at a usual place. */
static bool is_xenstored(const struct stat *file)
{
    const char *path = getenv("XENSTORED_PATH"), *dir = getenv("XENSTORED_RUNDIR");
    char in_dir[PATH_MAX];

    snprintf(in_dir, sizeof(in_dir), "%s/socket", dir ? dir : "/var/run/xenstored");
    return (path && is_at(file, path)) || is_at(file, in_dir) ||
           is_at(file, "/run/xenstored/socket") || is_at(file, "/var/run/xenstored/socket");
}

static bool is_forbidden(const struct stat *file)
{
    if (S_ISDIR(file->st_mode))
        return is_at(file, "/dev/xen") || is_at(file, "/proc/xen");
    return S_ISSOCK(file->st_mode) && is_xenstored(file);
}

/* ---- owners ---- */

static bool is_ours(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static bool is_on(int fd, long magic)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == magic;
}

static void extend_trail(struct walk *walk, const char *name)
{
    size_t length = strlen(walk->trail);

    if (strcmp(name, "..") == 0)
        walk->trail[length ? (size_t)(strrchr(walk->trail, '/') - walk->trail) : 0] = '\0';
    else
        snprintf(walk->trail + length, sizeof(walk->trail) - length, "/%s", name);
}

/* Blames the last part of the trail. Returns -ENOKEY. */
static int walk_blame(const struct walk *walk, enum blame_why why, uint32_t id)
{
    walk->blame->why = why;
    walk->blame->id = id;
    snprintf(walk->blame->part, sizeof(walk->blame->part), "%.127s",
             walk->trail[0] ? walk->trail : "/");
    return -ENOKEY;
}

/* The mode does not show an access list's users. Its group bits bound what they may do. */
static bool has_access_list(int dir)
{
    return getxattr(fd_path(dir).path, "system.posix_acl_access", NULL, 0) >= 0 ||
           (errno != ENODATA && errno != EOPNOTSUPP);
}

static bool is_group_writable(int dir, const struct stat *stat)
{
    return stat->st_mode & S_IWGRP && (stat->st_gid != 0 || has_access_list(dir));
}

static int check_dir(struct walk *walk, const struct stat *stat)
{
    bool group = is_group_writable(walk->dir, stat), all = stat->st_mode & S_IWOTH;

    if (is_on(walk->dir, FUSE_SUPER_MAGIC))
        return walk_blame(walk, BLAME_FUSE, 0);
    if (!is_ours(stat->st_uid))
        return walk_blame(walk, BLAME_USER, stat->st_uid);
    walk->shared = group || all;
    if (!walk->shared || stat->st_mode & S_ISVTX)
        return 0;
    return all ? walk_blame(walk, BLAME_EVERYBODY, 0) : walk_blame(walk, BLAME_GROUP, stat->st_gid);
}

/* For links and files. In a shared directory, another user may have made a hard link to root's. */
static int check_entry(struct walk *walk, const char *name, const struct stat *stat)
{
    bool others = (S_ISLNK(stat->st_mode) || walk->shared) && !is_ours(stat->st_uid);

    if (!others && (!walk->shared || stat->st_nlink == 1))
        return 0;
    extend_trail(walk, name);
    return others ? walk_blame(walk, BLAME_USER, stat->st_uid)
                  : walk_blame(walk, BLAME_EVERYBODY, 0);
}

/* ---- the walk ---- */

/* Makes dir the walk's directory, and its own even on failure. */
static int enter_dir(struct walk *walk, int dir, const char *name)
{
    struct stat stat;

    if (walk->dir >= 0)
        close(walk->dir);
    walk->dir = dir;
    extend_trail(walk, name);
    if (fstat(dir, &stat) < 0)
        return -errno;
    if (!S_ISDIR(stat.st_mode))
        return -ENOTDIR;
    if (is_forbidden(&stat))
        return -EKEYREJECTED;
    return walk->blame ? check_dir(walk, &stat) : 0;
}

static int enter_root(struct walk *walk)
{
    int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return -errno;
    walk->trail[0] = '\0';
    return enter_dir(walk, dir, "..");
}

/* Inserts a link's target before the rest of the path. */
static int follow_link(struct walk *walk, int link)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t length = readlinkat(link, "", target, sizeof(target) - 1);

    if (length < 0)
        return -errno;
    if (length == 0)
        return -ENOENT;
    if (++walk->links > LINKS_MAX || is_on(link, PROC_SUPER_MAGIC))
        return -ELOOP;
    target[length] = '\0';
    snprintf(rest, sizeof(rest), "%s", walk->next);
    if ((size_t)snprintf(walk->rest, sizeof(walk->rest), "%s%s", target, rest) >=
        sizeof(walk->rest))
        return -ENAMETOOLONG;
    walk->next = walk->rest;
    return target[0] == '/' ? enter_root(walk) : 0;
}

/* Takes the next name. walk->next is "" then, or begins with the slash after the name. */
static int next_name(struct walk *walk, char name[NAME_MAX + 1])
{
    const char *begin = walk->next + strspn(walk->next, "/");
    size_t length = strcspn(begin, "/");

    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, begin, length);
    name[length] = '\0';
    walk->next = begin + length;
    return 0;
}

static bool is_dots(const char *name)
{
    return strcmp(name, "") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Ends the walk at file, or where there is none (-1). The spot owns both descriptors then. */
static int end_walk(struct walk *walk, int file, const char *name, struct spot *spot)
{
    spot->dir = walk->dir;
    spot->file = file;
    spot->own = walk->blame;
    snprintf(spot->base, sizeof(spot->base), "%s", name);
    walk->dir = -1;
    return 1;
}

/* Follows a link, enters a directory, or ends the walk. Takes ownership of file. */
static int pass_entry(struct walk *walk, int file, const char *name, struct spot *spot)
{
    bool last = walk->next[0] == '\0';
    struct stat stat;
    int rc = fstat(file, &stat) < 0 ? -errno : 0;

    if (rc == 0 && S_ISDIR(stat.st_mode) && !last)
        return enter_dir(walk, file, name);
    if (rc == 0 && is_forbidden(&stat))
        rc = -EKEYREJECTED;
    if (rc == 0 && walk->blame)
        rc = check_entry(walk, name, &stat);
    if (rc == 0 && S_ISLNK(stat.st_mode) && (walk->follow || !last))
        rc = follow_link(walk, file);
    else if (rc == 0)
        rc = last ? end_walk(walk, file, name, spot) : -ENOTDIR;
    if (rc <= 0)
        close(file);
    return rc;
}

/* Walks one name further. Returns 1 at the end of the path, 0, or a negative errno. */
static int walk_step(struct walk *walk, struct spot *spot)
{
    char name[NAME_MAX + 1];
    int rc = next_name(walk, name), file;
    bool last = walk->next[0] == '\0';

    if (rc < 0)
        return rc;
    if (++walk->parts > PARTS_MAX)
        return -ELOOP;
    if (is_dots(name) && last)
        return -EISDIR;
    if (strcmp(name, ".") == 0)
        return 0;
    file = openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0)
        return pass_entry(walk, file, name, spot);
    return errno == ENOENT && last && !walk->follow ? end_walk(walk, -1, name, spot) : -errno;
}

int walk(const char *path, bool follow, struct spot *spot, struct blame *blame)
{
    struct walk walk = {.dir = -1, .follow = follow, .blame = blame};
    int rc;

    if (path[0] != '/')
        return -EINVAL;
    if ((size_t)snprintf(walk.rest, sizeof(walk.rest), "%s", path) >= sizeof(walk.rest))
        return -ENAMETOOLONG;
    walk.next = walk.rest;
    rc = enter_root(&walk);
    while (rc == 0)
        rc = walk_step(&walk, spot);
    if (walk.dir >= 0)
        close(walk.dir);
    return rc < 0 ? rc : 0;
}
