/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/event.h"

#include <stddef.h>
#include <stdint.h>
#include <xen/vcpu.h>

#include "unikernel/hypercall.h"
#include "unikernel/platform.h"
#include "vchan/barrier.h"

static bool seen; /* an event came since look_begin() */
static bool tick_is_set;
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
    port_fired(port); /* forget old events: the number will belong to another user */
}

bool port_fired(evtchn_port_t port)
{
    xen_ulong_t *word = &platform.shared->evtchn_pending[port / 64];
    xen_ulong_t bit = 1ul << port % 64;

    return (load_once(word) & bit) && (fetch_and(word, ~bit) & bit);
}

/*
 * Xen sets a port's bit, then its word's bit in the selector, then the upcall flag, and goes on
 * only if the bit was clear. We clear them in the opposite order, then look at the ports.
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

/* Nanoseconds since Xen booted, computed from Xen's last record and the time stamp counter. */
static uint64_t now_ns(void)
{
    const struct vcpu_time_info *time = &platform.shared->vcpu_info[0].time;
    uint32_t version, scale, low, high;
    uint64_t ticks, begin;

    /* Both barriers pair with Xen's: version is odd while Xen writes the record. */
    do {
        version = load_acquire(&time->version);
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
        ticks = ((uint64_t)high << 32 | low) - time->tsc_timestamp;
        ticks = time->tsc_shift < 0 ? ticks >> -time->tsc_shift : ticks << time->tsc_shift;
        scale = time->tsc_to_system_mul;
        begin = time->system_time;
        full_fence();
    } while ((version & 1) || load_once(&time->version) != version);
    return begin + (uint64_t)((unsigned __int128)ticks * scale >> 32);
}

/*
 * Binds the timer. The periodic timer of a new domain does not help: it stops while the domain
 * sleeps.
 */
static void tick_bind(void)
{
    struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER};

    hypercall3(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    if (hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &bind) < 0)
        die("cannot bind the timer");
    tick_port = bind.port;
    port_listen(tick_port);
}

void tick_want(bool wanted)
{
    struct vcpu_set_singleshot_timer timer;

    if (!tick_port)
        tick_bind();
    if (!wanted || tick_is_set)
        return;
    timer = (struct vcpu_set_singleshot_timer){.timeout_abs_ns = now_ns() + TICK_MS * 1000000ull};
    hypercall3(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (uintptr_t)&timer);
    tick_is_set = true;
}

bool tick_came(void)
{
    if (!port_fired(tick_port))
        return false;
    tick_is_set = false;
    return true;
}
