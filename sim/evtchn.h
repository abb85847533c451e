/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SIM_EVTCHN_H
#define SIM_EVTCHN_H

#include <stdint.h>
#include <xenevtchn.h>

/*
 * For a domain's init, which plays its kernel: binds the domain's store port to the handle. Returns
 * the descriptor of the store page, which the caller closes, or a negative errno.
 */
int evtchn_store(xenevtchn_handle *xce, uint32_t *port);

#endif
