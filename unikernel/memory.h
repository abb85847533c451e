/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory in pages. */
#ifndef UNIKERNEL_MEMORY_H
#define UNIKERNEL_MEMORY_H

#include <stdint.h>

/* Gives the whole pages in [begin, end) to the allocator. */
void memory_add(uintptr_t begin, uintptr_t end);

/* Pages that lie together, zeroed; NULL if there are not so many. The caller owns them. */
void *page_alloc(unsigned int count);

/* Takes them back. */
void page_free(void *pages, unsigned int count);

/* How many are free. */
unsigned int pages_free(void);

#endif
