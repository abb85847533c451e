/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "state/text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void put_valid(const char *text, FILE *to)
{
    uint32_t character;

    while (*text) {
        size_t length = text_character(text, &character);

        if (length == 0)
            fputs(REPLACEMENT, to);
        else
            fwrite(text, 1, length, to);
        text += length ? length : 1;
    }
}

struct json_object *json_text(const char *text)
{
    struct json_object *object;
    char *valid;
    size_t size;
    FILE *to;

    if (!text || text[0] == '\0')
        return NULL;
    to = open_memstream(&valid, &size);
    if (!to)
        return NULL;
    put_valid(text, to);
    object = fclose(to) == 0 ? json_object_new_string(valid) : NULL;
    free(valid);
    return object;
}
