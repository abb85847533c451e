/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char units[] = "KMG";

int size_parse(const char *text, uint64_t most, uint64_t *bytes)
{
    unsigned int shift = 0;
    const char *unit;
    uint64_t value;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    value = strtoull(text, &end, 10); /* a number too large for it becomes the largest */
    if (*end != '\0') {
        unit = strchr(units, toupper((unsigned char)*end));
        if (!unit || end[1] != '\0')
            return -EINVAL;
        shift = 10 * (unsigned int)(unit - units + 1);
    }
    if (value == 0)
        return -EINVAL;
    if (value > most >> shift)
        return -ERANGE;
    *bytes = value << shift;
    return 0;
}

void size_format(uint64_t bytes, char text[SIZE_TEXT_MAX])
{
    int unit = -1;

    while (bytes && bytes % 1024 == 0 && units[unit + 1]) {
        bytes /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(text, SIZE_TEXT_MAX, "%" PRIu64, bytes);
    else
        snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 "%c", bytes, units[unit]);
}
