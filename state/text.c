/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/text.h"

#include <stdbool.h>
#include <string.h>
#include <wchar.h>

/* The length of the UTF-8 sequence that this byte begins; 0 if it begins none. */
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

size_t text_character(const char *text, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = sequence_length(bytes[0]);

    *character = length > 1 ? bytes[0] & (0x7fu >> length) : bytes[0];
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        *character = *character << 6 | (bytes[i] & 0x3f);
    }
    if (*character < smallest[length] || *character > 0x10ffff ||
        (*character >= 0xd800 && *character <= 0xdfff))
        return 0;
    return length;
}

static bool is_control(uint32_t character)
{
    return character < ' ' || (character >= 0x7f && character < 0xa0);
}

void text_clean(char *text)
{
    uint32_t character;

    while (*text) {
        size_t length = text_character(text, &character);

        if (length == 0 || is_control(character))
            memset(text, '?', length ? length : 1);
        text += length ? length : 1;
    }
}

/* The width in columns of a text's first character, and its length in bytes. */
static int first_width(const char *text, size_t *bytes)
{
    uint32_t character;
    size_t length = text_character(text, &character);
    int columns = length ? wcwidth((wchar_t)character) : 1;

    *bytes = length ? length : 1;
    return columns < 0 ? 1 : columns;
}

int text_width(const char *text)
{
    int width = 0;
    size_t bytes;

    for (; *text; text += bytes)
        width += first_width(text, &bytes);
    return width;
}

void text_fit(char *text, int columns)
{
    size_t bytes;

    while (*text && (columns -= first_width(text, &bytes)) >= 0)
        text += bytes;
    *text = '\0';
}
