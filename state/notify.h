/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STATE_NOTIFY_H
#define STATE_NOTIFY_H

/*
 * Tells the service manager that started us, if it asked for that (sd_notify(3), "Standalone
 * Implementations"): "READY=1", "STOPPING=1".
 */
void notify_manager(const char *state);

#endif
