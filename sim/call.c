/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxencall for simulated domains, under the real libxenctrl and libxenlight. Implements only the
 * hypercalls that a toolstack without a domain builder makes; the others fail with ENOSYS.
 */
#define __XEN_TOOLS__ 1
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/version.h>
#include <xen/xen.h>
#include <xencall.h>

#include "sim/client.h"
#include "sim/export.h"

struct xencall_handle {
    int conn;
};

static const char commandline[] = "dom0_mem=1024M,max:1024M";

static void info_convert(xen_domctl_getdomaininfo_t *to, const struct sim_info *from)
{
    memset(to, 0, sizeof(*to));
    to->domain = (domid_t)from->domid;
    to->flags = (from->flags & SIM_INFO_PAUSED ? XEN_DOMINF_paused : 0) |
                (from->flags & SIM_INFO_DYING ? XEN_DOMINF_dying : 0);
    if (from->flags & SIM_INFO_SHUTDOWN)
        to->flags |= XEN_DOMINF_shutdown | from->reason << XEN_DOMINF_shutdownshift;
    if (!to->flags)
        to->flags = from->domid == 0 ? XEN_DOMINF_running : XEN_DOMINF_blocked;
    to->tot_pages = to->max_pages = from->pages;
    to->nr_online_vcpus = 1;
    memcpy(to->handle, from->uuid, sizeof(to->handle));
}

static int domain_op(enum sim_op op, uint32_t domid, uint32_t argument)
{
    struct sim_message message = {.op = op, .arg = {domid, argument}};

    return sim_call_once(&message);
}

/* A guest may do everything but control other domains. */
static int privilege_check(void)
{
    return domain_op(SIM_SHUTDOWN, DOMID_INVALID, 0) == -EPERM ? -EPERM : 0;
}

static int domain_info(struct xen_domctl *domctl)
{
    struct sim_info info;
    int count = sim_list(domctl->domain, &info, 1);

    if (count < 0)
        return count;
    if (count == 0)
        return -ESRCH;
    domctl->domain = (domid_t)info.domid;
    info_convert(&domctl->u.getdomaininfo, &info);
    return 0;
}

static int do_domctl(struct xen_domctl *domctl)
{
    static const struct {
        uint32_t command;
        enum sim_op op;
    } simple[] = {{XEN_DOMCTL_destroydomain, SIM_DESTROY},
                  {XEN_DOMCTL_pausedomain, SIM_PAUSE},
                  {XEN_DOMCTL_unpausedomain, SIM_UNPAUSE}};
    int error = privilege_check();

    if (error)
        return error;
    if (domctl->cmd == XEN_DOMCTL_getdomaininfo)
        return domain_info(domctl);
    for (size_t i = 0; i < sizeof(simple) / sizeof(*simple); i++)
        if (simple[i].command == domctl->cmd)
            return domain_op(simple[i].op, domctl->domain, 0);
    return -ENOSYS;
}

static int domain_infos(struct xen_sysctl_getdomaininfolist *list)
{
    struct sim_info infos[SIM_DOMAINS];
    uint32_t max = list->max_domains < SIM_DOMAINS ? list->max_domains : SIM_DOMAINS;
    int count = sim_list(list->first_domain, infos, (int)max);

    for (int i = 0; i < count; i++)
        info_convert(&list->buffer.p[i], &infos[i]);
    list->num_domains = count > 0 ? (uint32_t)count : 0;
    return count < 0 ? count : 0;
}

static int machine_info(struct xen_sysctl_physinfo *info)
{
    uint32_t cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);

    memset(info, 0, sizeof(*info));
    info->threads_per_core = info->cores_per_socket = 1;
    info->nr_cpus = cpus;
    info->max_cpu_id = cpus - 1;
    info->nr_nodes = 1;
    info->cpu_khz = 1000000;
    info->capabilities = XEN_SYSCTL_PHYSCAP_pv;
    info->total_pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
    info->free_pages = (uint64_t)sysconf(_SC_AVPHYS_PAGES);
    return 0;
}

static int do_sysctl(struct xen_sysctl *sysctl)
{
    int error = privilege_check();

    if (error)
        return error;
    if (sysctl->cmd == XEN_SYSCTL_getdomaininfolist)
        return domain_infos(&sysctl->u.getdomaininfolist);
    if (sysctl->cmd == XEN_SYSCTL_physinfo)
        return machine_info(&sysctl->u.physinfo);
    return -ENOSYS;
}

static int do_version(int command, void *argument)
{
    switch (command) {
    case XENVER_version:
        return 4 << 16 | 17;
    case XENVER_extraversion:
        strncpy(argument, ".0-xensim", sizeof(xen_extraversion_t));
        return 0;
    case XENVER_capabilities:
        strncpy(argument, "xen-3.0-x86_64 ", sizeof(xen_capabilities_info_t));
        return 0;
    case XENVER_commandline:
        strncpy(argument, commandline, sizeof(xen_commandline_t));
        return 0;
    case XENVER_pagesize:
        return (int)SIM_PAGE;
    case XENVER_compile_info:
    case XENVER_changeset:
    case XENVER_platform_parameters:
        return 0; /* buffers come zeroed */
    default:
        return -ENOSYS;
    }
}

