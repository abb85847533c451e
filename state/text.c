/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/text.h"

#include <stddef.h>
#include <stdint.h>

/* The bytes of a UTF-8 sequence by its first one; 0: no sequence begins so. */
static size_t sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The bytes of the printable character that the text begins with; 0: it begins with none. */
static size_t printable_length(const unsigned char *text)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = sequence_length(text[0]);
    uint32_t character;

    if (length <= 1)
        return length == 1 && text[0] >= ' ' && text[0] != 0x7f;
    character = text[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (text[i] & 0x3f);
    }
    if (character < smallest[length] || character < 0xa0 || character > 0x10ffff ||
        (character >= 0xd800 && character <= 0xdfff))
        return 0;
    return length;
}

void text_clean(char *text)
{
    while (*text) {
        size_t length = printable_length((const unsigned char *)text);

        if (length == 0)
            *text++ = '?';
        text += length;
    }
}
