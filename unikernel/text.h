/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers and errors as text. */
#ifndef UNIKERNEL_TEXT_H
#define UNIKERNEL_TEXT_H

#include <stdint.h>

/* Parses digits only, up to max. Returns 0, -EINVAL or -ERANGE; sets *value on success only. */
int number_parse(const char *text, uint32_t max, uint32_t *value);

/* The name of a negative errno ("ENOENT") as xenstored spells it, or "an unknown error". */
const char *error_name(int error);

/* The negative errno of such a name, or -EIO if it is unknown. */
int error_by_name(const char *name);

#endif
