/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every access to memory that the other domain can write goes through this file. Nothing else in
 * the project uses atomics on shared pages. Freestanding.
 *
 * The other side may run any code, so each load is a snapshot: take it once, check it, use only
 * that.
 */
#ifndef VCHAN_BARRIER_H
#define VCHAN_BARRIER_H

#include <stdint.h>

/* Accesses after this load, in program order, stay after it: read the index, then its data. */
#define load_acquire(pointer) __atomic_load_n((pointer), __ATOMIC_ACQUIRE)

/* Accesses before this store, in program order, stay before it: write the data, then its index. */
#define store_release(pointer, value) __atomic_store_n((pointer), (value), __ATOMIC_RELEASE)

/* A snapshot, read exactly once, without ordering. */
#define load_once(pointer) __atomic_load_n((pointer), __ATOMIC_RELAXED)

/* A store, written exactly once, without ordering. */
#define store_once(pointer, value) __atomic_store_n((pointer), (value), __ATOMIC_RELAXED)

/* Atomic and ordered with everything around them. Both return the previous value. */
#define fetch_or(pointer, bits) __atomic_fetch_or((pointer), (bits), __ATOMIC_SEQ_CST)
#define fetch_and(pointer, bits) __atomic_fetch_and((pointer), (bits), __ATOMIC_SEQ_CST)

/* No load after the fence is done before a store that precedes it: publish, fence, then check. */
static inline void full_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
