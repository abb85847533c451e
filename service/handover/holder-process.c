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

#include "service/handover/holder-own.h"
#include "service/handover/holder.h"
#include "service/sandbox.h"
#include "vchan/barrier.h"
#include "vchan/ring.h"

/*
 * No account has this number, and no other program runs as it: systemd leaves 65520 to 65533 unused
 * (systemd.io/UIDS-GIDS), and Debian reserves them (Policy, 9.2.2).
 */
#define HOLDER_USER 65520

/* The type of gntdev's ioctls (linux: include/uapi/xen/gntdev.h): bits 8 to 15. */
#define GNTDEV_TYPE_MASK 0xff00u
#define GNTDEV_TYPE      ('G' << 8)

/* Both rings have at most this. */
#define PAGES_MAX (2u << (RING_ORDER_MAX - RING_ORDER_PAGE))

struct held {
    LIST_ENTRY(held) next;
    char owner[sizeof(((struct holder_message *)NULL)->owner)];
    struct endpoint_rings rings;
    struct vchan_interface *page;
    void *own; /* the rings' own pages, or NULL */
};

struct process {
    xengnttab_handle *mapping;
    LIST_HEAD(, held) all;
};

static int map_error(void)
{
    return errno ? -errno : -EIO;
}

static struct held *held_find(struct process *process, const char *owner)
{
    struct held *held;

    LIST_FOREACH (held, &process->all, next)
        if (strcmp(held->owner, owner) == 0)
            return held;
    return NULL;
}

/*
 * The page names the grants. A frontend that has changed them by now loses what it wrote itself,
 * and no more is mapped.
 */
static int map_own(struct process *process, struct held *held)
{
    uint32_t refs[PAGES_MAX];

    if (held->rings.pages == 0)
        return 0;
    if (held->rings.pages > PAGES_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < held->rings.pages; i++)
        refs[i] = load_once(&held->page->grants[i]);
    held->own = xengnttab_map_domain_grant_refs(process->mapping, held->rings.pages,
                                                held->rings.peer, refs, PROT_READ);
    return held->own ? 0 : map_error();
}

static int map(struct process *process, struct held *held)
{
    errno = 0;
    held->page = xengnttab_map_grant_ref(process->mapping, held->rings.peer, held->rings.ring_ref,
                                         PROT_READ);
    return held->page ? map_own(process, held) : map_error();
}

static void held_free(struct process *process, struct held *held)
{
    if (held->own)
        xengnttab_unmap(process->mapping, held->own, held->rings.pages);
    if (held->page)
        xengnttab_unmap(process->mapping, held->page, 1);
    free(held);
}

static void held_drop(struct process *process, struct held *held)
{
    LIST_REMOVE(held, next);
    held_free(process, held);
}

/* ---- requests: each returns 0 or a negative errno ---- */

static int let_go(struct process *process, const struct holder_message *message)
{
    struct held *held = held_find(process, message->owner);

    if (held)
        held_drop(process, held);
    return 0;
}

/* What is held already stays mapped all the time: nobody else may map it. */
static int hold(struct process *process, const struct holder_message *message)
{
    struct held *held = held_find(process, message->owner);
    int rc;

    if (held && memcmp(&held->rings, &message->rings, sizeof(held->rings)) == 0)
        return 0;
    let_go(process, message);
    held = calloc(1, sizeof(*held));
    if (!held)
        return -ENOMEM;
    memcpy(held->owner, message->owner, sizeof(held->owner));
    held->rings = message->rings;
    rc = map(process, held);
    if (rc < 0)
        held_free(process, held);
    else
        LIST_INSERT_HEAD(&process->all, held, next);
    return rc;
}

static void say(const struct holder_message *message)
{
    while (send(HOLDER_FD, message, sizeof(*message), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static int list_held(struct process *process, const struct holder_message *message)
{
    struct held *held;

    LIST_FOREACH (held, &process->all, next) {
        struct holder_message one = *message;

        one.request = HOLDER_HOLD;
        memcpy(one.owner, held->owner, sizeof(one.owner));
        one.rings = held->rings;
        say(&one);
    }
    return 0;
}

static int version(struct process *process, const struct holder_message *message)
{
    (void)process, (void)message;
    return HOLDER_SPEAKS;
}

static void answer(struct process *process, struct holder_message *message)
{
    static int (*const requests[])(struct process *, const struct holder_message *) = {
        [HOLDER_HOLD] = hold, [HOLDER_LET_GO] = let_go, [HOLDER_LIST] = list_held,
        [HOLDER_VERSION] = version};

    message->owner[sizeof(message->owner) - 1] = '\0';
    message->result = message->request < HOLDER_REQUESTS
                          ? requests[message->request](process, message)
                          : -ENOSYS;
    say(message);
}

/* Returns whether there was one. */
static bool next_request(struct holder_message *message)
{
    ssize_t got;

    do
        got = recv(HOLDER_FD, message, sizeof(*message), 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(*message);
}

/*
 * Whoever wants to stop the service, and signals all of its processes: it ends this one, when it is
 * done.
 */
static void ignore_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_IGN);
}

/* ---- what it may do ---- */

static const struct sandbox_limit holder_limits[] = {
    {RLIMIT_CORE, 0},
    {RLIMIT_FSIZE, 0},
    {RLIMIT_NPROC, 0},
};

/* No memory becomes code. libxengnttab sleeps while a page is swapped out. */
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
    /* time, and its end */
    {.name = "nanosleep"},
    {.name = "clock_nanosleep"},
    {.name = "clock_gettime"},
    {.name = "sched_yield"},
    {.name = "restart_syscall"},
    {.name = "rt_sigreturn"},
    {.name = "exit_group"},
};

static const struct sandbox holder_sandbox = {
    .user = HOLDER_USER,
    .limits = holder_limits,
    .limit_count = sizeof(holder_limits) / sizeof(holder_limits[0]),
    .calls = holder_calls,
    .call_count = sizeof(holder_calls) / sizeof(holder_calls[0]),
};

/*
 * Standard error is the service's until this has succeeded. Afterwards it is /dev/null like the
 * others, so that a program that reads the service's to its end does not wait for this process.
 */
static int drop_rights(void)
{
    int rc = sandbox_enter(&holder_sandbox);

    if (rc < 0)
        fprintf(stderr, HOLDER_NAME ": cannot drop its rights: %s (does the kernel have "
                "CONFIG_SECCOMP_FILTER?)\n", strerror(-rc));
    return rc == 0 && dup2(STDOUT_FILENO, STDERR_FILENO) < 0 ? -errno : rc;
}

/* Of the descriptors there are only the socket, the device, and three of /dev/null. */
static int serve_requests(struct process *process)
{
    struct holder_message message;

    process->mapping = xengnttab_open(NULL, 0);
    if (!process->mapping) {
        fprintf(stderr, HOLDER_NAME ": cannot open /dev/xen/gntdev: %s\n", strerror(errno));
        return 1;
    }
    if (drop_rights() < 0)
        return 1;
    while (next_request(&message))
        answer(process, &message);
    while (!LIST_EMPTY(&process->all))
        held_drop(process, LIST_FIRST(&process->all));
    xengnttab_close(process->mapping);
    return 0;
}

int holder_serve(void)
{
    struct process process = {0};
    int type;

    if (getsockopt(HOLDER_FD, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) < 0) {
        fprintf(stderr, HOLDER_NAME ": cannot use its socket: %s (vchan-backend starts it)\n",
                strerror(errno));
        return 1;
    }
    prctl(PR_SET_NAME, HOLDER_NAME);
    ignore_signals();
    return serve_requests(&process);
}
