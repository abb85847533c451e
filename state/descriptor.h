/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps descriptors 0 to 2 as the program's caller left them, even closed. Otherwise a file opened
 * while one is closed would become standard input or output, and be read, written or closed as
 * such.
 */
#ifndef STATE_DESCRIPTOR_H
#define STATE_DESCRIPTOR_H

/*
 * Call at the start of main(): opens /dev/null in place of closed descriptors 0 to 2, standard
 * input for writing only and standard output for reading only, so that using them still fails with
 * EBADF. Standard error discards what is written. Cannot fail: without /dev/null they stay closed.
 */
void descriptor_open_standard(void);

/*
 * For a library, which may not change its program's descriptors: what is opened between these two
 * calls never gets number 0, 1 or 2. Closed ones are meanwhile occupied by a file that can be
 * neither read nor written. Calls nest, and threads may overlap. errno is preserved.
 */
void descriptor_guard(void);
void descriptor_unguard(void);

#endif
