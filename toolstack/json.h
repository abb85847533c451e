/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text from elsewhere (names, commands, errors) as JSON, which is UTF-8. */
#ifndef TOOLSTACK_JSON_H
#define TOOLSTACK_JSON_H

#include <json-c/json.h>

/*
 * Makes a JSON string with U+FFFD for each byte that is not valid UTF-8. Returns NULL, which is
 * JSON's null, for NULL or an empty text, or if memory is short. Owned by the caller.
 */
struct json_object *json_text(const char *text);

#endif
