/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an xl config file declares: the domain's name and, in vchan=, its channels. xl ignores that
 * key. The syntax is in man/xl-vchan.cfg.5.scd. Nothing here uses Xen.
 */
#ifndef TOOLSTACK_CONFIG_H
#define TOOLSTACK_CONFIG_H

#include <stddef.h>
#include <stdio.h>

#include "state/spec.h"

/* The largest size of a config file, in bytes. */
#define CONFIG_SIZE_MAX (16 << 20)

/* Room for any error line of config_read() and its NUL; a longer one is cut. */
#define CONFIG_WHY_MAX (SPEC_WHY_MAX + 1024)

struct config {
    char *name;    /* of the domain, or NULL */
    char *uuid;    /* of the domain, as written, or NULL */
    bool declares; /* vchan= is there, even if it is empty */
    long record;   /* the format of a record (toolstack/record.h); 0: not given, or the first */
    long domid;    /* the domain id in a record; -1: none */
    struct spec *channels;
    size_t count;
};

/*
 * Reads a config file followed by the lines in extra ("": none), as xl does with settings from its
 * command line. Returns 0, and the caller frees *config with config_free(); -EINVAL: the content is
 * invalid; another negative errno: the file cannot be read. On failure *config is empty, and why
 * holds one line that names file, line, entry and key, as far as known.
 */
int config_read(const char *file, const char *extra, struct config *config,
                char why[CONFIG_WHY_MAX]);

/*
 * Reads what config_write() wrote, including channels of an older toolstack that lack what is
 * required now (SPEC_STORED). Otherwise like config_read().
 */
int config_read_record(const char *file, struct config *config, char why[CONFIG_WHY_MAX]);

/* Reads only name and uuid, and ignores mistakes elsewhere. Otherwise like config_read(). */
int config_read_identity(const char *file, struct config *config, char why[CONFIG_WHY_MAX]);

/* Writes name and channels as a config file for config_read_record(). Returns 0 or -ENOMEM. */
int config_write(const struct config *config, FILE *to);

/*
 * Checks that the last channel's name and devid differ from those of the channels before it that
 * count. Returns 0, or -EINVAL with one line in why.
 */
int config_check_last(const struct config *config, char why[SPEC_WHY_MAX]);

/* Returns the channel of that name, or NULL. */
struct spec *config_find(const struct config *config, const char *name);

/* Adds a channel, or replaces the one with the same name. Returns 0 or -ENOMEM. */
int config_put(struct config *config, const struct spec *channel);

/* Removes the channel of that name, if there is one. */
void config_drop(struct config *config, const char *name);

/* Frees what config_read() allocated. config may be empty. */
void config_free(struct config *config);

#endif