static int do_evtchn(int command, struct evtchn_status *status)
{
    struct sim_message message = {.op = SIM_PORT_STATUS, .arg = {status->dom, status->port}};
    int error = command == EVTCHNOP_status ? sim_call_once(&message) : -ENOSYS;

    if (error)
        return error;
    status->status = message.arg[0];
    status->vcpu = 0;
    if (status->status == EVTCHNSTAT_unbound)
        status->u.unbound.dom = (domid_t)message.arg[1];
    if (status->status == EVTCHNSTAT_interdomain) {
        status->u.interdomain.dom = (domid_t)message.arg[1];
        status->u.interdomain.port = message.arg[2];
    }
    if (status->status == EVTCHNSTAT_virq)
        status->u.virq = message.arg[2];
    return 0;
}

static int do_sched(int command, const struct sched_remote_shutdown *shutdown)
{
    return command == SCHEDOP_remote_shutdown
               ? domain_op(SIM_SHUTDOWN, shutdown->domain_id, shutdown->reason)
               : -ENOSYS;
}

static int hypercall(unsigned int op, uint64_t first, uint64_t second)
{
    int result = -ENOSYS;

    if (op == __HYPERVISOR_domctl)
        result = do_domctl((void *)(uintptr_t)first);
    else if (op == __HYPERVISOR_sysctl)
        result = do_sysctl((void *)(uintptr_t)first);
    else if (op == __HYPERVISOR_xen_version)
        result = do_version((int)first, (void *)(uintptr_t)second);
    else if (op == __HYPERVISOR_event_channel_op)
        result = do_evtchn((int)first, (void *)(uintptr_t)second);
    else if (op == __HYPERVISOR_sched_op)
        result = do_sched((int)first, (void *)(uintptr_t)second);
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}

SIM_EXPORT xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned int flags)
{
    xencall_handle *xcall = malloc(sizeof(*xcall));

    (void)logger;
    (void)flags;
    if (!xcall)
        return NULL;
    xcall->conn = sim_connect();
    if (xcall->conn >= 0)
        return xcall;
    errno = -xcall->conn;
    free(xcall);
    return NULL;
}

SIM_EXPORT int xencall_close(xencall_handle *xcall)
{
    if (xcall)
        close(xcall->conn);
    free(xcall);
    return 0;
}

SIM_EXPORT int xencall_fd(xencall_handle *xcall)
{
    return xcall->conn;
}

SIM_EXPORT int xencall0(xencall_handle *xcall, unsigned int op)
{
    (void)xcall;
    return hypercall(op, 0, 0);
}

SIM_EXPORT int xencall1(xencall_handle *xcall, unsigned int op, uint64_t arg1)
{
    (void)xcall;
    return hypercall(op, arg1, 0);
}

SIM_EXPORT int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
    (void)xcall;
    return hypercall(op, arg1, arg2);
}

SIM_EXPORT long xencall2L(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
    (void)xcall;
    return hypercall(op, arg1, arg2);
}

SIM_EXPORT int xencall3(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2,
                        uint64_t arg3)
{
    (void)xcall;
    (void)arg3;
    return hypercall(op, arg1, arg2);
}

SIM_EXPORT int xencall4(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2,
                        uint64_t arg3, uint64_t arg4)
{
    (void)arg4;
    return xencall3(xcall, op, arg1, arg2, arg3);
}

SIM_EXPORT int xencall5(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2,
                        uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
    (void)arg5;
    return xencall4(xcall, op, arg1, arg2, arg3, arg4);
}

/* Hypercall buffers are plain memory here. */

SIM_EXPORT void *xencall_alloc_buffer_pages(xencall_handle *xcall, size_t pages)
{
    void *buffer;
    int error = posix_memalign(&buffer, SIM_PAGE, pages * SIM_PAGE);

    (void)xcall;
    if (error) {
        errno = error;
        return NULL;
    }
    return memset(buffer, 0, pages * SIM_PAGE);
}

SIM_EXPORT void xencall_free_buffer_pages(xencall_handle *xcall, void *buffer, size_t pages)
{
    int saved = errno; /* the hypercall's errno, for the caller */

    (void)xcall;
    (void)pages;
    free(buffer);
    errno = saved;
}

SIM_EXPORT void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
    return xencall_alloc_buffer_pages(xcall, (size + SIM_PAGE - 1) / SIM_PAGE);
}

SIM_EXPORT void xencall_free_buffer(xencall_handle *xcall, void *buffer)
{
    xencall_free_buffer_pages(xcall, buffer, 0);
}

SIM_EXPORT int xencall_buffers_never_fault(xencall_handle *xcall)
{
    (void)xcall;
    return 1;
}
