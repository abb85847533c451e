/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds leaks in the hypervisor, for `xensim leaks` (see leaks.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/hypervisor.h"

/* The owner of a connection, in words. */
static const char *holder(const struct conn *conn)
{
    static char name[32];
    char path[32];
    FILE *file = NULL;

    *name = '\0';
    if (conn) {
        snprintf(path, sizeof(path), "/proc/%d/comm", conn->pid);
        file = fopen(path, "re");
    }
    if (file) {
        if (fgets(name, sizeof(name), file))
            name[strcspn(name, "\n")] = '\0';
        fclose(file);
    }
    return *name ? name : "a dead process";
}

static void domains_report(FILE *out, bool all)
{
    for (struct domain *domain = domains; domain; domain = domain->next) {
        if (domain->dying)
            fprintf(out, "domain %u (%s) is a zombie: its pages are still mapped\n", domain->domid,
                    domain->name);
        else if (all && domain->domid != 0)
            fprintf(out, "domain %u (%s) still exists\n", domain->domid, domain->name);
    }
}

/* Whether a live connection counts as a leak: guests that run may keep theirs. */
static bool conn_counts(const struct conn *conn, bool all)
{
    return all && conn->domain->domid == 0 && !conn->host;
}

static void shares_report(FILE *out, bool all)
{
    for (const struct share *share = limbo; share; share = share->next_limbo)
        if (!share->owner->dying)
            fprintf(out, "grant %u of domain %u (%u pages) is given up but still mapped\n",
                    share->refs[0], share->owner->domid, share->pages);
    for (const struct conn *conn = conns; conn; conn = conn->next)
        for (const struct share *share = conn->shares; share; share = share->next)
            if (conn_counts(conn, all))
                fprintf(out, "grant %u of domain %u (%u pages) to domain %u, held by %s\n",
                        share->refs[0], share->owner->domid, share->pages, share->remote,
                        holder(conn));
}

static void mappings_report(FILE *out, bool all)
{
    for (const struct conn *conn = conns; conn; conn = conn->next)
        for (const struct mapping *map = conn->mappings; map; map = map->next)
            if (conn_counts(conn, all))
                fprintf(out, "mapping of %u pages of domain %u in domain %u, held by %s\n",
                        map->count, map->pages[0].share->owner->domid, conn->domain->domid,
                        holder(conn));
}

static void handles_report(FILE *out, bool all)
{
    for (const struct conn *conn = conns; conn; conn = conn->next)
        if (conn_counts(conn, all) && conn->handle >= 0)
            fprintf(out, "event channel handle in domain %u, held by %s\n", conn->domain->domid,
                    holder(conn));
}

static void ports_report(FILE *out, bool all)
{
    for (const struct domain *domain = domains; domain; domain = domain->next) {
        for (uint32_t number = 1; number <= domain->last_port; number++) {
            const struct port *port = &domain->ports[number];

            if (port->kind == PORT_CLOSED || number == domain->store_port)
                continue;
            if (!port->conn || conn_counts(port->conn, all))
                fprintf(out, "event channel %u of domain %u (peer: domain %u), held by %s\n",
                        number, domain->domid, port->remote_domid, holder(port->conn));
        }
    }
}

int report_leaks(struct request *request)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool all = request->message.arg[0];

    if (!out)
        return -errno;
    domains_report(out, all);
    shares_report(out, all);
    mappings_report(out, all);
    handles_report(out, all);
    ports_report(out, all);
    if (fclose(out) != 0)
        return -ENOMEM;
    request->out = text;
    request->reply.length = (uint32_t)(size < SIM_PAYLOAD ? size : SIM_PAYLOAD);
    return 0;
}
