/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls into Xen. Numbers and arguments are those of the headers in xen/. Returns what Xen returns,
 * which is a negative errno on failure.
 */
#ifndef UNIKERNEL_HYPERCALL_H
#define UNIKERNEL_HYPERCALL_H

#include <stdint.h>
#include <xen/xen.h>

extern char hypercall_page[];

static inline long hypercall4(unsigned int number, uintptr_t a, uintptr_t b, uintptr_t c,
                              uintptr_t d)
{
    register uintptr_t fourth __asm__("r10") = d;
    long result;

    __asm__ volatile("call *%[entry]"
                     : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(fourth)
                     : [entry] "r"(hypercall_page + number * 32ul)
                     : "rcx", "r8", "r9", "r11", "memory");
    return result;
}

static inline long hypercall3(unsigned int number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    return hypercall4(number, a, b, c, 0);
}

/* Most calls take a command and a structure, or NULL. */
static inline long hypercall(unsigned int number, unsigned int command, void *argument)
{
    return hypercall4(number, command, (uintptr_t)argument, 0, 0);
}

#endif
