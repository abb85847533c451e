/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/seconds.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "state/store.h"

/* Parses up to three digits after the point, as thousandths. */
static int parse_thousandths(const char *text, uint32_t *value)
{
    size_t digits = strlen(text);
    char padded[4] = "000";

    if (digits < 1 || digits > 3)
        return -EINVAL;
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the fourth byte stays 0 */
    memcpy(padded, text, digits);
    return parse_number(padded, 999, value);
}

int parse_seconds(const char *text, int *ms)
{
    const char *point = strchr(text, '.');
    uint32_t whole, thousandths = 0;
    char before[16];

    if (strcmp(text, "inf") == 0) {
        *ms = -1;
        return 0;
    }
    if (snprintf(before, sizeof(before), "%.*s", (int)(point ? point - text : INT_MAX), text) >=
        (int)sizeof(before))
        return -EINVAL;
    if (parse_number(before, INT_MAX / 1000 - 1, &whole) < 0 ||
        (point && parse_thousandths(point + 1, &thousandths) < 0))
        return -EINVAL;
    *ms = (int)(whole * 1000 + thousandths);
    return 0;
}

void format_seconds(int ms, char text[SECONDS_TEXT_MAX])
{
    size_t length;

    if (ms < 0) {
        snprintf(text, SECONDS_TEXT_MAX, "inf");
        return;
    }
    snprintf(text, SECONDS_TEXT_MAX, "%d.%03d", ms / 1000, ms % 1000);
    for (length = strlen(text); text[length - 1] == '0'; length--)
        ;
    text[text[length - 1] == '.' ? length - 1 : length] = '\0';
}
