/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xengnttab.h>

#include "service/handover/ring-holder-protocol.h"
#include "service/handover/ring-holder.h"
#include "service/sandbox.h"
#include "service/start.h"
#include "vchan/barrier.h"
#include "vchan/ring.h"

/*
 * No account has this number, and no other program runs under it: systemd leaves 65520 to 65533
 * unused (systemd.io/UIDS-GIDS), and Debian reserves them (Policy, 9.2.2).
 */
#define RING_HOLDER_USER 65520

/* The type of gntdev's ioctls (linux: include/uapi/xen/gntdev.h): bits 8 to 15. */
#define GNTDEV_TYPE_MASK 0xff00u
#define GNTDEV_TYPE      ('G' << 8)

/* The most pages that both rings of a channel have together. */
#define PAGES_MAX (2u << (RING_ORDER_MAX - RING_ORDER_PAGE))

struct mapping {
    LIST_ENTRY(mapping) next;
    char owner[sizeof(((struct ring_holder_message *)NULL)->owner)];
    struct endpoint_rings rings;
    struct vchan_interface *page;
    void *ring_pages; /* NULL: the rings lie in the page */
};

struct process {
    xengnttab_handle *gnttab;
    LIST_HEAD(, mapping) all;
};

static int map_error(void)
{
    return errno ? -errno : -EIO;
}

static struct mapping *mapping_find(struct process *process, const char *owner)
{
    struct mapping *mapping;

    LIST_FOREACH (mapping, &process->all, next)
        if (strcmp(mapping->owner, owner) == 0)
            return mapping;
    return NULL;
}

/*
 * The grants are named in the shared page. A frontend that has changed them since loses only its
 * own bytes, and no more pages are mapped.
 */
static int map_ring_pages(struct process *process, struct mapping *mapping)
{
    uint32_t refs[PAGES_MAX];

    if (mapping->rings.pages == 0)
        return 0;
    if (mapping->rings.pages > PAGES_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < mapping->rings.pages; i++)
        refs[i] = load_once(&mapping->page->grants[i]);
    mapping->ring_pages = xengnttab_map_domain_grant_refs(process->gnttab, mapping->rings.pages,
                                                          mapping->rings.peer, refs, PROT_READ);
    return mapping->ring_pages ? 0 : map_error();
}

static int map_held_rings(struct process *process, struct mapping *mapping)
{
    errno = 0;
    mapping->page = xengnttab_map_grant_ref(process->gnttab, mapping->rings.peer,
                                            mapping->rings.ring_ref, PROT_READ);
    return mapping->page ? map_ring_pages(process, mapping) : map_error();
}

static void mapping_free(struct process *process, struct mapping *mapping)
{
    if (mapping->ring_pages)
        xengnttab_unmap(process->gnttab, mapping->ring_pages, mapping->rings.pages);
    if (mapping->page)
        xengnttab_unmap(process->gnttab, mapping->page, 1);
    free(mapping);
}

static void mapping_drop(struct process *process, struct mapping *mapping)
{
    LIST_REMOVE(mapping, next);
    mapping_free(process, mapping);
}

/* ---- requests: each returns 0 or a negative errno ---- */

static int serve_drop(struct process *process, const struct ring_holder_message *message)
{
    struct mapping *mapping = mapping_find(process, message->owner);

    if (mapping)
        mapping_drop(process, mapping);
    return 0;
}

/* Keeps existing mappings: this may be the only process that still maps the pages. */
static int serve_add(struct process *process, const struct ring_holder_message *message)
{
    struct mapping *mapping = mapping_find(process, message->owner);
    int rc;

    if (mapping && memcmp(&mapping->rings, &message->rings, sizeof(mapping->rings)) == 0)
        return 0;
    serve_drop(process, message);
    mapping = calloc(1, sizeof(*mapping));
    if (!mapping)
        return -ENOMEM;
    memcpy(mapping->owner, message->owner, sizeof(mapping->owner));
    mapping->rings = message->rings;
    rc = map_held_rings(process, mapping);
    if (rc < 0)
        mapping_free(process, mapping);
    else
        LIST_INSERT_HEAD(&process->all, mapping, next);
    return rc;
}

