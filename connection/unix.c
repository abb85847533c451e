/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "connection/rights.h"

#define BACKLOG 16

static int set_address(struct sockaddr_un *address, const char *path)
{
    size_t length = strlen(path);

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (length >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    memcpy(address->sun_path, path, length + 1);
    return 0;
}

static int unix_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

int unix_connect(const char *path)
{
    struct sockaddr_un address;
    int rc = set_address(&address, path);
    int fd = rc < 0 ? rc : unix_socket();

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/*
 * The directory of a path, as it is now: what is at a path's end is looked at, given away and
 * removed only there. Who may write to a directory further up can have the path lead elsewhere
 * meanwhile.
 */
static int open_parent(const char *path)
{
    const char *base = base_of(path);
    char dir[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    int fd;

    snprintf(dir, sizeof(dir), "%.*s%s", (int)(base - path), path, base == path ? "." : "");
    fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Makes room for a socket if all that is in its place is one that nobody listens on. */
static int remove_stale(int dir, const char *path)
{
    const char *base = base_of(path);
    struct stat file;
    int fd;

    if (fstatat(dir, base, &file, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(file.st_mode))
        return -EEXIST;
    fd = unix_connect(path);
    if (fd >= 0)
        close(fd);
    if (fd != -ECONNREFUSED)
        return fd == -ENOENT ? 0 : -EADDRINUSE;
    return unlinkat(dir, base, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* The mask, and not a chmod(): what lies at a path can be replaced meanwhile. */
static int unix_bind(int fd, const struct sockaddr_un *address, mode_t mode)
{
    mode_t mask = umask(~mode & 0777);
    int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

    umask(mask);
    return rc;
}

/* A socket of ours that has no other name; -ESTALE: what is there is not what was just made. */
static int open_made(int dir, const char *base, struct stat *file)
{
    int made = openat(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = 0;

    if (made < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    if (fstat(made, file) < 0)
        rc = -errno;
    else if (!S_ISSOCK(file->st_mode) || file->st_uid != geteuid() || file->st_nlink != 1)
        rc = -ESTALE;
    if (rc < 0)
        close(made);
    return rc < 0 ? rc : made;
}

/* Gives the file away that bind() made, if that went into this directory. */
static int finish_listening(int fd, int dir, const char *base, const struct rights *rights,
                            struct stat *file)
{
    int made = open_made(dir, base, file), rc;

    if (made < 0)
        return made;
    rc = rights_give(rights, made);
    close(made);
    if (rc == 0 && listen(fd, BACKLOG) < 0)
        rc = -errno;
    if (rc < 0)
        unlinkat(dir, base, 0);
    return rc;
}

static int listen_in(int fd, int dir, const char *path, const struct sockaddr_un *address,
                     const struct rights *rights, struct stat *file)
{
    int rc = remove_stale(dir, path);

    if (rc == 0)
        rc = unix_bind(fd, address, rights->mode);
    return rc == 0 ? finish_listening(fd, dir, base_of(path), rights, file) : rc;
}

int unix_listen(const char *path, const struct rights *rights, struct stat *file)
{
    struct sockaddr_un address;
    int rc = set_address(&address, path), fd, dir;

    if (rc < 0)
        return rc;
    dir = open_parent(path);
    if (dir < 0)
        return dir;
    fd = unix_socket();
    rc = fd < 0 ? fd : listen_in(fd, dir, path, &address, rights, file);
    close(dir);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* The first line of /proc/PID/comm, or "". */
static void process_name(pid_t pid, char name[32])
{
    char path[64];
    ssize_t length = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        length = read(fd, name, 31);
        close(fd);
    }
    name[length > 0 ? length : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

void unix_peer(int fd, char *text, size_t size)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    char name[32];

    text[0] = '\0';
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return;
    process_name(peer.pid, name);
    snprintf(text, size, "pid %d uid %u%s%s", peer.pid, peer.uid, name[0] ? " " : "", name);
}

bool unix_listens(int fd, const char *path, struct stat *file)
{
    struct sockaddr_un address = {0};
    socklen_t length = sizeof(address) - 1;

    return getsockname(fd, (struct sockaddr *)&address, &length) == 0 &&
           address.sun_family == AF_UNIX && strcmp(address.sun_path, path) == 0 &&
           lstat(path, file) == 0 && S_ISSOCK(file->st_mode);
}

void unix_unlisten(int fd, const char *path, const struct stat *file)
{
    int dir = open_parent(path);
    const char *base = base_of(path);
    struct stat now;

    if (dir >= 0 && fstatat(dir, base, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
        now.st_dev == file->st_dev && now.st_ino == file->st_ino)
        unlinkat(dir, base, 0);
    if (dir >= 0)
        close(dir);
    close(fd);
}
