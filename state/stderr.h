/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard error as a log that never blocks the program: what is not read in time is counted and
 * dropped. The flags of the descriptor, which other programs may share, stay unchanged.
 */
#ifndef STATE_STDERR_H
#define STATE_STDERR_H

/*
 * Writes "PROGRAM: MESSAGE" and a newline in one piece, or drops it if that would block. The first
 * line written after a drop says how many lines were dropped. For one thread.
 */
void stderr_write(const char *message);

#endif
