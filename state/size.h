/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A number of bytes as people write it: 65536, 64K, 1M, 2G. */
#ifndef STATE_SIZE_H
#define STATE_SIZE_H

#include <stdint.h>

/* Room for what size_format() writes, with its NUL. */
#define SIZE_TEXT_MAX 24

/*
 * Parses digits, optionally followed by K, M or G (or k, m, g). Returns 0; -EINVAL if the text is
 * not a size, or is 0; -ERANGE if it exceeds most. Sets *bytes on success only.
 */
int size_parse(const char *text, uint64_t most, uint64_t *bytes);

/* Formats a size with as few characters as express it exactly. */
void size_format(uint64_t bytes, char text[SIZE_TEXT_MAX]);

#endif
