/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines on the PV console, which xenconsoled shows (xl console) and keeps. */
#ifndef UNIKERNEL_CONSOLE_H
#define UNIKERNEL_CONSOLE_H

/* Writes a line. Never blocks: what the console does not take yet is kept, some 4 KiB of it. */
void __attribute__((format(printf, 1, 2))) console_line(const char *format, ...);

/* Moves on what is kept. To be called when the console's port fired. */
void console_flush(void);

/* Waits, for a second at most, until the console has taken everything. */
void console_drain(void);

#endif
