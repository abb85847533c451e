/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Each step returns 0 or a negative errno. */

static int lower_limits(const struct sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->limit_count; i++) {
        const struct sandbox_limit *limit = &sandbox->limits[i];
        struct rlimit most;

        if (getrlimit((__rlimit_resource_t)limit->resource, &most) < 0)
            return -errno;
        if (most.rlim_max > limit->most) /* RLIM_INFINITY is the largest */
            most.rlim_max = limit->most;
        most.rlim_cur = most.rlim_max;
        if (setrlimit((__rlimit_resource_t)limit->resource, &most) < 0)
            return -errno;
    }
    return 0;
}

/*
 * EPERM (no CAP_SETPCAP) is harmless: with no_new_privs no program gains capabilities of the set.
 */
static int empty_bounding_set(const struct sandbox *sandbox)
{
    unsigned long number;

    (void)sandbox;
    for (number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0)
            return errno == EPERM ? 0 : -errno;
    return 0;
}

/* EINVAL: the user namespace does not map the id. */
static int become_sandbox_user(const struct sandbox *sandbox)
{
    uid_t user = sandbox->user;

    if (geteuid() != 0)
        return 0;
    if (setresgid(user, user, user) < 0)
        return errno == EINVAL ? 0 : -errno;
    return setgroups(0, NULL) < 0 || setresuid(user, user, user) < 0 ? -errno : 0;
}

static int drop_capabilities(const struct sandbox *sandbox)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    static const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

    (void)sandbox;
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int block_privileges(const struct sandbox *sandbox)
{
    (void)sandbox;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0
               ? -errno
               : 0;
}

/* -EDOM: this processor has no such call. */
static int allow_call(scmp_filter_ctx filter, const struct sandbox_call *call)
{
    const struct scmp_arg_cmp condition = {.arg = call->argument,
                                           .op = SCMP_CMP_MASKED_EQ,
                                           .datum_a = call->mask,
                                           .datum_b = call->value};
    int number = seccomp_syscall_resolve_name(call->name), rc;

    if (number == __NR_SCMP_ERROR)
        return 0;
    rc = seccomp_rule_add_exact_array(filter, SCMP_ACT_ALLOW, number, call->mask != 0, &condition);
    return rc == -EDOM ? 0 : rc;
}

static int set_attributes(scmp_filter_ctx filter)
{
    static const struct {
        enum scmp_filter_attr attribute;
        uint32_t value;
    } attributes[] = {
        {SCMP_FLTATR_CTL_LOG, 1},
        {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
        {SCMP_FLTATR_API_SYSRAWRC, 1}, /* reports the kernel's errno, not ECANCELED for all */
    };
    int rc = 0;

    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]) && rc == 0; i++)
        rc = seccomp_attr_set(filter, attributes[i].attribute, attributes[i].value);
    return rc;
}

static int load_filter(const struct sandbox_call *calls, size_t count)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = filter ? set_attributes(filter) : -ENOMEM;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = allow_call(filter, &calls[i]);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

static int allow_calls(const struct sandbox *sandbox)
{
    return load_filter(sandbox->calls, sandbox->call_count);
}

int sandbox_narrow(const struct sandbox_call *calls, size_t count)
{
    return load_filter(calls, count);
}

int sandbox_enter(const struct sandbox *sandbox)
{
    static int (*const steps[])(const struct sandbox *sandbox) = {
        lower_limits,      empty_bounding_set, become_sandbox_user,
        drop_capabilities, block_privileges,   allow_calls,
    };
    int rc = 0;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
        rc = steps[i](sandbox);
    return rc;
}
