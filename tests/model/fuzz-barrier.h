/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replaces vchan/barrier.h (gcc -include tests/model/fuzz-barrier.h) in tests that play the other
 * side of the page and its timing. Each access to shared memory becomes a call of shared_access(),
 * before which the test may do anything, and which decides what is read. The product's code is
 * unchanged. A new macro in vchan/barrier.h does not compile here until it is added.
 */
#ifndef VCHAN_BARRIER_H
#define VCHAN_BARRIER_H

#include <stdint.h>

enum shared_kind {
    SHARED_LOAD,
    SHARED_STORE,
    SHARED_OR,
    SHARED_AND,
    SHARED_FENCE,
    SHARED_CALL, /* a hypercall or system call, which orders like a fence */
};

/*
 * Defined by the test: performs an access. size is 1, 2 or 4 (0 for a fence or call). Returns the
 * value read (for OR and AND, the previous one), or 0.
 */
uint32_t shared_access(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                       uint32_t value);

/* Performs the access in memory, at once. */
uint32_t shared_perform(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                        uint32_t value);

#define SHARED(kind, pointer, value) shared_access((kind), (pointer), sizeof(*(pointer)), (value))

#define load_acquire(pointer)         SHARED(SHARED_LOAD, (pointer), 0)
#define load_once(pointer)            SHARED(SHARED_LOAD, (pointer), 0)
#define store_release(pointer, value) ((void)SHARED(SHARED_STORE, (pointer), (value)))
#define store_once(pointer, value)    ((void)SHARED(SHARED_STORE, (pointer), (value)))
#define fetch_or(pointer, bits)       SHARED(SHARED_OR, (pointer), (bits))
#define fetch_and(pointer, bits)      SHARED(SHARED_AND, (pointer), (bits))

static inline void full_fence(void)
{
    shared_access(SHARED_FENCE, 0, 0, 0);
}

#endif
