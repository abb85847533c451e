/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/memory.h"

#include <stdbool.h>
#include <string.h>

#include "unikernel/platform.h"

#define PAGES (MEMORY_MAX / PAGE_SIZE)

static uint8_t is_free[PAGES / 8];
static unsigned int free_count;

static bool get(unsigned int page)
{
    return is_free[page / 8] & 1u << page % 8;
}

/* Changes the state of count pages, all of which had the other one. */
static void flip(unsigned int page, unsigned int count)
{
    for (unsigned int i = page; i < page + count; i++)
        is_free[i / 8] ^= (uint8_t)(1u << i % 8);
}

void memory_add(uintptr_t begin, uintptr_t end)
{
    unsigned int first = (unsigned int)((begin + PAGE_SIZE - 1) / PAGE_SIZE);
    unsigned int after = (unsigned int)(end / PAGE_SIZE);

    if (first < after)
        page_free((void *)((uintptr_t)first * PAGE_SIZE), after - first);
}

void *page_alloc(unsigned int count)
{
    unsigned int run = 0;
    void *pages;

    for (unsigned int page = 0; page < PAGES; page++) {
        run = get(page) ? run + 1 : 0;
        if (run == count) {
            page -= count - 1;
            flip(page, count);
            free_count -= count;
            pages = (void *)((uintptr_t)page * PAGE_SIZE);
            return memset(pages, 0, (size_t)count * PAGE_SIZE);
        }
    }
    return NULL;
}

void page_free(void *pages, unsigned int count)
{
    flip((unsigned int)((uintptr_t)pages / PAGE_SIZE), count);
    free_count += count;
}

unsigned int pages_free(void)
{
    return free_count;
}
