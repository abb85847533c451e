/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One process at a time for a service, and for one side of a device: locks on files in /run/pvchan,
 * which the kernel gives back when the process dies.
 */
#ifndef STATE_LOCK_H
#define STATE_LOCK_H

#include <sys/types.h>

#define LOCK_DIR "/run/pvchan"

/*
 * Takes the lock of that name (a file name). Returns an fd to give to lock_release(), or -EBUSY if
 * another process has it, -ENOLCK if there is no space for the file, -EACCES or another errno if it
 * cannot be made. Does not block.
 */
int lock_take(const char *name);

/* Gives the lock back and removes its file. */
void lock_release(const char *name, int fd);

/*
 * Takes the lock of that number, which is for one handle in one process, any number of them at the
 * cost of one fd (LOCK_DIR/devices, which stays). 0; -EBUSY: it is taken, be it by this process; or
 * as lock_take(). For any thread.
 */
int lock_number_take(off_t number);

/* Gives it back. */
void lock_number_release(off_t number);

#endif
