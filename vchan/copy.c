/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vchan/copy.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>

static void copy_lines(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(__m128i))
        _mm_stream_si128((__m128i *)(to + i), _mm_loadu_si128((const __m128i *)(from + i)));
    _mm_sfence(); /* such stores are otherwise not ordered before the index that shows them */
}

void copy_past_caches(uint8_t *to, const uint8_t *from, size_t size)
{
    size_t head = -(uintptr_t)to % COPY_LINE, lines;

    if (head > size)
        head = size;
    lines = (size - head) / COPY_LINE * COPY_LINE;
    memcpy(to, from, head);
    copy_lines(to + head, from + head, lines);
    memcpy(to + head + lines, from + head + lines, size - head - lines);
}
#else
void copy_past_caches(uint8_t *to, const uint8_t *from, size_t size)
{
    memcpy(to, from, size);
}
#endif
