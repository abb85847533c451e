/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard error as a log that never holds up the program: what nobody reads in time is counted,
 * not waited for. The flags of the descriptor, which other programs may share, stay as they are.
 */
#ifndef STATE_STDERR_H
#define STATE_STDERR_H

/*
 * Writes "PROGRAM: MESSAGE" and a newline in one piece, or drops it if that would block. The first
 * line that can be written after some were dropped says how many they were. For one thread.
 */
void stderr_write(const char *message);

#endif
