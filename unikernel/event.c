/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/event.h"

#include <stddef.h>
#include <stdint.h>
#include <xen/vcpu.h>

#include "unikernel/hypercall.h"
#include "unikernel/platform.h"
#include "vchan/barrier.h"

static bool seen; /* an event that look_begin() has not asked for yet */
static bool ticking;
static evtchn_port_t tick_port;

int port_offer(domid_t peer, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound offer = {.dom = DOMID_SELF, .remote_dom = peer};
    int rc = (int)hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &offer);

    *port = offer.port;
    if (rc == 0)
        port_listen(*port);
    return rc;
}

void port_listen(evtchn_port_t port)
{
    struct evtchn_unmask unmask = {.port = port};

    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, &unmask);
}

void port_signal(evtchn_port_t port)
{
    struct evtchn_send send = {.port = port};

    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &send);
}

void port_close(evtchn_port_t port)
{
    struct evtchn_close close = {.port = port};

    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_close, &close);
    port_fired(port); /* the number will be another's */
}

bool port_fired(evtchn_port_t port)
{
    xen_ulong_t *word = &platform.shared->evtchn_pending[port / 64];
    xen_ulong_t bit = 1ul << port % 64;

    return (load_once(word) & bit) && (fetch_and(word, ~bit) & bit);
}

/*
 * Xen sets a port's bit, then its word's bit in the selector, then the upcall; only a bit that was
 * clear goes on to the next. We clear them in the other order, and look at the ports after that.
 */
static bool upcall_take(void)
{
    struct vcpu_info *vcpu = &platform.shared->vcpu_info[0];

    if (!fetch_and(&vcpu->evtchn_upcall_pending, 0))
        return false;
    fetch_and(&vcpu->evtchn_pending_sel, 0);
    return true;
}

void event_wait(void)
{
    if (!load_once(&platform.shared->vcpu_info[0].evtchn_upcall_pending))
        platform.block();
    seen |= upcall_take();
}

void look_begin(void)
{
    upcall_take();
    seen = false;
}

bool look_again(void)
{
    seen |= upcall_take();
    return seen;
}

static void tick_bind(void)
{
    struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER};

    if (hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &bind) < 0)
        die("the timer cannot be bound");
    tick_port = bind.port;
    port_listen(tick_port);
}

void tick_want(bool wanted)
{
    struct vcpu_set_periodic_timer timer = {.period_ns = TICK_MS * 1000000ull};

    if (!tick_port)
        tick_bind();
    else if (wanted == ticking)
        return;
    ticking = wanted;
    hypercall3(__HYPERVISOR_vcpu_op,
               wanted ? VCPUOP_set_periodic_timer : VCPUOP_stop_periodic_timer, 0,
               (uintptr_t)&timer);
}

bool tick_came(void)
{
    return port_fired(tick_port);
}
