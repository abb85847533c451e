/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: words separated by spaces (extra="…" in the xl config). */
#ifndef UNIKERNEL_OPTIONS_H
#define UNIKERNEL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#define OPTIONS_SERVERS_MAX 8

/* server=DOMID:PATH: offers that domain a plain vchan with its keys at PATH. */
struct options_server {
    domid_t peer;
    const char *path;
};

struct options {
    struct options_server servers[OPTIONS_SERVERS_MAX];
    unsigned int count;
    uint32_t read_ring; /* bytes */
    uint32_t write_ring;
    bool no_channels; /* channels=none: ignore the channels of the xl config */
};

/*
 * Parses a line, which is changed; the options point into it. Returns 0, or -EINVAL with one line
 * in why. Without server= there is one server, at data/vchan for domain 0; server=none means none.
 */
int options_parse(char *line, struct options *options, char *why, size_t size);

#endif
