/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text that somebody else wrote (another domain, a user, a name), before it reaches a terminal, a
 * log or JSON.
 */
#ifndef STATE_TEXT_H
#define STATE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Makes text fit to print on one line, in place and without changing its length: printable ASCII
 * and valid UTF-8 stay; each byte of a control character (C0, DEL, C1) or of invalid UTF-8 becomes
 * "?". Text that is cut is cleaned after it was cut.
 */
void text_clean(char *text);

/*
 * The bytes of the UTF-8 character that the text begins with, and which it is; 0: it does not begin
 * with a valid one. An empty text begins with one byte, 0.
 */
size_t text_character(const char *text, uint32_t *character);

/* How many columns of a terminal a text takes; what the locale does not know takes one. */
int text_width(const char *text);

/* Cuts a text to at most so many columns, between two characters. */
void text_fit(char *text, int columns);

#endif
