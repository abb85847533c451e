/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The locks by which processes of one domain exclude each other. Three things are locked: a side of
 * a device (one process plays it), the record of a domain (one command of xl-vchan changes it), and
 * a service (it runs once in a domain).
 *
 * A lock belongs to the process that took it. The kernel frees it when that process ends, is killed
 * or becomes another program, so a crash leaves nothing to clean up.
 *
 * Sides and records are bytes of a file that stays (fcntl(), F_SETLK): any number of them costs one
 * descriptor, and no child inherits them. A service locks a file of its own as a whole (flock())
 * and removes it at the end, since services and xl-vchan of earlier versions, which may run on the
 * same host during an upgrade, take that lock and look for it. A child shares it until it runs its
 * program.
 */
#ifndef STATE_LOCK_H
#define STATE_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

/* Where sides and services are locked. */
#define LOCK_DIR "/run/pvchan"

/* ---- bytes of a file ---- */

/*
 * Opens a file of locks, which is made if need be; its directory is not. Returns an fd that the
 * caller closes, or a negative errno. A process opens a file of locks once at a time: closing any
 * descriptor of it gives up all that the process has locked there.
 */
int lock_open(const char *path);

/*
 * Takes the lock of one byte. 0, also if this process has it already; -EBUSY: another process has
 * it; or another negative errno. Does not block.
 */
int lock_byte_take(int fd, off_t byte);

/* Gives it up. */
void lock_byte_release(int fd, off_t byte);

/* ---- sides of devices: device_side_number() in LOCK_DIR/devices ---- */

/*
 * Takes the lock of a side, for one handle in one process. Returns 0; -EBUSY: another process or
 * another handle of this one has it; -ENOLCK: there is no space for the file; -EACCES or another
 * errno if the file cannot be made. Does not block. For any thread.
 */
int lock_side_take(off_t side);

/* Gives it up. */
void lock_side_release(off_t side);

/* Tells whether a process has the lock of a side. Touches nothing. */
bool lock_side_is_taken(off_t side);

/* ---- services: LOCK_DIR/PROGRAM ---- */

/*
 * Takes the lock of a service. Returns an fd for lock_service_release(); -EBUSY: another process
 * has it; or as lock_side_take(). Blocks for up to half a second while the lock is taken: a child
 * of a service that was killed may have it until it runs its program.
 */
int lock_service_take(const char *program);

/* Removes the file, then gives the lock up. */
void lock_service_release(const char *program, int fd);

/*
 * The process that has the lock of a service; 0: none has. Does not try to take it, which would
 * keep a service from starting at that moment.
 */
unsigned int lock_service_pid(const char *program);

#endif
