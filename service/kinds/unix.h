/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix stream sockets at declared paths. All are non-blocking and close-on-exec. */
#ifndef SERVICE_KINDS_UNIX_H
#define SERVICE_KINDS_UNIX_H

#include <stddef.h>
#include <stdbool.h>
#include <sys/stat.h>

struct place;
struct rights;

/*
 * Creates a socket file at a place, with these rights, and listens on it. Replaces a socket file on
 * which no program listens. Returns the fd, which the caller owns, with *file set for
 * unix_unlisten(), or a negative errno: -EADDRINUSE (another program listens there), -EEXIST (the
 * file there is not a socket), -EBUSY (the socket there is another user's), -ENAMETOOLONG, or
 * place_visit()'s or bind()'s. This call and the next three block as place_visit() does.
 */
int unix_listen(struct place *place, const struct rights *rights, struct stat *file);

/* Whether fd listens at the place's path, and a socket is there. Sets *file as unix_listen() does.
 */
bool unix_listens(int fd, struct place *place, struct stat *file);

/* Closes fd, and removes the file if it is still the one that unix_listen() created. */
void unix_unlisten(int fd, struct place *place, const struct stat *file);

/*
 * Connects to a place as its user, which the server sees too (SO_PEERCRED). The process that the
 * server sees is this one if all of the path is root's, and otherwise a short-lived one. Returns
 * the fd, which the caller owns, or a negative errno: -EAGAIN (the server's queue is full),
 * -ECONNREFUSED (no program listens), -ENOTSOCK (the file is not a socket), -ENOENT, or
 * place_visit()'s.
 */
int unix_connect(struct place *place);

/*
 * Describes the process at the other end of an accepted or connected socket: "pid 812 uid 33 psql",
 * or "". For a connected one that is the process that called listen(). The name is its main
 * thread's, left out if the process has ended.
 */
void unix_peer(int fd, char *text, size_t size);

/*
 * Sets *uid to the user at the other end: the client's when it connected, or the server's when it
 * called listen(). Returns 0 or getsockopt()'s negative errno.
 */
int unix_peer_user(int fd, uid_t *uid);

#endif
