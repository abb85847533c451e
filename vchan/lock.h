/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One process at a time for one side of a device: a lock file in /run/pvchan, which the kernel
 * unlocks when the process dies.
 */
#ifndef VCHAN_LOCK_H
#define VCHAN_LOCK_H

#define LOCK_DIR "/run/pvchan"

/*
 * Takes the lock of that name (a file name). Returns an fd to give to lock_release(), or -EBUSY if
 * another process has it, -EACCES or another errno if the file cannot be made. Does not block.
 */
int lock_take(const char *name);

/* Gives the lock back and removes its file. */
void lock_release(const char *name, int fd);

#endif
