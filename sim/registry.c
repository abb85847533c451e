/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The domains and connections that exist. */
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#include "sim/hypervisor.h"

struct domain *domains;
struct conn *conns;

struct domain *domain_find(uint32_t domid)
{
    struct domain *domain = domains;

    while (domain && domain->domid != domid)
        domain = domain->next;
    return domain;
}

struct domain *domain_in_slot(uint32_t slot)
{
    struct domain *domain = domains;

    while (domain && domain->slot != slot)
        domain = domain->next;
    return domain;
}

struct domain *domain_meant(struct request *request, int argument)
{
    uint32_t domid = request->message.arg[argument];

    return domid == DOMID_SELF ? request->conn->domain : domain_find(domid);
}
