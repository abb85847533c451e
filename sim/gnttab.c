/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxengnttab for simulated domains: /dev/xen/gntalloc and /dev/xen/gntdev as Linux implements
 * them. A region of shared pages outlives its handle and ends with munmap(), whoever calls that
 * (libxenvchan does). So munmap() is replaced here, too.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xengnttab.h>
#include <xentoollog.h>

#include "sim/client.h"
#include "sim/export.h"

#define MAP_PAGES   65536 /* gntdev's default limit for one mapping */
#define SHARE_PAGES 8192
#define CHUNK       128 /* refs in a request: each may come with a descriptor of its own */

/* An open device, used by one handle and by the regions made with it. */
struct xengntdev_handle {
    int conn;
    int users;
    struct xentoollog_logger *logger;
};

struct region {
    char *start;
    size_t length;
    size_t left; /* bytes still mapped */
    uint32_t id;
    enum sim_op release;
    xengnttab_handle *handle;
    struct region *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct region *regions;

/* A program that passes a logger has loaded the library that it comes from. */
extern void xtl_log(struct xentoollog_logger *logger, xentoollog_level level, int errnoval,
                    const char *context, const char *format, ...) __attribute__((weak));

static void error_log(xengnttab_handle *handle, const char *context, const char *what, int error)
{
    if (handle->logger && xtl_log)
        xtl_log(handle->logger, XTL_ERROR, error, context, "%s", what);
    else
        fprintf(stderr, "%s: error: %s: %s\n", context, what, strerror(error));
    errno = error;
}

static xengnttab_handle *handle_open(struct xentoollog_logger *logger)
{
    xengnttab_handle *handle = calloc(1, sizeof(*handle));

    if (!handle)
        return NULL;
    handle->logger = logger;
    handle->users = 1;
    handle->conn = sim_connect();
    if (handle->conn < 0) {
        errno = -handle->conn;
        free(handle);
        return NULL;
    }
    return handle;
}

/* Called with the lock held. */
static void handle_put(xengnttab_handle *handle)
{
    if (--handle->users > 0)
        return;
    close(handle->conn);
    free(handle);
}

static int handle_close(xengnttab_handle *handle)
{
    if (!handle)
        return 0;
    pthread_mutex_lock(&lock);
    handle->logger = NULL;
    handle_put(handle);
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Makes a request with payloads in both directions. */
static int handle_exchange(xengnttab_handle *handle, struct sim_message *message, const void *out,
                           void *in, size_t size, int *fds, int *nfds)
{
    int error;

    pthread_mutex_lock(&lock);
    error = sim_send(handle->conn, message, out, NULL, 0);
    if (!error)
        error = sim_receive(handle->conn, message, in, size, fds, nfds);
    pthread_mutex_unlock(&lock);
    return error ? error : message->result;
}

static int handle_release(xengnttab_handle *handle, enum sim_op op, uint32_t id)
{
    struct sim_message message = {.op = op, .arg = {id}};
    int result;

    pthread_mutex_lock(&lock);
    result = sim_call(handle->conn, &message);
    pthread_mutex_unlock(&lock);
    return result;
}

static int region_add(xengnttab_handle *handle, enum sim_op release, uint32_t id, void *start,
                      size_t length)
{
    struct region *region = malloc(sizeof(*region));

    if (!region)
        return -ENOMEM;
    *region = (struct region){.start = start,
                              .length = length,
                              .left = length,
                              .id = id,
                              .release = release,
                              .handle = handle};
    pthread_mutex_lock(&lock);
    handle->users++;
    region->next = regions;
    __atomic_store_n(&regions, region, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Removes what [start, end) covers from the region. Returns true if nothing is left of it. */
static bool region_cut(struct region *region, const char *start, const char *end)
{
    const char *from = start > region->start ? start : region->start;
    const char *to = end < region->start + region->length ? end : region->start + region->length;

    if (from < to)
        region->left -= (size_t)(to - from) < region->left ? (size_t)(to - from) : region->left;
    return region->left == 0;
}

static void regions_unmap(const char *start, const char *end)
{
    struct region **link = &regions;

    pthread_mutex_lock(&lock);
    while (*link) {
        struct region *region = *link;

        if (!region_cut(region, start, end)) {
            link = &region->next;
            continue;
        }
        *link = region->next;
        sim_call(region->handle->conn,
                 &(struct sim_message){.op = region->release, .arg = {region->id}});
        handle_put(region->handle);
        free(region);
    }
    pthread_mutex_unlock(&lock);
}

SIM_EXPORT int munmap(void *start, size_t length)
{
    int result = (int)syscall(SYS_munmap, start, length);

    if (result == 0 && __atomic_load_n(&regions, __ATOMIC_ACQUIRE)) {
        size_t mask = SIM_PAGE - 1;

        regions_unmap(start, (char *)start + ((length + mask) & ~mask));
    }
    return result;
}

/* gntshr: granting memory of our own to another domain. */

SIM_EXPORT xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned int flags)
{
    (void)flags;
    return handle_open(logger);
}

SIM_EXPORT int xengntshr_close(xengntshr_handle *xgs)
{
    return handle_close(xgs);
}

SIM_EXPORT int xengntshr_fd(xengntshr_handle *xgs)
{
    return xgs->conn;
}

/* Maps the memory that SIM_SHARE returned, or undoes the share. */
static void *share_map(xengntshr_handle *xgs, uint32_t id, int fd, size_t length)
{
    void *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (start != MAP_FAILED) {
        if (!region_add(xgs, SIM_UNSHARE, id, start, length))
            return start;
        munmap(start, length);
    }
    handle_release(xgs, SIM_UNSHARE, id);
    error_log(xgs, "gntshr", "mmap failed", ENOMEM);
    return NULL;
}

static void *share(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs, int writable,
                   uint32_t offset, uint32_t port)
{
    struct sim_message message = {.op = SIM_SHARE,
                                  .arg = {domid, (uint32_t)count, writable != 0, offset, port}};
    int fd = -1;
    int nfds = 1;
    int error =
        count <= 0 || count > SHARE_PAGES
            ? -EINVAL
            : handle_exchange(xgs, &message, NULL, refs, (size_t)count * sizeof(*refs), &fd, &nfds);
    void *start;

    if (error) {
        error_log(xgs, "gntshr", "ioctl failed", -error);
        return NULL;
    }
    start = share_map(xgs, message.arg[0], fd, (size_t)count * SIM_PAGE);
    close(fd);
    return start;
}

SIM_EXPORT void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
                                       uint32_t *refs, int writable)
{
    return share(xgs, domid, count, refs, writable, SIM_NONE, SIM_NONE);
}

SIM_EXPORT void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref,
                                             int writable, uint32_t offset, evtchn_port_t port)
{
    return share(xgs, domid, 1, ref, writable, offset, port);
}

SIM_EXPORT int xengntshr_unshare(xengntshr_handle *xgs, void *start, uint32_t count)
{
    (void)xgs;
    return munmap(start, (size_t)count * SIM_PAGE);
}

/* gnttab: mapping another domain's memory. */

SIM_EXPORT xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned int flags)
{
    (void)flags;
    return handle_open(logger);
}

