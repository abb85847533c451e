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
#define PARTS_MAX 256 /* links can hold any number of them, and each costs time */

struct walk {
    int dir;     /* where it has come to, O_PATH */
    bool shared; /* others can make entries there, but not replace root's */
    bool follow;
    unsigned int links, parts;
    struct blame *blame;
    char trail[PATH_MAX]; /* "/run": the same, for people; "" is the root */
    char rest[PATH_MAX];  /* what is to be walked */
    const char *next;     /* in it: what still is */
};

struct held held_path(int fd)
{
    struct held held;

    snprintf(held.path, sizeof(held.path), "/proc/self/fd/%d", fd);
    return held;
}

void spot_close(struct spot *spot)
{
    if (spot->file >= 0)
        close(spot->file);
    close(spot->dir);
}

/* ---- what is never a channel's ---- */

static bool is_at(const struct stat *file, const char *path)
{
    struct stat other;

    return stat(path, &other) == 0 && other.st_dev == file->st_dev && other.st_ino == file->st_ino;
}

/* As libxenstore finds it, or where it is usually. */
static bool is_xenstored(const struct stat *file)
{
    const char *path = getenv("XENSTORED_PATH"), *dir = getenv("XENSTORED_RUNDIR");
    char in_dir[PATH_MAX];

    snprintf(in_dir, sizeof(in_dir), "%s/socket", dir ? dir : "/var/run/xenstored");
    return (path && is_at(file, path)) || is_at(file, in_dir) ||
           is_at(file, "/run/xenstored/socket") || is_at(file, "/var/run/xenstored/socket");
}

static bool is_xens(const struct stat *file)
{
    if (S_ISDIR(file->st_mode))
        return is_at(file, "/dev/xen") || is_at(file, "/proc/xen");
    return S_ISSOCK(file->st_mode) && is_xenstored(file);
}

/* ---- whose it is ---- */

static bool is_ours(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static bool is_on(int fd, long magic)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == magic;
}

static void leave_trail(struct walk *walk, const char *name)
{
    size_t length = strlen(walk->trail);

    if (strcmp(name, "..") == 0)
        walk->trail[length ? (size_t)(strrchr(walk->trail, '/') - walk->trail) : 0] = '\0';
    else
        snprintf(walk->trail + length, sizeof(walk->trail) - length, "/%s", name);
}

/* About what the trail has come to. */
static int walk_blame(const struct walk *walk, enum blame_why why, uint32_t id)
{
    walk->blame->why = why;
    walk->blame->id = id;
    snprintf(walk->blame->part, sizeof(walk->blame->part), "%.127s",
             walk->trail[0] ? walk->trail : "/");
    return -ENOKEY;
}

/* Named users of an access list are not in the mode, but what they may do at most is: the group's. */
static bool has_access_list(int dir)
{
    return getxattr(held_path(dir).path, "system.posix_acl_access", NULL, 0) >= 0 ||
           (errno != ENODATA && errno != EOPNOTSUPP);
}

static bool is_group_writable(int dir, const struct stat *stat)
{
    return stat->st_mode & S_IWGRP && (stat->st_gid != 0 || has_access_list(dir));
}

static int judge_dir(struct walk *walk, const struct stat *stat)
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

/* For all but directories. In a shared one, a second name of root's file counts as another's. */
static int judge_file(struct walk *walk, const char *name, const struct stat *stat)
{
    bool others = (S_ISLNK(stat->st_mode) || walk->shared) && !is_ours(stat->st_uid);

    if (!others && (!walk->shared || stat->st_nlink == 1))
        return 0;
    leave_trail(walk, name);
    return others ? walk_blame(walk, BLAME_USER, stat->st_uid)
                  : walk_blame(walk, BLAME_EVERYBODY, 0);
}

/* ---- the walk ---- */

/* The directory is the walk's from now on, whatever comes of it. */
static int enter(struct walk *walk, int dir, const char *name)
{
    struct stat stat;

    if (walk->dir >= 0)
        close(walk->dir);
    walk->dir = dir;
    leave_trail(walk, name);
    if (fstat(dir, &stat) < 0)
        return -errno;
    if (!S_ISDIR(stat.st_mode))
        return -ENOTDIR;
    if (is_xens(&stat))
        return -EKEYREJECTED;
    return walk->blame ? judge_dir(walk, &stat) : 0;
}

static int enter_root(struct walk *walk)
{
    int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return -errno;
    walk->trail[0] = '\0';
    return enter(walk, dir, "..");
}

/* Puts where a link leads before what is still to be walked. */
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
    if ((size_t)snprintf(walk->rest, sizeof(walk->rest), "%s%s", target, rest) >= sizeof(walk->rest))
        return -ENAMETOOLONG;
    walk->next = walk->rest;
    return target[0] == '/' ? enter_root(walk) : 0;
}

/* What is next then is "", or begins with the slash after the name. */
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

/* At the path's end is what file is, or nothing (-1). Both descriptors are the spot's then. */
static int arrive(struct walk *walk, int file, const char *name, struct spot *spot)
{
    spot->dir = walk->dir;
    spot->file = file;
    spot->own = walk->blame;
    snprintf(spot->base, sizeof(spot->base), "%s", name);
    walk->dir = -1;
    return 1;
}

/* A link, or at the path's end; anything else is entered. The descriptor is taken over. */
static int pass(struct walk *walk, int file, const char *name, struct spot *spot)
{
    bool last = walk->next[0] == '\0';
    struct stat stat;
    int rc = fstat(file, &stat) < 0 ? -errno : 0;

    if (rc == 0 && S_ISDIR(stat.st_mode) && !last)
        return enter(walk, file, name);
    if (rc == 0 && is_xens(&stat))
        rc = -EKEYREJECTED;
    if (rc == 0 && walk->blame)
        rc = judge_file(walk, name, &stat);
    if (rc == 0 && S_ISLNK(stat.st_mode) && (walk->follow || !last))
        rc = follow_link(walk, file);
    else if (rc == 0)
        rc = last ? arrive(walk, file, name, spot) : -ENOTDIR;
    if (rc <= 0)
        close(file);
    return rc;
}

/* One name further. 1: that was the last. */
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
        return pass(walk, file, name, spot);
    return errno == ENOENT && last && !walk->follow ? arrive(walk, -1, name, spot) : -errno;
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
