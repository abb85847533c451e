/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/confine.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "service/sandbox.h"
#include "service/worker/protocol.h"

/* Requests to Xen's drivers (linux: include/uapi/xen/gntdev.h, gntalloc.h, evtchn.h). */
#define TYPE_MASK    (_IOC_TYPEMASK << _IOC_TYPESHIFT)
#define REQUEST_MASK 0xffffffffu
#define GRANTS       ('G' << _IOC_TYPESHIFT)
#define EVENTS       ('E' << _IOC_TYPESHIFT)
#define FIND_GRANT   _IOC(_IOC_NONE, 'G', 2, 24) /* libxengnttab does that before it unmaps */
#define UNMAP_GRANT  _IOC(_IOC_NONE, 'G', 1, 16)
#define FREE_GRANT   _IOC(_IOC_NONE, 'G', 6, 16)
#define UNBIND_EVENT _IOC(_IOC_NONE, 'E', 3, 4)
#define NOTIFY_EVENT _IOC(_IOC_NONE, 'E', 4, 4)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* mmap() with PROT_EXEC is refused: no memory becomes code. */
#define CALLS_FOR_WORK                                                                             \
    /* bytes, and the broker's requests */                                                         \
    {.name = "readv"}, {.name = "writev"}, {.name = "splice"}, {.name = "tee"},                    \
        {.name = "recvmsg"}, {.name = "recvfrom"}, {.name = "sendto"}, {.name = "read"},           \
        {.name = "write"}, {.name = "close"}, {.name = "shutdown"},                                \
        {.name = "fcntl", .argument = 1, .mask = REQUEST_MASK, .value = F_GETFD},                  \
        {.name = "fcntl", .argument = 1, .mask = REQUEST_MASK, .value = F_GETFL},                  \
        {.name = "fcntl", .argument = 1, .mask = REQUEST_MASK, .value = F_SETFL},                  \
        {.name = "fcntl", .argument = 1, .mask = REQUEST_MASK, .value = F_DUPFD_CLOEXEC},          \
        {.name = "ioctl", .argument = 1, .mask = REQUEST_MASK, .value = FIONREAD}, /* waiting */   \
        {.name = "epoll_wait"}, {.name = "epoll_pwait"}, {.name = "epoll_pwait2"},                 \
        {.name = "epoll_ctl"}, {.name = "poll"}, {.name = "ppoll"}, {.name = "futex"},             \
        {.name = "clock_gettime"}, {.name = "gettimeofday"}, {.name = "nanosleep"},                \
        {.name = "clock_nanosleep"}, {.name = "sched_yield"}, {.name = "restart_syscall"},         \
        {.name = "rt_sigreturn"}, {.name = "pause"}, /* memory, and exit */                        \
        {.name = "mmap", .argument = 2, .mask = PROT_EXEC, .value = 0}, {.name = "munmap"},        \
        {.name = "mremap"}, {.name = "madvise"}, {.name = "brk"}, {.name = "exit_group"},          \
    {                                                                                              \
        .name = "prctl", .argument = 0, .mask = REQUEST_MASK, .value = PR_SET_NAME                 \
    }

static const struct sandbox_call calls_before[] = {
    CALLS_FOR_WORK,
    {.name = "sendmsg"},
    {.name = "ioctl", .argument = 1, .mask = TYPE_MASK, .value = GRANTS},
    {.name = "ioctl", .argument = 1, .mask = TYPE_MASK, .value = EVENTS},
    /* for confine_to_rings() */
    {.name = "prctl", .argument = 0, .mask = REQUEST_MASK, .value = PR_SET_NO_NEW_PRIVS},
    {.name = "seccomp"},
};

static const struct sandbox_call calls_after[] = {
    CALLS_FOR_WORK,
    {.name = "ioctl", .argument = 1, .mask = REQUEST_MASK, .value = FIND_GRANT},
    {.name = "ioctl", .argument = 1, .mask = REQUEST_MASK, .value = UNMAP_GRANT},
    {.name = "ioctl", .argument = 1, .mask = REQUEST_MASK, .value = FREE_GRANT},
    {.name = "ioctl", .argument = 1, .mask = REQUEST_MASK, .value = UNBIND_EVENT},
    {.name = "ioctl", .argument = 1, .mask = REQUEST_MASK, .value = NOTIFY_EVENT},
};

/* A worker has one descriptor for each stream, or at most six others, and a few of its own. */
static const struct sandbox_limit limits[] = {
    {RLIMIT_CORE, 0},
    {RLIMIT_FSIZE, 0},
    {RLIMIT_NPROC, 0},
    {RLIMIT_NOFILE, STREAMS_MAX + WORKER_WAITING_MAX + 64},
#ifndef __SANITIZE_ADDRESS__ /* which takes terabytes of addresses */
    {RLIMIT_AS, 256u << 20}, /* the largest rings have 2 MiB */
#endif
};

int confine_for(domid_t peer)
{
    const struct sandbox sandbox = {
        .user = WORKER_USERS + peer,
        .limits = limits,
        .limit_count = COUNT(limits),
        .calls = calls_before,
        .call_count = COUNT(calls_before),
    };

    return sandbox_enter(&sandbox);
}

int confine_to_rings(void)
{
    return sandbox_narrow(calls_after, COUNT(calls_after));
}