SIM_EXPORT int xengnttab_close(xengnttab_handle *xgt)
{
    return handle_close(xgt);
}

SIM_EXPORT int xengnttab_fd(xengnttab_handle *xgt)
{
    return xgt->conn;
}

SIM_EXPORT int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t count)
{
    (void)xgt;
    (void)count;
    return 0; /* as on current Linux, which does not have the call */
}

/* Maps the pages of one reply at start. */
static int pages_place(char *start, const struct sim_page *pages, uint32_t count, int prot,
                       const int *fds, int nfds)
{
    for (uint32_t i = 0, run; i < count; i += run) {
        run = 1;
        while (i + run < count && pages[i + run].fd == pages[i].fd &&
               pages[i + run].page == pages[i].page + run)
            run++;
        if (pages[i].fd >= (uint32_t)nfds)
            return -EPROTO;
        /* cppcheck-suppress leakReturnValNotUsed ; it goes where start says */
        if (mmap(start + (size_t)i * SIM_PAGE, (size_t)run * SIM_PAGE, prot, MAP_SHARED | MAP_FIXED,
                 fds[pages[i].fd], (off_t)pages[i].page * SIM_PAGE) == MAP_FAILED)
            return -errno;
    }
    return 0;
}

/* Maps up to CHUNK refs. message carries the mapping's id from one chunk to the next. */
static int chunk_map(xengnttab_handle *xgt, struct sim_message *message, char *start,
                     const struct sim_ref *refs, uint32_t count, int prot)
{
    struct sim_page pages[CHUNK];
    int fds[CHUNK];
    int nfds = CHUNK;
    int error;

    message->length = count * (uint32_t)sizeof(*refs);
    error = handle_exchange(xgt, message, refs, pages, sizeof(pages), fds, &nfds);
    if (!error)
        error = pages_place(start, pages, count, prot, fds, nfds);
    for (int i = 0; i < nfds; i++)
        close(fds[i]);
    return error;
}

