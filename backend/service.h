/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All devices that this domain is the backend of: finds them, and has them look when something of
 * theirs changed.
 */
#ifndef BACKEND_SERVICE_H
#define BACKEND_SERVICE_H

struct event_base;
struct service;

/*
 * Connects to xenstored and Xen, and looks at all devices that are there. 0, and the caller owns
 * *service; or a negative errno, after a line in the log, and *service is NULL.
 */
int service_open(struct event_base *base, struct service **service);

/* 0, or why the event loop was ended: a negative errno, after a line in the log. */
int service_error(const struct service *service);

/*
 * Takes all devices to Closed in order and frees the service. Commands that were started may need
 * some time yet: the base has events as long as there are any. NULL is allowed.
 */
void service_close(struct service *service);

#endif
