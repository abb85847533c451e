/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors 0 to 2 stay what the caller of the program made of them, also if it closed them: what
 * is opened without care would become standard input or output, and then be read, written to or
 * closed as such.
 */
#ifndef STATE_DESCRIPTOR_H
#define STATE_DESCRIPTOR_H

/*
 * For the start of main(): opens /dev/null in place of those of 0 to 2 that are closed. Standard
 * input is open for writing only and standard output for reading only, so that using them fails
 * with EBADF as before. Standard error drops what is written there. Cannot fail: without /dev/null
 * they stay closed.
 */
void descriptor_open_standard(void);

/*
 * For a library, which may not change the program's descriptors: what is opened between these two
 * calls is never 0, 1 or 2. Closed ones are occupied meanwhile, by a file that can be neither read
 * nor written. Calls nest, and threads may overlap. errno is kept.
 */
void descriptor_guard(void);
void descriptor_unguard(void);

#endif