static int refs_map(xengnttab_handle *xgt, char *start, const struct sim_ref *refs, uint32_t count,
                    int prot, uint32_t offset, uint32_t port, uint32_t *id)
{
    bool writable = prot & PROT_WRITE;

    *id = SIM_NONE;
    for (uint32_t done = 0, size; done < count; done += size) {
        struct sim_message message = {.op = SIM_MAP, .arg = {*id, writable, offset, port}};
        int error;

        size = count - done < CHUNK ? count - done : CHUNK;
        error = chunk_map(xgt, &message, start + (size_t)done * SIM_PAGE, refs + done, size, prot);
        if (error)
            return error;
        *id = message.arg[0];
    }
    return 0;
}

static void *map_at(xengnttab_handle *xgt, const struct sim_ref *refs, uint32_t count, int prot,
                    uint32_t offset, uint32_t port)
{
    size_t length = (size_t)count * SIM_PAGE;
    void *start = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t id;
    int error;

    if (start == MAP_FAILED)
        return NULL;
    error = refs_map(xgt, start, refs, count, prot, offset, port, &id);
    if (!error)
        error = region_add(xgt, SIM_UNMAP, id, start, length);
    if (!error)
        return start;
    syscall(SYS_munmap, start, length);
    if (id != SIM_NONE)
        handle_release(xgt, SIM_UNMAP, id);
    error_log(xgt, "gnttab", "mmap failed", -error);
    return NULL;
}

/* stride is 0 if one domain granted all the refs. */
static void *map(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids, int stride,
                 const uint32_t *refs, int prot, uint32_t offset, uint32_t port)
{
    struct sim_ref *list;
    void *start;

    if (count == 0 || count > MAP_PAGES) {
        error_log(xgt, "gnttab", "ioctl MAP_GRANT_REF failed", EINVAL);
        return NULL;
    }
    list = malloc(count * sizeof(*list));
    if (!list)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        list[i] = (struct sim_ref){domids[stride ? i : 0], refs[i]};
    start = map_at(xgt, list, count, prot, offset, port);
    free(list);
    return start;
}

SIM_EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
                                         int prot)
{
    return map(xgt, 1, &domid, 0, &ref, prot, SIM_NONE, SIM_NONE);
}

SIM_EXPORT void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids,
                                          uint32_t *refs, int prot)
{
    return map(xgt, count, domids, 1, refs, prot, SIM_NONE, SIM_NONE);
}

SIM_EXPORT void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
                                                 uint32_t domid, uint32_t *refs, int prot)
{
    return map(xgt, count, &domid, 0, refs, prot, SIM_NONE, SIM_NONE);
}

SIM_EXPORT void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
                                                int prot, uint32_t offset, evtchn_port_t port)
{
    return map(xgt, 1, &domid, 0, &ref, prot, offset, port);
}

static bool region_known(xengnttab_handle *xgt, const void *start, size_t length)
{
    struct region *region;

    pthread_mutex_lock(&lock);
    for (region = regions; region; region = region->next)
        if (region->handle == xgt && region->start == start && region->length == length)
            break;
    pthread_mutex_unlock(&lock);
    return region != NULL;
}

SIM_EXPORT int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
    if (!start || !region_known(xgt, start, (size_t)count * SIM_PAGE)) {
        errno = EINVAL;
        return -1;
    }
    return munmap(start, (size_t)count * SIM_PAGE);
}

/* Not simulated. */

SIM_EXPORT int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
                                    xengnttab_grant_copy_segment_t *segs)
{
    (void)xgt;
    (void)count;
    (void)segs;
    errno = ENOTTY;
    return -1;
}
