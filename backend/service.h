/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds all devices of which this domain is the backend, and looks at those whose nodes changed. */
#ifndef BACKEND_SERVICE_H
#define BACKEND_SERVICE_H

struct quota_limits;

/* Serves them until a signal. Returns the exit code (service/loop.h). */
int service_run(const struct quota_limits *limits);

#endif
