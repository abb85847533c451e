/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: words with blanks between them (extra="…" in the xl config). */
#ifndef UNIKERNEL_OPTIONS_H
#define UNIKERNEL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#define OPTIONS_SERVERS_MAX 8

/* server=DOMID:PATH: a plain vchan for that domain, with its keys at PATH. */
struct options_server {
    domid_t peer;
    const char *path;
};

struct options {
    struct options_server servers[OPTIONS_SERVERS_MAX];
    unsigned int count;
    uint32_t read_ring; /* bytes */
    uint32_t write_ring;
    bool no_channels; /* channels=none: those of the xl config are left alone */
};

/*
 * Parses a line, which is changed and kept: the options point into it. Returns 0, or -EINVAL and
 * says why in one line. Without server= there is one at data/vchan for domain 0; server=none is
 * none.
 */
int options_parse(char *line, struct options *options, char *why, size_t size);

#endif
