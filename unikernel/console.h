/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines on the PV console, which xenconsoled shows (xl console) and logs. */
#ifndef UNIKERNEL_CONSOLE_H
#define UNIKERNEL_CONSOLE_H

/* Writes a line. Never blocks: buffers about 4 KiB that the console does not take yet. */
void __attribute__((format(printf, 1, 2))) console_line(const char *format, ...);

/* Writes what is buffered. Call it when the console's port has fired. */
void console_flush(void);

/* Waits at most a second until the console has taken everything. */
void console_drain(void);

#endif
