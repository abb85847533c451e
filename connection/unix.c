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

/* Makes room for a socket if all that is in its place is one that nobody listens on. */
static int remove_stale(const char *path)
{
    struct stat file;
    int fd;

    if (lstat(path, &file) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(file.st_mode))
        return -EEXIST;
    fd = unix_connect(path);
    if (fd >= 0)
        close(fd);
    if (fd != -ECONNREFUSED)
        return fd == -ENOENT ? 0 : -EADDRINUSE;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* The mask, and not a chmod(): what lies at a path can be replaced meanwhile. */
static int unix_bind(int fd, const struct sockaddr_un *address, mode_t mode)
{
    mode_t mask = umask(~mode & 0777);
    int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

    umask(mask);
    return rc;
}

static int finish_listening(int fd, const char *path, const struct rights *rights,
                            struct stat *file)
{
    int rc = rights_give(rights, path);

    if (rc == 0 && (listen(fd, BACKLOG) < 0 || lstat(path, file) < 0))
        rc = -errno;
    if (rc < 0)
        unlink(path);
    return rc;
}

int unix_listen(const char *path, const struct rights *rights, struct stat *file)
{
    struct sockaddr_un address;
    int rc = set_address(&address, path);
    int fd = rc < 0 ? rc : unix_socket();

    if (fd < 0)
        return fd;
    rc = remove_stale(path);
    if (rc == 0)
        rc = unix_bind(fd, &address, rights->mode);
    if (rc == 0)
        rc = finish_listening(fd, path, rights, file);
    if (rc < 0)
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
    struct stat now;

    if (lstat(path, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino)
        unlink(path);
    close(fd);
}
