/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/usage-error.h"

#include <errno.h>
#include <stdio.h>

int usage_error_word(const char *word, const char *why)
{
    const char *program = program_invocation_short_name;

    fprintf(stderr, "%s: \"%s\": %s (see %s --help)\n", program, word, why, program);
    return EXIT_USAGE;
}

int usage_error_value(const char *option, const char *value, const char *why)
{
    const char *program = program_invocation_short_name;

    fprintf(stderr, "%s: %s: \"%s\" %s (see %s --help)\n", program, option, value, why, program);
    return EXIT_USAGE;
}

const char *usage_option_name(int letter)
{
    static char text[3];

    snprintf(text, sizeof(text), "-%c", letter);
    return text;
}
