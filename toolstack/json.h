/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text from elsewhere (names, commands, errors) in JSON, which is UTF-8.
 */
#ifndef TOOLSTACK_JSON_H
#define TOOLSTACK_JSON_H

#include <json-c/json.h>

/*
 * The text as a JSON string, in which U+FFFD stands for each byte that is not part of valid UTF-8;
 * NULL, which is JSON's null, for NULL, an empty text, or if there is no memory. The caller's.
 */
struct json_object *json_text(const char *text);

#endif
