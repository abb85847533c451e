/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels in JSON, for programs: an object with the keys of xl-vchan.cfg(5), where no value needs
 * quoting. Sizes are numbers of bytes or such as "64K", devid is a number, reconnect true or false.
 */
#ifndef TOOLSTACK_SPEC_JSON_H
#define TOOLSTACK_SPEC_JSON_H

#include <json-c/json.h>

#include "state/spec.h"
#include "toolstack/config.h"

/*
 * A channel as config_read_json() takes it; the caller's. NULL: JSON cannot say it (a path or a command
 * that is no UTF-8), or no memory.
 */
struct json_object *spec_to_json(const struct spec *spec);

/*
 * Reads a file, or standard input for "-": one channel, or an array of some. 0, and the caller owns
 * *config: config_free(); or a negative errno with one line in why, which names the file, the entry
 * (counted from 1) and the key; *config is empty then.
 */
int config_read_json(const char *file, struct config *config, char why[CONFIG_WHY_MAX]);

#endif
