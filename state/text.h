/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cleans text written by others (another domain, a user) before it reaches a terminal, a log or
 * JSON.
 */
#ifndef STATE_TEXT_H
#define STATE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Makes text safe to print on one line, in place and without changing its length: printable ASCII
 * and valid UTF-8 stay; each byte of a control character (C0, DEL, C1) or of invalid UTF-8 becomes
 * "?". Cut text first, then clean it.
 */
void text_clean(char *text);

/*
 * Decodes the UTF-8 character at the beginning of text. Returns its length in bytes, or 0 if it is
 * invalid. For an empty text: length 1, character 0.
 */
size_t text_character(const char *text, uint32_t *character);

/* The width of a text in terminal columns. Characters unknown to the locale count as one. */
int text_width(const char *text);

/* Cuts a text between two characters, to at most this many columns. */
void text_fit(char *text, int columns);

#endif
