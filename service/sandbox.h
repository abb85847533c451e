/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restricts a process for good, once it has opened what it works with: takes away its user, groups
 * and capabilities, ways to get others, and all system calls except those that are listed.
 */
#ifndef SERVICE_SANDBOX_H
#define SERVICE_SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/*
 * A system call that stays allowed: always, or if mask is not 0, only where its argument of that
 * index has these bits: (argument & mask) == value. A name that libseccomp or the processor does
 * not know is ignored.
 */
struct sandbox_call {
    const char *name;
    unsigned int argument;
    uint64_t mask, value;
};

/* A resource (RLIMIT_…) and its hard limit from then on. */
struct sandbox_limit {
    int resource;
    rlim_t most;
};

struct sandbox {
    uid_t user; /* the group id too; needs no account */
    const struct sandbox_limit *limits;
    size_t limit_count;
    const struct sandbox_call *calls;
    size_t call_count;
};

/*
 * Restricts the calling process, which must have one thread. If it runs as root, and its user
 * namespace maps the id, it becomes user, with no supplementary groups. It loses everything else in
 * any case, and only a process with capabilities can trace it. A system call that is not listed
 * kills it (SIGSYS), which the kernel logs. calls must include what free() needs: brk and munmap.
 *
 * Returns 0, or a negative errno: some rights are lost, and the process must exit. -EINVAL may mean
 * that the kernel has no such filters. Closes no descriptor, and does not block.
 */
int sandbox_enter(const struct sandbox *sandbox);

/*
 * Allows only these calls, of those that the sandbox allows already. The sandbox must allow what
 * this call needs: seccomp, prctl and mmap. Returns as sandbox_enter().
 */
int sandbox_narrow(const struct sandbox_call *calls, size_t count);

#endif