static void send_answer(const struct ring_holder_message *message)
{
    while (send(RING_HOLDER_FD, message, sizeof(*message), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static int serve_version(struct process *process, const struct ring_holder_message *message)
{
    (void)process, (void)message;
    return RING_HOLDER_VERSION;
}

static void answer_request(struct process *process, struct ring_holder_message *message)
{
    static int (*const requests[])(struct process *, const struct ring_holder_message *) = {
        [RING_HOLDER_ADD] = serve_add,
        [RING_HOLDER_DROP] = serve_drop,
        [RING_HOLDER_GET_VERSION] = serve_version};
    bool known = message->request < RING_HOLDER_REQUESTS && requests[message->request];

    message->owner[sizeof(message->owner) - 1] = '\0';
    message->result = known ? requests[message->request](process, message) : -ENOSYS;
    send_answer(message);
}

/* Returns false when the last copy of the socket's other end was closed. */
static bool await_request(struct ring_holder_message *message)
{
    ssize_t got;

    do
        got = recv(RING_HOLDER_FD, message, sizeof(*message), 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(*message);
}

/*
 * A service manager that stops the service signals all of its processes. The service ends this one
 * itself, when it has delivered what is in the rings.
 */
static void ignore_stop_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_IGN);
}

/* ---- the sandbox ---- */

static const struct sandbox_limit holder_limits[] = {
    {RLIMIT_CORE, 0},
    {RLIMIT_FSIZE, 0},
    {RLIMIT_NPROC, 0},
};

/* mmap() with PROT_EXEC is refused. libxengnttab sleeps while a page is swapped out. */
static const struct sandbox_call holder_calls[] = {
    /* messages */
    {.name = "recvfrom"},
    {.name = "sendto"},
    {.name = "recvmsg"},
    {.name = "sendmsg"},
    {.name = "write"},
    {.name = "close"},
    {.name = "dup2"},
    {.name = "dup3"},
    /* grants, and memory of its own */
    {.name = "ioctl", .argument = 1, .mask = GNTDEV_TYPE_MASK, .value = GNTDEV_TYPE},
    {.name = "mmap", .argument = 2, .mask = PROT_EXEC, .value = 0},
    {.name = "munmap"},
    {.name = "madvise"},
    {.name = "brk"},
    /* time, and exit */
    {.name = "nanosleep"},
    {.name = "clock_nanosleep"},
    {.name = "clock_gettime"},
    {.name = "sched_yield"},
    {.name = "restart_syscall"},
    {.name = "rt_sigreturn"},
    {.name = "exit_group"},
};

static const struct sandbox holder_sandbox = {
    .user = RING_HOLDER_USER,
    .limits = holder_limits,
    .limit_count = sizeof(holder_limits) / sizeof(holder_limits[0]),
    .calls = holder_calls,
    .call_count = sizeof(holder_calls) / sizeof(holder_calls[0]),
};

static int drop_rights(void)
{
    int rc = sandbox_enter(&holder_sandbox);

    if (rc < 0)
        fprintf(stderr,
                RING_HOLDER_NAME ": cannot drop its rights: %s (does the kernel have "
                                 "CONFIG_SECCOMP_FILTER?)\n",
                strerror(-rc));
    return rc == 0 ? start_is_over() : rc;
}

/* From drop_rights() on, the process has only the socket, the device and three times /dev/null. */
static int serve_requests(struct process *process)
{
    struct ring_holder_message message;

    process->gnttab = xengnttab_open(NULL, 0);
    if (!process->gnttab) {
        fprintf(stderr, RING_HOLDER_NAME ": cannot open /dev/xen/gntdev: %s\n", strerror(errno));
        return 1;
    }
    if (drop_rights() < 0)
        return 1;
    while (await_request(&message))
        answer_request(process, &message);
    while (!LIST_EMPTY(&process->all))
        mapping_drop(process, LIST_FIRST(&process->all));
    xengnttab_close(process->gnttab);
    return 0;
}

int ring_holder_serve(void)
{
    struct process process = {0};
    int type;

    if (getsockopt(RING_HOLDER_FD, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) < 0) {
        fprintf(stderr, RING_HOLDER_NAME ": cannot use its socket: %s (vchan-backend starts it)\n",
                strerror(errno));
        return 1;
    }
    prctl(PR_SET_NAME, RING_HOLDER_NAME);
    ignore_stop_signals();
    return serve_requests(&process);
}
