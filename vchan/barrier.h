/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every access to memory that the other domain also writes goes through here; nothing else in the
 * project touches an atomic. Freestanding.
 *
 * The other side may run any code, so a load is a snapshot: take it once, check it, use only that.
 */
#ifndef VCHAN_BARRIER_H
#define VCHAN_BARRIER_H

#include <stdint.h>

/* Nothing after it (in program order) is done before the load: data is read after its index. */
#define load_acquire(pointer) __atomic_load_n((pointer), __ATOMIC_ACQUIRE)

/* Nothing before it is done after the store: data is written before its index. */
#define store_release(pointer, value) __atomic_store_n((pointer), (value), __ATOMIC_RELEASE)

/* A plain snapshot, read exactly once, with no order of its own. */
#define load_once(pointer) __atomic_load_n((pointer), __ATOMIC_RELAXED)

/* A plain store, written exactly once, with no order of its own. */
#define store_once(pointer, value) __atomic_store_n((pointer), (value), __ATOMIC_RELAXED)

/* Whole and ordered with everything around it. Both give the value before. */
#define fetch_or(pointer, bits) __atomic_fetch_or((pointer), (bits), __ATOMIC_SEQ_CST)
#define fetch_and(pointer, bits) __atomic_fetch_and((pointer), (bits), __ATOMIC_SEQ_CST)

/* No store before it is delayed past a load after it: the fence of "publish, then look". */
static inline void full_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
