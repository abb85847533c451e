/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels as JSON, for programs: an object with the keys of xl-vchan.cfg(5), in which no value
 * needs quoting. Sizes are numbers of bytes or strings such as "64K", devid is a number, reconnect
 * a boolean.
 */
#ifndef TOOLSTACK_SPEC_JSON_H
#define TOOLSTACK_SPEC_JSON_H

#include <json-c/json.h>

#include "state/spec.h"
#include "toolstack/config.h"

/*
 * Formats a channel for config_read_json(). Owned by the caller. NULL: JSON cannot express it (a
 * path or a command that is not UTF-8), or memory is short.
 */
struct json_object *spec_to_json(const struct spec *spec);

/*
 * Reads a file, or standard input for "-": one channel, or an array of them. Returns 0, and the
 * caller frees *config with config_free(); or a negative errno with one line in why that names the
 * file, the entry (counted from 1) and the key, and *config empty.
 */
int config_read_json(const char *file, struct config *config, char why[CONFIG_WHY_MAX]);

#endif
