/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/model/fuzz-barrier.h"

#include <stdio.h>
#include <stdlib.h>

#define PERFORM(type)                                                                              \
    static uint32_t perform_##type(enum shared_kind kind, volatile type *at, uint32_t value)       \
    {                                                                                              \
        if (kind == SHARED_LOAD)                                                                   \
            return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                          \
        if (kind == SHARED_OR)                                                                     \
            return __atomic_fetch_or(at, (type)value, __ATOMIC_SEQ_CST);                           \
        if (kind == SHARED_AND)                                                                    \
            return __atomic_fetch_and(at, (type)value, __ATOMIC_SEQ_CST);                          \
        __atomic_store_n(at, (type)value, __ATOMIC_SEQ_CST);                                       \
        return 0;                                                                                  \
    }

PERFORM(uint8_t)
PERFORM(uint16_t)
PERFORM(uint32_t)

uint32_t shared_perform(enum shared_kind kind, const volatile void *pointer, unsigned int size,
                        uint32_t value)
{
    volatile void *at = (volatile void *)(uintptr_t)pointer;

    if (kind == SHARED_FENCE || kind == SHARED_CALL)
        return 0;
    if (size == 1)
        return perform_uint8_t(kind, at, value);
    if (size == 2)
        return perform_uint16_t(kind, at, value);
    if (size == 4)
        return perform_uint32_t(kind, at, value);
    fprintf(stderr, "fuzz-barrier: an access of %u bytes\n", size);
    abort();
}
