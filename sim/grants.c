/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grants. Each share is a memory file of its own, so that a domain reaches only what was granted to
 * it. A share that is revoked while others map it stays in limbo with its refs in use, as in
 * Linux's gntalloc.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/hypervisor.h"

#define REFS      65536
#define FIRST_REF 8 /* the lower ones are reserved */

struct share *limbo;

static void notify_send(struct domain *domain, struct share *share, uint32_t page, uint32_t offset,
                        uint32_t port)
{
    if (offset != SIM_NONE &&
        pwrite(share->memory, "", 1, (off_t)page * SIM_PAGE + offset % SIM_PAGE) != 1)
        return; /* cannot fail on a memory file of that size */
    if (port != SIM_NONE)
        port_notify(domain, port);
}

static void share_free(struct share *share)
{
    for (uint32_t i = 0; i < share->pages; i++)
        share->owner->grants[share->refs[i]].share = NULL;
    if (share->memory >= 0)
        close(share->memory);
    if (share->memory_ro >= 0)
        close(share->memory_ro);
    free(share->refs);
    free(share);
}

static int refs_take(struct share *share, uint32_t ref)
{
    struct domain *domain = share->owner;

    for (uint32_t i = 0, tries = 0; i < share->pages; tries++) {
        uint32_t next = ref ? ref : domain->next_ref;

        if (tries > REFS)
            return -ENOSPC;
        if (!ref)
            domain->next_ref = next + 1 < REFS ? next + 1 : FIRST_REF;
        if (domain->grants[next].share)
            continue;
        domain->grants[next] = (struct grant){share, i};
        share->refs[i++] = next;
    }
    return 0;
}

/* Makes a share. ref is the wanted reference, or 0. Returns NULL with errno set if that fails. */
struct share *share_new(struct domain *owner, uint32_t remote, uint32_t pages, bool writable,
                        uint32_t ref)
{
    struct share *share = calloc(1, sizeof(*share));

    if (!share)
        return NULL;
    *share = (struct share){.owner = owner,
                            .remote = remote,
                            .pages = pages,
                            .writable = writable,
                            .memory = memfd_create("grant", MFD_CLOEXEC),
                            .memory_ro = -1,
                            .notify_offset = SIM_NONE,
                            .notify_port = SIM_NONE};
    share->refs = calloc(pages, sizeof(*share->refs));
    if (share->refs && share->memory >= 0 &&
        ftruncate(share->memory, (off_t)pages * SIM_PAGE) == 0 && refs_take(share, ref) == 0)
        return share;
    share_free(share);
    errno = ENOMEM;
    return NULL;
}

static void limbo_leave(struct share *share)
{
    struct share **link = &limbo;

    while (*link != share)
        link = &(*link)->next_limbo;
    *link = share->next_limbo;
    share->owner->shared -= share->pages;
    share_free(share);
}

/*
 * The owner revokes the pages: sends the promised notification, and frees pages that nobody maps.
 */
static void share_revoke(struct share *share, bool tell)
{
    if (tell)
        notify_send(share->owner, share, 0, share->notify_offset, share->notify_port);
    if (share->notify_port != SIM_NONE)
        port_drop(share->owner, share->notify_port);
    share->conn = NULL;
    share->revoked = true;
    share->next_limbo = limbo;
    limbo = share;
    if (share->mapped == 0)
        limbo_leave(share);
}

static void page_put(struct share *share)
{
    share->mapped--;
    share->owner->mapped--;
    if (share->mapped == 0 && share->revoked)
        limbo_leave(share);
}

static void mapping_free(struct mapping *mapping, bool tell)
{
    struct domain *domain = mapping->conn->domain;

    if (tell && mapping->count > 0)
        notify_send(domain, mapping->pages[0].share, mapping->pages[0].page, mapping->notify_offset,
                    mapping->notify_port);
    if (mapping->notify_port != SIM_NONE)
        port_drop(domain, mapping->notify_port);
    for (uint32_t i = 0; i < mapping->count; i++)
        page_put(mapping->pages[i].share);
    free(mapping->pages);
    free(mapping);
}

/* A dying domain's kernel does not run any more, so it notifies nobody. */
void grants_close(struct conn *conn)
{
    bool tell = !conn->domain->dying;

    while (conn->mappings) {
        struct mapping *mapping = conn->mappings;

        conn->mappings = mapping->next;
        mapping_free(mapping, tell);
    }
    while (conn->shares) {
        struct share *share = conn->shares;

        conn->shares = share->next;
        share_revoke(share, tell);
    }
}

/* Frees a dead domain's remaining grants once nobody maps them. */
void grants_destroy(struct domain *domain)
{
    if (domain->store)
        share_free(domain->store);
    domain->store = NULL;
    free(domain->grants);
    domain->grants = NULL;
}

int grant_share(struct request *request)
{
    const uint32_t *arg = request->message.arg;
    struct conn *conn = request->conn;
    struct domain *domain = conn->domain;
    struct share *share;

    if (arg[1] == 0 || arg[1] > SIM_PAYLOAD / sizeof(uint32_t) ||
        (arg[3] != SIM_NONE && arg[3] >= arg[1] * SIM_PAGE))
        return -EINVAL;
    if (domain->shared + arg[1] > domain->limit)
        return -ENOSPC;
    if (arg[4] != SIM_NONE && port_hold(domain, arg[4]) < 0)
        return -EINVAL;
    share = share_new(domain, arg[0], arg[1], arg[2], 0);
    if (!share) {
        if (arg[4] != SIM_NONE)
            port_drop(domain, arg[4]);
        return -errno;
    }
    domain->shared += share->pages;
    share->id = ++conn->last_id;
    share->notify_offset = arg[3];
    share->notify_port = arg[4];
    share->conn = conn;
    share->next = conn->shares;
    conn->shares = share;
    request->reply.arg[0] = share->id;
    request->reply.length = share->pages * (uint32_t)sizeof(uint32_t);
    request->out = malloc(request->reply.length);
    if (!request->out)
        return -ENOMEM;
    memcpy(request->out, share->refs, request->reply.length);
    request->out_fds[0] = share->memory;
    request->nout = 1;
    return 0;
}

