/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/kinds/place.h"
#include "service/kinds/rights.h"

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

    /* cppcheck-suppress resourceLeak ; it is returned */
    return fd < 0 ? -errno : fd;
}

static int connect_to(int fd, const char *path)
{
    struct sockaddr_un address;
    int rc = set_address(&address, path);

    if (rc == 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        rc = -errno;
    return rc;
}

static bool is_socket(int file)
{
    struct stat stat;

    return fstat(file, &stat) == 0 && S_ISSOCK(stat.st_mode);
}

/* ---- connecting ---- */

#define CONNECT_IN_SERVICE 1

/* Connects to the file that was checked, even if another one has its name by now. */
static int connect_there(const struct spot *spot, void *arg)
{
    const int *fd = arg;

    if (!is_socket(spot->file))
        return -ENOTSOCK;
    return spot->own ? CONNECT_IN_SERVICE : connect_to(*fd, fd_path(spot->file).path);
}

/* If all of the path is root's, connects here, so that the server sees a process that lasts. */
static int connect_at(int fd, struct place *place)
{
    int rc = place_visit(place, true, fd, connect_there, &fd, sizeof(fd));

    return rc == CONNECT_IN_SERVICE ? connect_to(fd, place->path) : rc;
}

int unix_connect(struct place *place)
{
    int fd = unix_socket(), rc;

    if (fd < 0)
        return fd;
    rc = connect_at(fd, place);
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* ---- listening ---- */

/* What listen_there() needs and returns. */
struct listening {
    int fd;
    const struct sockaddr_un *address;
    const struct rights *rights;
    struct stat file;
};

static bool is_same_inode(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

static int remove_file(const struct spot *spot, const struct stat *file)
{
    struct stat now;

    if (fstatat(spot->dir, spot->base, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!is_same_inode(&now, file))
        return -EADDRINUSE;
    return unlinkat(spot->dir, spot->base, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Returns -ECONNREFUSED if no program listens on the socket file. */
static int probe_listener(int file)
{
    int fd = unix_socket(), rc;

    if (fd < 0)
        return fd;
    rc = connect_to(fd, fd_path(file).path);
    close(fd);
    return rc;
}

/* Removes a socket file on which no program listens, and nothing else. */
static int remove_stale(const struct spot *spot)
{
    struct stat file;

    if (spot->file < 0)
        return 0;
    if (fstat(spot->file, &file) < 0)
        return -errno;
    if (!S_ISSOCK(file.st_mode))
        return -EEXIST;
    if (!spot->own && file.st_uid != geteuid())
        return -EBUSY;
    return probe_listener(spot->file) == -ECONNREFUSED ? remove_file(spot, &file) : -EADDRINUSE;
}

/*
 * Uses umask(), not chmod(), since the file could be replaced in between. Binds by path, so that
 * the socket has its declared name: whoever can change where that leads has this process's rights
 * anyway.
 */
static int bind_there(const struct listening *listening)
{
    umask(~listening->rights->mode & 0777);
    return bind(listening->fd, (const struct sockaddr *)listening->address,
                sizeof(*listening->address)) < 0
               ? -errno
               : 0;
}

/* Opens the new socket file. -ESTALE: the file there is not the one that bind() created. */
static int open_made(const struct spot *spot, struct stat *file)
{
    int made = openat(spot->dir, spot->base, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = 0;

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

/* Sets the new file's owner and group, if it is in this directory, and listens. */
static int give_made(const struct spot *spot, struct listening *listening)
{
    int made = open_made(spot, &listening->file), rc;

    if (made < 0)
        return made;
    rc = rights_give(listening->rights, made);
    close(made);
    if (rc == 0 && listen(listening->fd, BACKLOG) < 0)
        rc = -errno;
    if (rc < 0)
        unlinkat(spot->dir, spot->base, 0);
    return rc;
}

/* Runs in the short-lived process, since umask() changes the whole process. */
static int listen_there(const struct spot *spot, void *arg)
{
    struct listening *listening = arg;
    int rc = remove_stale(spot);

    if (rc == 0)
        rc = bind_there(listening);
    return rc == 0 ? give_made(spot, listening) : rc;
}

int unix_listen(struct place *place, const struct rights *rights, struct stat *file)
{
    struct sockaddr_un address;
    struct listening listening = {.address = &address, .rights = rights};
    int rc = set_address(&address, place->path);

    if (rc < 0)
        return rc;
    listening.fd = unix_socket();
    if (listening.fd < 0)
        return listening.fd;
    rc = place_visit(place, false, listening.fd, listen_there, &listening, sizeof(listening));
    *file = listening.file;
    if (rc < 0)
        close(listening.fd);
    return rc < 0 ? rc : listening.fd;
}

/* Reads the first line of /proc/PID/comm, or "". */
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

static int peer_credentials(int fd, struct ucred *peer)
{
    socklen_t length = sizeof(*peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length) < 0 ? -errno : 0;
}

int unix_peer_user(int fd, uid_t *uid)
{
    struct ucred peer;
    int rc = peer_credentials(fd, &peer);

    if (rc == 0)
        *uid = peer.uid;
    return rc;
}

void unix_peer(int fd, char *text, size_t size)
{
    struct ucred peer;
    char name[32];

    text[0] = '\0';
    if (peer_credentials(fd, &peer) < 0)
        return;
    process_name(peer.pid, name);
    snprintf(text, size, "pid %d uid %u%s%s", peer.pid, peer.uid, name[0] ? " " : "", name);
}

static int stat_there(const struct spot *spot, void *arg)
{
    struct stat *file = arg;

    return spot->file >= 0 && fstat(spot->file, file) == 0 && S_ISSOCK(file->st_mode) ? 0 : -ENOENT;
}

bool unix_listens(int fd, struct place *place, struct stat *file)
{
    struct sockaddr_un address = {0};
    socklen_t length = sizeof(address) - 1;

    return getsockname(fd, (struct sockaddr *)&address, &length) == 0 &&
           address.sun_family == AF_UNIX && strcmp(address.sun_path, place->path) == 0 &&
           place_visit(place, false, -1, stat_there, file, sizeof(*file)) == 0;
}

static int unlisten_there(const struct spot *spot, void *arg)
{
    return remove_file(spot, arg);
}

void unix_unlisten(int fd, struct place *place, const struct stat *file)
{
    struct stat made = *file;

    place_visit(place, false, -1, unlisten_there, &made, sizeof(made));
    close(fd);
}
