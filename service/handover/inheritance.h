/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How descriptors come from one process of the service to the next: from the service manager
 * (sd_listen_fds(3)), or directly, if the process replaces itself.
 */
#ifndef SERVICE_HANDOVER_INHERITANCE_H
#define SERVICE_HANDOVER_INHERITANCE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct inherited {
    int fd;
    bool stored; /* the manager has a copy, by this name */
    char name[64];
};

struct inheritance {
    struct inherited *all;
    uint32_t count, room;
    bool direct; /* the process was replaced, so it had all that it kept, not only what is stored */
};

/*
 * Reads what the process was started with out of its environment, and removes it from there, since
 * it is not meant for other programs. Returns 0, -ENOMEM, or -EINVAL: a process passed on something
 * else directly. Call inheritance_free() in any case.
 */
int inheritance_read(struct inheritance *inheritance);

void inheritance_free(struct inheritance *inheritance);

/* NULL: there is none of that name. */
const struct inherited *inheritance_find(const struct inheritance *inheritance, const char *name);

/* Finds the path of the program that runs, for inheritance_pass_on(); "": unknown. */
void inheritance_find_program(char program[PATH_MAX]);

/*
 * Replaces the process by the program that is now at that path. The program gets the arguments of
 * this process and all descriptors without FD_CLOEXEC; its inheritance_read() finds the given one.
 * Returns only if that fails, a negative errno.
 */
int inheritance_pass_on(const struct inherited *inherited, const char *program);

#endif
