/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes from a process, for good, what it does not need any more once it has opened what it works
 * with: its user, groups and capabilities, ways to get others, and all system calls but a few.
 */
#ifndef SERVICE_SANDBOX_H
#define SERVICE_SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/*
 * A system call that stays allowed, by its name: always, or, if mask is not 0, only where its
 * argument of that index has these bits: (argument & mask) == value. A name that libseccomp or the
 * processor does not know allows nothing.
 */
struct sandbox_call {
    const char *name;
    unsigned int argument;
    uint64_t mask, value;
};

/* A resource (RLIMIT_…), of which the process may have no more from then on. */
struct sandbox_limit {
    int resource;
    rlim_t most;
};

struct sandbox {
    uid_t user; /* also the group's number; it needs no account */
    const struct sandbox_limit *limits;
    size_t limit_count;
    const struct sandbox_call *calls;
    size_t call_count;
};

/*
 * The calling process, which has one thread, becomes the user, with no other groups, if it is
 * root's and its user namespace knows the number; and loses all else in any case. Nobody without
 * capabilities can trace it then. Another system call kills it (SIGSYS), which the kernel logs. The
 * calls have to include what free() needs: brk, munmap.
 *
 * 0, or a negative errno: some of it is lost, and the process is to end. -EINVAL: also if the
 * kernel has no such filters. It closes no descriptor, and does not block.
 */
int sandbox_enter(const struct sandbox *sandbox);

/*
 * Takes more calls from a process that is in a sandbox: only these, of those that are allowed there,
 * stay. The sandbox has to allow what this needs: seccomp, prctl, mmap. 0 or a negative errno.
 */
int sandbox_narrow(const struct sandbox_call *calls, size_t count);

#endif
