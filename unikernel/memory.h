/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A page allocator. */
#ifndef UNIKERNEL_MEMORY_H
#define UNIKERNEL_MEMORY_H

#include <stdint.h>

/* Gives the whole pages in [begin, end) to the allocator. */
void memory_add(uintptr_t begin, uintptr_t end);

/* Returns contiguous, zeroed pages, owned by the caller; NULL if there are not enough. */
void *page_alloc(unsigned int count);

/* Frees them. */
void page_free(void *pages, unsigned int count);

/* The number of free pages. */
unsigned int pages_free(void);

#endif
