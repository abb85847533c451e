/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an xl config file declares: the domain's name and, in vchan=, its channels. xl ignores that
 * key. Syntax: man/xl-vchan.cfg.5.scd. Nothing here touches Xen.
 */
#ifndef TOOLSTACK_CONFIG_H
#define TOOLSTACK_CONFIG_H

#include <stddef.h>
#include <stdio.h>

#include "state/spec.h"

/* The largest file that is taken for a config file, in bytes. */
#define CONFIG_SIZE_MAX (16 << 20)

/* Room for any error line of config_read and its NUL; a longer one is cut. */
#define CONFIG_WHY_MAX (SPEC_WHY_MAX + 1024)

struct config {
    char *name;    /* of the domain; NULL: it has none */
    char *uuid;    /* of the domain, as written; NULL: it has none */
    bool declares; /* there is a vchan=, though it may be empty */
    long record;   /* which form of a record it is (toolstack/record.h); 0: none, or the first */
    long domid;    /* the id that a record has; -1: none */
    struct spec *channels;
    size_t count;
};

/*
 * Reads a config file, with the lines in extra behind it ("": none), as xl does with settings from
 * its command line. 0, and the caller owns the content: config_free(). -EINVAL: something is wrong
 * in it; another negative errno: it cannot be read. On failure *config is empty, and why holds one
 * line that names file, line, entry and key, as far as there are any.
 */
int config_read(const char *file, const char *extra, struct config *config,
                char why[CONFIG_WHY_MAX]);

/*
 * Reads what config_write wrote: also channels that an older toolstack plugged, with less than is
 * required now (SPEC_STORED). As config_read otherwise.
 */
int config_read_record(const char *file, struct config *config, char why[CONFIG_WHY_MAX]);

/* Reads name and uuid only, so that nothing else need be right. As config_read otherwise. */
int config_read_identity(const char *file, struct config *config, char why[CONFIG_WHY_MAX]);

/* Writes name and channels to a stream as a config file that config_read_record understands. 0 or
 * -ENOMEM.
 */
int config_write(const struct config *config, FILE *to);

/*
 * Checks the channel behind those that count against them: its name and devid are its own. 0, or
 * -EINVAL with one line in why.
 */
int config_check_last(const struct config *config, char why[SPEC_WHY_MAX]);

/* The channel of that name, or NULL. */
struct spec *config_find(const struct config *config, const char *name);

/* Puts a channel in, in the place of the one of the same name if there is one. 0 or -ENOMEM. */
int config_put(struct config *config, const struct spec *channel);

/* Takes the channel of that name out, if it is there. */
void config_drop(struct config *config, const char *name);

/* Frees what config_read made. An empty config is allowed. */
void config_free(struct config *config);

#endif
