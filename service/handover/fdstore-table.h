/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fdstore's table: a row for each owner. It is a memfd, which outlives the process as the
 * descriptors do. The fdstore writes a row before it notifies the manager of the descriptor. So a
 * killed process leaves no descriptor without a row. The system call in between keeps the order.
 */
#ifndef SERVICE_HANDOVER_FDSTORE_TABLE_H
#define SERVICE_HANDOVER_FDSTORE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "state/endpoint.h"

#define ROWS_MAX        16384u
#define ROW_ITEMS       16u /* at most; enum fdstore_item */
#define ROW_SERIAL_MASK 0xffffffu

/*
 * The serial number is not soon used again: the manager may still have a descriptor of an earlier
 * owner when the row has been given to another.
 */
struct row {
    char owner[40]; /* "": unused */
    uint32_t serial;
    struct endpoint_rings rings;
    uint32_t has_rings;
    uint32_t kept;    /* a bit for each item */
    uint32_t stored;  /* also by the manager */
    uint32_t earlier; /* the manager knows it by its name of version 0 */
    int32_t fds[ROW_ITEMS];
};

struct table {
    uint32_t version;
    uint32_t bytes; /* of a row */
    uint32_t high;  /* all rows from this one on are unused */
    uint32_t used;
    uint32_t serial; /* the last that was given */
    struct row rows[ROWS_MAX];
};

/* Creates the memory. Returns its descriptor and maps it at *table, or returns -errno. */
int table_create(uint32_t version, struct table **table);

/* Maps what table_create() created. Returns 0, or a negative errno: -EINVAL (it is not that). */
int table_map(int fd, uint32_t version, struct table **table);

void table_unmap(struct table *table);

/* The owner's row; NULL: it has none. */
struct row *table_find(struct table *table, const char *owner);

/* The row with that serial number; NULL: there is none in use. */
struct row *table_find_serial(struct table *table, uint32_t serial);

/* The owner's row, made if there is none. NULL: all are in use, or the name is too long. */
struct row *table_make(struct table *table, const char *owner);

/* Makes the row unused if nothing is in it. */
void table_tidy(struct table *table, struct row *row);

/* The same for all rows, after a process that may have been killed in the middle of anything. */
void table_tidy_all(struct table *table);

#endif
