/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/text.h"

#include <errno.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define ERRORS (sizeof(xsd_errors) / sizeof(xsd_errors[0]))

int number_parse(const char *text, uint32_t max, uint32_t *value)
{
    uint64_t number = 0;

    if (*text == '\0')
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > max)
            return -ERANGE;
    }
    *value = (uint32_t)number;
    return 0;
}

const char *error_name(int error)
{
    for (unsigned int i = 0; i < ERRORS; i++)
        if (xsd_errors[i].errnum == -error)
            return xsd_errors[i].errstring;
    return error == -ERANGE ? "ERANGE" : error == -EOVERFLOW ? "EOVERFLOW" : "an unknown error";
}

int error_by_name(const char *name)
{
    for (unsigned int i = 0; i < ERRORS; i++)
        if (strcmp(xsd_errors[i].errstring, name) == 0)
            return -xsd_errors[i].errnum;
    return -EIO;
}
