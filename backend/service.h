/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All devices that this domain is the backend of: finds them, and has them look when something of
 * theirs changed.
 */
#ifndef BACKEND_SERVICE_H
#define BACKEND_SERVICE_H

struct quota_limits;

/* Serves them until a signal. Gives the exit code (service/loop.h). */
int service_run(const struct quota_limits *limits);

#endif
