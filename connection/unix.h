/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unix stream sockets, non-blocking and close-on-exec.
 */
#ifndef CONNECTION_UNIX_H
#define CONNECTION_UNIX_H

#include <stddef.h>
#include <stdbool.h>
#include <sys/stat.h>

struct rights;

/*
 * Listens at path, for those who have the rights. A socket file that nobody listens on is
 * replaced. Returns the fd and sets *file (for unix_unlisten), or a negative errno: -EADDRINUSE
 * somebody listens there, -EEXIST there is a file that is no socket, -ENAMETOOLONG, and what bind()
 * says.
 */
int unix_listen(const char *path, const struct rights *rights, struct stat *file);

/* Whether fd listens at path, where a socket file is: then *file is set as unix_listen() does. */
bool unix_listens(int fd, const char *path, struct stat *file);

/* Stops listening, and removes the file if it still is the one that was made. */
void unix_unlisten(int fd, const char *path, const struct stat *file);

/*
 * Connects to path. Returns the fd, or a negative errno: -EAGAIN the listener's queue is full,
 * -ECONNREFUSED nobody listens, -ENOENT.
 */
int unix_connect(const char *path);

/*
 * Who is at the other end of a socket that was accepted or connected: "pid 812 uid 33 psql". (For a
 * connected one: who listens.) The name is that of its main thread, if it is still there.
 */
void unix_peer(int fd, char *text, size_t size);

#endif