int grant_unshare(struct request *request)
{
    struct share **link = &request->conn->shares;
    struct share *share;

    while (*link && (*link)->id != request->message.arg[0])
        link = &(*link)->next;
    share = *link;
    if (!share)
        return -ENOENT;
    *link = share->next;
    share_revoke(share, true);
    return 0;
}

/* The descriptor for a share's memory; read-only unless all of it may be written. */
static int share_memory(struct share *share, bool writable)
{
    char path[32];

    if (writable)
        return share->memory;
    if (share->memory_ro < 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", share->memory);
        share->memory_ro = open(path, O_RDONLY | O_CLOEXEC);
    }
    return share->memory_ro;
}

/* The grant, if the domain may map it; otherwise NULL. */
static struct grant *grant_find(struct domain *mapper, const struct sim_ref *ref, bool writable)
{
    struct domain *owner = domain_find(ref->domid);
    struct grant *grant;

    if (!owner || owner == mapper || ref->ref >= REFS)
        return NULL;
    grant = &owner->grants[ref->ref];
    if (!grant->share || grant->share->remote != mapper->domid ||
        (writable && !grant->share->writable))
        return NULL;
    return grant;
}

static int fd_index(struct request *request, int fd)
{
    for (int i = 0; i < request->nout; i++)
        if (request->out_fds[i] == fd)
            return i;
    if (fd < 0 || request->nout == SIM_FDS)
        return -EMFILE;
    request->out_fds[request->nout] = fd;
    return request->nout++;
}

/* Adds the pages that a request names to a mapping; all or none. */
static int mapping_extend(struct request *request, struct mapping *mapping)
{
    struct domain *mapper = request->conn->domain;
    const struct sim_ref *refs = (const struct sim_ref *)(const void *)request->payload;
    uint32_t count = request->message.length / (uint32_t)sizeof(*refs);
    bool writable = request->message.arg[1];
    struct sim_page *out = calloc(count, sizeof(*out));
    struct grant *pages = realloc(mapping->pages, (mapping->count + count) * sizeof(*pages));

    request->out = out;
    if (pages)
        mapping->pages = pages;
    if (!out || !pages)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct grant *grant = grant_find(mapper, &refs[i], writable);
        int fd = grant ? fd_index(request, share_memory(grant->share, writable)) : -EINVAL;

        if (fd < 0)
            return fd;
        pages[mapping->count + i] = *grant;
        out[i] = (struct sim_page){(uint32_t)fd, grant->page};
    }
    for (uint32_t i = mapping->count; i < mapping->count + count; i++) {
        pages[i].share->mapped++;
        pages[i].share->owner->mapped++;
    }
    mapping->count += count;
    request->reply.length = count * (uint32_t)sizeof(*out);
    return 0;
}

static struct mapping **mapping_link(struct conn *conn, uint32_t id)
{
    struct mapping **link = &conn->mappings;

    while (*link && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static struct mapping *mapping_new(struct request *request)
{
    const uint32_t *arg = request->message.arg;
    struct conn *conn = request->conn;
    struct mapping *mapping = calloc(1, sizeof(*mapping));

    if (!mapping)
        return NULL;
    *mapping = (struct mapping){.conn = conn,
                                .id = ++conn->last_id,
                                .notify_offset = arg[2],
                                .notify_port = SIM_NONE,
                                .next = conn->mappings};
    conn->mappings = mapping;
    return mapping;
}

int grant_map(struct request *request)
{
    const uint32_t *arg = request->message.arg;
    struct conn *conn = request->conn;
    bool first = arg[0] == SIM_NONE;
    struct mapping *mapping = first ? mapping_new(request) : *mapping_link(conn, arg[0]);
    int error;

    if (!mapping)
        return first ? -ENOMEM : -ENOENT;
    error = request->message.length ? mapping_extend(request, mapping) : -EINVAL;
    if (!error && first && arg[3] != SIM_NONE) {
        error = port_hold(conn->domain, arg[3]);
        mapping->notify_port = error ? SIM_NONE : arg[3];
    }
    if (error && first) {
        conn->mappings = mapping->next;
        mapping_free(mapping, false);
        request->reply.length = 0;
        request->nout = 0;
    }
    if (!error)
        request->reply.arg[0] = mapping->id;
    return error;
}

int grant_unmap(struct request *request)
{
    struct mapping **link = mapping_link(request->conn, request->message.arg[0]);
    struct mapping *mapping = *link;

    if (!mapping)
        return -ENOENT;
    *link = mapping->next;
    mapping_free(mapping, true);
    return 0;
}

int grant_limit(struct request *request)
{
    struct domain *domain = domain_meant(request, 0);

    if (!domain)
        return -ESRCH;
    if (request->conn->domain->domid != 0 && request->conn->domain != domain)
        return -EPERM;
    domain->limit = request->message.arg[1];
    return 0;
}
