/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <xenctrl.h> /* before xen/xen.h, so that it shows everything */

#include "toolstack/event-channel.h"

#include <errno.h>

static void port_take_status(const xc_evtchn_status_t *status, struct event_channel *port)
{
    if (status->status == EVTCHNSTAT_unbound)
        *port = (struct event_channel){.use = EVENT_CHANNEL_UNBOUND, .peer = (domid_t)status->u.unbound.dom};
    else if (status->status == EVTCHNSTAT_interdomain)
        *port = (struct event_channel){.use = EVENT_CHANNEL_BOUND,
                              .peer = (domid_t)status->u.interdomain.dom,
                              .number = status->u.interdomain.port};
    else
        *port = (struct event_channel){.use = EVENT_CHANNEL_CLOSED};
}

void event_channel_query(struct tool *tool, domid_t domid, uint32_t number,
                         struct event_channel *port)
{
    xc_evtchn_status_t status = {.dom = domid, .port = number};

    if (!tool->xc)
        tool->xc = xc_interface_open(NULL, NULL, 0);
    if (tool->xc && xc_evtchn_status(tool->xc, &status) == 0)
        port_take_status(&status, port);
    else
        *port = (struct event_channel){.use = EVENT_CHANNEL_UNKNOWN, .error = errno};
}
