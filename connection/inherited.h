/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a process inherits from the one that started it. */
#ifndef CONNECTION_INHERITED_H
#define CONNECTION_INHERITED_H

/*
 * Gives all signals their default action, also the two that the C library keeps for itself and that
 * signal() refuses. For a process that has one thread and no handlers that it needs.
 */
void inherited_reset_signals(void);

#endif
