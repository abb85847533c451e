/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unix stream sockets, non-blocking and close-on-exec.
 */
#ifndef SERVICE_KINDS_UNIX_H
#define SERVICE_KINDS_UNIX_H

#include <stddef.h>
#include <stdbool.h>
#include <sys/stat.h>

struct place;
struct rights;

/*
 * Listens at a place, for those who have the rights. A socket file that nobody listens on is
 * replaced. Returns the fd and sets *file (for unix_unlisten), or a negative errno: -EADDRINUSE
 * another program listens there, -EEXIST there is a file that is not a socket, -EBUSY there is one
 * of another user than the place's, -ENAMETOOLONG, and what place_visit() and bind() say. It blocks
 * as place_visit() does, as the next three do.
 */
int unix_listen(struct place *place, const struct rights *rights, struct stat *file);

/* Whether fd listens at the place, which has a socket: then sets *file as unix_listen() does. */
bool unix_listens(int fd, struct place *place, struct stat *file);

/* Stops listening, and removes the file if it still is the one that was made. */
void unix_unlisten(int fd, struct place *place, const struct stat *file);

/*
 * Connects to a place, as its user, also in the eyes of who listens there. (To that one's, the
 * process is this one where all is root's, and otherwise one that has ended by then.) Returns the
 * fd, or a negative errno: -EAGAIN the listener's queue is full, -ECONNREFUSED nobody listens,
 * -ENOTSOCK there is a file that is not a socket, -ENOENT, and what place_visit() says.
 */
int unix_connect(struct place *place);

/*
 * Who is at the other end of a socket that was accepted or connected: "pid 812 uid 33 psql". (For a
 * connected one: who listens.) The name is that of its main thread, if it is still there.
 */
void unix_peer(int fd, char *text, size_t size);

/*
 * The user at the other end: of a client as it connected, of a server as it began to listen. 0, or
 * what getsockopt() says.
 */
int unix_peer_user(int fd, uid_t *uid);

#endif
