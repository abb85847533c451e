/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/fdstore-table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_memory(int fd, struct table **table)
{
    void *memory = mmap(NULL, sizeof(**table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    *table = memory;
    return 0;
}

/* The file has holes where rows were never used. */
int table_create(uint32_t version, struct table **table)
{
    int fd = memfd_create("vchan-table", MFD_CLOEXEC);
    int rc = fd < 0 || ftruncate(fd, sizeof(**table)) < 0 ? -errno : map_memory(fd, table);

    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    (*table)->version = version;
    (*table)->bytes = sizeof(struct row);
    return fd;
}

int table_map(int fd, uint32_t version, struct table **table)
{
    struct stat file;
    int rc;

    if (fstat(fd, &file) < 0 || file.st_size != sizeof(**table))
        return -EINVAL;
    rc = map_memory(fd, table);
    if (rc < 0)
        return rc;
    if ((*table)->version == version && (*table)->bytes == sizeof(struct row) &&
        (*table)->high <= ROWS_MAX)
        return 0;
    table_unmap(*table);
    *table = NULL;
    return -EINVAL;
}

void table_unmap(struct table *table)
{
    if (table)
        munmap(table, sizeof(*table));
}

struct row *table_find(struct table *table, const char *owner)
{
    for (uint32_t i = 0; i < table->high; i++)
        if (owner[0] && strcmp(table->rows[i].owner, owner) == 0)
            return &table->rows[i];
    return NULL;
}

struct row *table_find_serial(struct table *table, uint32_t serial)
{
    for (uint32_t i = 0; i < table->high; i++)
        if (table->rows[i].owner[0] && table->rows[i].serial == serial)
            return &table->rows[i];
    return NULL;
}

static uint32_t next_serial(struct table *table)
{
    do
        table->serial = (table->serial + 1) & ROW_SERIAL_MASK;
    while (table_find_serial(table, table->serial));
    return table->serial;
}

static struct row *find_unused(struct table *table)
{
    for (uint32_t i = 0; i < table->high; i++)
        if (!table->rows[i].owner[0])
            return &table->rows[i];
    return table->high < ROWS_MAX ? &table->rows[table->high++] : NULL;
}

struct row *table_make(struct table *table, const char *owner)
{
    struct row *row = table_find(table, owner);

    if (row || !owner[0] || strlen(owner) >= sizeof(row->owner))
        return row;
    row = find_unused(table);
    if (!row)
        return NULL;
    *row = (struct row){.serial = next_serial(table)};
    memcpy(row->owner, owner, strlen(owner) + 1);
    table->used++;
    return row;
}

static bool is_empty_row(const struct row *row)
{
    return !row->kept && !row->has_rings;
}

void table_tidy(struct table *table, struct row *row)
{
    if (!row->owner[0] || !is_empty_row(row))
        return;
    row->owner[0] = '\0';
    table->used--;
}

void table_tidy_all(struct table *table)
{
    table->used = 0;
    for (uint32_t i = 0; i < table->high; i++) {
        struct row *row = &table->rows[i];

        if (is_empty_row(row))
            row->owner[0] = '\0';
        table->used += row->owner[0] != '\0';
    }
}
