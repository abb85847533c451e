/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/handover/inheritance.h"
#include "service/handover/fdstore-table.h"
#include "state/notify.h"
#include "state/store.h"
#include "vchan/barrier.h"

/* The manager's name for the table. */
#define TABLE_NAME "v1.table"

/*
 * The manager's name for another descriptor is the serial number of its row and the number of its
 * item, which are 1 to 6 hexadecimal digits and one. All names are in one environment string of the
 * next process, of at most 128 KiB (MAX_ARG_STRLEN); with a longer one it could never start. They
 * are counted, since those of version 0 are longer. vchan-backend.service sets the same STORED_MAX.
 */
#define NAME_BYTES sizeof("fffffff") /* with the colon after it */
#define NAMES_MAX  (128ul * 1024 - sizeof("LISTEN_FDNAMES=" TABLE_NAME ":"))
#define STORED_MAX 16000u
_Static_assert(ROW_SERIAL_MASK == 0xffffff && ROW_ITEMS == 0x10 && FDSTORE_ITEMS <= ROW_ITEMS,
               "a number has more digits");

/* Rings are taken as a descriptor is. */
#define RINGS_TAKEN (1u << 31)

struct fdstore {
    struct table *table;
    int table_fd;
    bool table_stored;
    uint32_t taken[ROWS_MAX]; /* for each row, a bit for each item */
    uint32_t stored, limit;
    uint32_t name_bytes;        /* of all that is stored, with a colon each */
    uint32_t version;           /* the highest among what an earlier process kept */
    struct inheritance unknown; /* what an earlier process stored, and no row has */
    enum fdstore_item discard_item;
    void (*discarded)(void *arg, int fd);
    void *discard_arg;
    char program[PATH_MAX];
};

static uint32_t bit_of(enum fdstore_item item)
{
    return 1u << (unsigned int)item;
}

static uint32_t *taken_of(struct fdstore *fdstore, const struct row *row)
{
    return &fdstore->taken[row - fdstore->table->rows];
}

static bool has_taken(const struct fdstore *fdstore, const struct row *row, uint32_t bit)
{
    return fdstore->taken[row - fdstore->table->rows] & bit;
}

static struct row *row_of(const struct fdstore *fdstore, const char *owner)
{
    return fdstore ? table_find(fdstore->table, owner) : NULL;
}

static bool has_item(const struct row *row, enum fdstore_item item)
{
    return row && (row->kept & bit_of(item));
}

/* Whether an earlier process kept it, and this one has not taken it. */
static bool is_left(const struct fdstore *fdstore, const struct row *row, enum fdstore_item item)
{
    return has_item(row, item) && !has_taken(fdstore, row, bit_of(item));
}

/* ---- the manager ---- */

static void notify_manager_of(const char *what, const char *name, int fd)
{
    char message[128];

    snprintf(message, sizeof(message), "%s=1\nFDNAME=%s%s", what, name,
             fd >= 0 ? "\nFDPOLL=0" : "");
    notify_manager_with(message, fd);
}

/* The names of version 0. */
static const char *const earlier_names[FDSTORE_ITEMS] = {
    [FDSTORE_RING_HOLDER] = "socket",
    [FDSTORE_LISTENER] = "listener",
    [FDSTORE_PROGRAM] = "party",
    [FDSTORE_TERMINAL] = "terminal",
    [FDSTORE_INPUT] = "input",
    [FDSTORE_OUTPUT] = "output",
    [FDSTORE_STDERR] = "stderr",
    [FDSTORE_COMMAND] = "command",
    [FDSTORE_JOURNAL_TO] = "to",
    [FDSTORE_JOURNAL_FROM] = "from",
    [FDSTORE_JOURNAL_PAGE] = "journal",
    [FDSTORE_WORKER] = "worker",
    [FDSTORE_WORKER_PIDFD] = "worker-pid",
};

static void name_item(const struct row *row, enum fdstore_item item, char name[64])
{
    if (row->earlier & bit_of(item))
        snprintf(name, 64, "%s.%s", row->owner, earlier_names[item]);
    else
        snprintf(name, 64, "%x%x", row->serial, (unsigned int)item);
}

/* The manager has the table as long as it has a descriptor that is in it. */
static void store_table(struct fdstore *fdstore)
{
    bool wanted = fdstore->stored > 0;

    if (wanted == fdstore->table_stored)
        return;
    fdstore->table_stored = wanted;
    notify_manager_of(wanted ? "FDSTORE" : "FDSTOREREMOVE", TABLE_NAME,
                      wanted ? fdstore->table_fd : -1);
}

static void set_stored(struct fdstore *fdstore, struct row *row, enum fdstore_item item)
{
    char name[64];

    name_item(row, item, name);
    row->stored |= bit_of(item);
    fdstore->stored++;
    fdstore->name_bytes += (uint32_t)strlen(name) + 1;
}

static void store_item(struct fdstore *fdstore, struct row *row, enum fdstore_item item)
{
    char name[64];

    if (row->stored & bit_of(item))
        return;
    set_stored(fdstore, row, item);
    store_table(fdstore);
    name_item(row, item, name);
    notify_manager_of("FDSTORE", name, row->fds[item]);
}

static void unstore_item(struct fdstore *fdstore, struct row *row, enum fdstore_item item)
{
    char name[64];

    if (!(row->stored & bit_of(item)))
        return;
    name_item(row, item, name);
    notify_manager_of("FDSTOREREMOVE", name, -1);
    row->stored &= ~bit_of(item);
    row->earlier &= ~bit_of(item);
    fdstore->stored--;
    fdstore->name_bytes -= (uint32_t)strlen(name) + 1;
    store_table(fdstore);
}

bool fdstore_has_room(const struct fdstore *fdstore, unsigned int count)
{
    return fdstore && notify_is_wanted() && fdstore->table->used < ROWS_MAX &&
           fdstore->stored + 1 + count <= fdstore->limit && /* 1: the table */
           fdstore->name_bytes + count * NAME_BYTES <= NAMES_MAX;
}

/* ---- descriptors ---- */

int fdstore_take(struct fdstore *fdstore, const char *owner, enum fdstore_item item)
{
    struct row *row = row_of(fdstore, owner);

    if (!is_left(fdstore, row, item))
        return -ENOENT;
    *taken_of(fdstore, row) |= bit_of(item);
    return row->fds[item];
}

bool fdstore_is_left(const struct fdstore *fdstore, const char *owner, enum fdstore_item item)
{
    return is_left(fdstore, row_of(fdstore, owner), item);
}

void fdstore_each_left(struct fdstore *fdstore, const char *prefix, enum fdstore_item item,
                       void (*visit)(void *arg, const char *owner), void *arg)
{
    for (uint32_t i = 0; fdstore && i < fdstore->table->high; i++) {
        const struct row row = fdstore->table->rows[i];

        if (strncmp(row.owner, prefix, strlen(prefix)) == 0 &&
            is_left(fdstore, &fdstore->table->rows[i], item))
            visit(arg, row.owner);
    }
}

bool fdstore_is_kept(const struct fdstore *fdstore, const char *owner, enum fdstore_item item)
{
    return has_item(row_of(fdstore, owner), item);
}

bool fdstore_is_stored(const struct fdstore *fdstore, const char *owner, enum fdstore_item item)
{
    const struct row *row = row_of(fdstore, owner);

    return has_item(row, item) && (row->stored & bit_of(item));
}

/* Closes a descriptor that is not taken, or passes it to discarded(). */
static void close_untaken(struct fdstore *fdstore, enum fdstore_item item, int fd)
{
    if (fdstore->discarded && fdstore->discard_item == item)
        fdstore->discarded(fdstore->discard_arg, fd);
    else
        close(fd);
}

/* discarded() may add another descriptor, so the row is complete by then. */
static void drop_item(struct fdstore *fdstore, struct row *row, enum fdstore_item item)
{
    bool taken = has_taken(fdstore, row, bit_of(item));
    int fd = row->fds[item];

    unstore_item(fdstore, row, item);
    row->kept &= ~bit_of(item);
    *taken_of(fdstore, row) &= ~bit_of(item);
    table_tidy(fdstore->table, row);
    if (!taken)
        close_untaken(fdstore, item, fd);
}

void fdstore_drop(struct fdstore *fdstore, const char *owner, enum fdstore_item item)
{
    struct row *row = row_of(fdstore, owner);

    if (has_item(row, item))
        drop_item(fdstore, row, item);
}

void fdstore_add(struct fdstore *fdstore, const char *owner, enum fdstore_item item, int fd,
                 bool lasting)
{
    struct row *row = row_of(fdstore, owner);

    if (!fdstore)
        return;
    if (has_item(row, item) && (!has_taken(fdstore, row, bit_of(item)) || row->fds[item] != fd))
        drop_item(fdstore, row, item);
    row = table_make(fdstore->table, owner);
    if (!row)
        return;
    row->fds[item] = fd;
    row->kept |= bit_of(item);
    *taken_of(fdstore, row) |= bit_of(item);
    if (lasting)
        store_item(fdstore, row, item);
    else
        unstore_item(fdstore, row, item);
}

static void drop_untaken_of(struct fdstore *fdstore, struct row *row)
{
    for (unsigned int item = 0; item < FDSTORE_ITEMS; item++)
        if (is_left(fdstore, row, item))
            drop_item(fdstore, row, item);
}

static void drop_unknown(struct fdstore *fdstore)
{
    for (uint32_t i = 0; i < fdstore->unknown.count; i++) {
        const struct inherited *inherited = &fdstore->unknown.all[i];

        if (inherited->stored)
            notify_manager_of("FDSTOREREMOVE", inherited->name, -1);
        close(inherited->fd);
    }
    inheritance_free(&fdstore->unknown);
}

static void drop_all_untaken(struct fdstore *fdstore)
{
    for (uint32_t i = 0; i < fdstore->table->high; i++)
        drop_untaken_of(fdstore, &fdstore->table->rows[i]);
    drop_unknown(fdstore);
    store_table(fdstore);
}

void fdstore_drop_untaken(struct fdstore *fdstore, const char *owner)
{
    struct row *row = owner ? row_of(fdstore, owner) : NULL;

    if (row)
        drop_untaken_of(fdstore, row);
    else if (fdstore && !owner)
        drop_all_untaken(fdstore);
}

void fdstore_on_discard(struct fdstore *fdstore, enum fdstore_item item,
                        void (*discarded)(void *arg, int fd), void *arg)
{
    if (!fdstore)
        return;
    fdstore->discard_item = item;
    fdstore->discarded = discarded;
    fdstore->discard_arg = arg;
}

/* ---- rings ---- */

/* A process that is killed in between leaves none, not half of them. */
static void write_rings(struct row *row, const struct endpoint_rings *rings)
{
    store_release(&row->has_rings, 0);
    row->rings = *rings;
    store_release(&row->has_rings, 1);
}

int fdstore_set_rings(struct fdstore *fdstore, const char *owner,
                      const struct endpoint_rings *rings)
{
    struct row *row = fdstore ? table_make(fdstore->table, owner) : NULL;

    if (!row)
        return fdstore ? -ENOMEM : 0;
    write_rings(row, rings);
    *taken_of(fdstore, row) |= RINGS_TAKEN;
    return 0;
}

void fdstore_leave_rings(struct fdstore *fdstore, const char *owner,
                         const struct endpoint_rings *rings)
{
    struct row *row = fdstore ? table_make(fdstore->table, owner) : NULL;

    if (row && !row->has_rings)
        write_rings(row, rings);
}

bool fdstore_has_rings(const struct fdstore *fdstore, const char *owner)
{
    const struct row *row = row_of(fdstore, owner);

    return row && row->has_rings;
}

void fdstore_drop_rings(struct fdstore *fdstore, const char *owner)
{
    struct row *row = row_of(fdstore, owner);

    if (!row)
        return;
    row->has_rings = 0;
    *taken_of(fdstore, row) &= ~RINGS_TAKEN;
    table_tidy(fdstore->table, row);
}

bool fdstore_find_rings(const struct fdstore *fdstore, const char *owner,
                        struct endpoint_rings *rings)
{
    const struct row *row = row_of(fdstore, owner);

    if (!row || !row->has_rings || has_taken(fdstore, row, RINGS_TAKEN))
        return false;
    *rings = row->rings;
    return true;
}

void fdstore_each_rings(struct fdstore *fdstore, bool taken,
                        void (*visit)(void *arg, const char *owner,
                                      const struct endpoint_rings *rings),
                        void *arg)
{
    for (uint32_t i = 0; fdstore && i < fdstore->table->high; i++) {
        const struct row row = fdstore->table->rows[i];

        if (row.has_rings && !(fdstore->taken[i] & RINGS_TAKEN) == !taken)
            visit(arg, row.owner, &row.rings);
    }
}

/* ---- descriptors that the process was started with ---- */

static uint32_t version_of(const char *name)
{
    char number[16] = "";
    uint32_t version = 0;

    if (name[0] == 'v' && strchr(name, '.'))
        snprintf(number, sizeof(number), "%.*s", (int)strcspn(name + 1, "."), name + 1);
    return parse_number(number, INT32_MAX, &version) == 0 ? version : 0;
}

/* Commands must not inherit a descriptor. Returns false if it is none. */
static bool set_close_on_exec(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* Forgets the descriptors that died with a process, as all did that the manager does not have. */
static void forget_descriptors(struct table *table)
{
    for (uint32_t i = 0; i < table->high; i++)
        table->rows[i].kept = table->rows[i].stored = table->rows[i].earlier = 0;
}

/* A descriptor that is not open any more is forgotten, by the manager too. */
static void check_descriptor(struct fdstore *fdstore, struct row *row, enum fdstore_item item)
{
    bool stored = row->stored & bit_of(item);

    row->stored &= ~bit_of(item);
    if (stored)
        set_stored(fdstore, row, item);
    if (set_close_on_exec(row->fds[item]))
        return;
    unstore_item(fdstore, row, item);
    row->kept &= ~bit_of(item);
}

static void check_descriptors(struct fdstore *fdstore)
{
    for (uint32_t i = 0; i < fdstore->table->high; i++)
        for (unsigned int item = 0; item < FDSTORE_ITEMS; item++)
            if (has_item(&fdstore->table->rows[i], item))
                check_descriptor(fdstore, &fdstore->table->rows[i], item);
}

static int make_table(struct fdstore *fdstore)
{
    fdstore->table_fd = table_create(FDSTORE_VERSION, &fdstore->table);
    return fdstore->table_fd < 0 ? fdstore->table_fd : 0;
}

/* Takes the table of an earlier process, or makes a new one. */
static int open_table(struct fdstore *fdstore, const struct inheritance *inheritance)
{
    const struct inherited *found = inheritance_find(inheritance, TABLE_NAME);
    int rc;

    if (!found)
        return make_table(fdstore);
    rc = set_close_on_exec(found->fd) ? table_map(found->fd, FDSTORE_VERSION, &fdstore->table)
                                      : -EBADF;
    if (rc < 0)
        return rc; /* a new table would be taken for the old one some day */
    fdstore->table_fd = found->fd;
    fdstore->table_stored = found->stored;
    if (inheritance->direct)
        check_descriptors(fdstore);
    else
        forget_descriptors(fdstore->table);
    return 0;
}

/* "12c": the row with the serial number 0x12, the item 0xc. */
static struct row *find_by_number(struct fdstore *fdstore, const char *name,
                                  enum fdstore_item *item)
{
    char *end;
    unsigned long number = strtoul(name, &end, 16);

    *item = number % ROW_ITEMS;
    if (!name[0] || *end || number / ROW_ITEMS > ROW_SERIAL_MASK || *item >= FDSTORE_ITEMS)
        return NULL;
    return table_find_serial(fdstore->table, (uint32_t)number / ROW_ITEMS);
}

/* "5/0.listener", of version 0. */
static struct row *make_by_earlier_name(struct fdstore *fdstore, const char *name,
                                        enum fdstore_item *item)
{
    const char *point = strrchr(name, '.');
    char owner[64] = "";

    if (!point)
        return NULL;
    snprintf(owner, sizeof(owner), "%.*s", (int)(point - name), name);
    for (*item = 0; *item < FDSTORE_ITEMS; (*item)++)
        if (strcmp(point + 1, earlier_names[*item]) == 0)
            return table_make(fdstore->table, owner);
    return NULL;
}

/* Returns whether it is known: its owner's row has it now. */
static bool accept_inherited(struct fdstore *fdstore, const struct inherited *inherited)
{
    bool earlier = strchr(inherited->name, '.');
    enum fdstore_item item = 0;
    struct row *row;

    row = earlier ? make_by_earlier_name(fdstore, inherited->name, &item)
                  : find_by_number(fdstore, inherited->name, &item);
    if (!row || has_item(row, item))
        return false;
    row->fds[item] = inherited->fd;
    row->kept |= bit_of(item);
    if (!inherited->stored)
        return true;
    if (earlier)
        row->earlier |= bit_of(item);
    set_stored(fdstore, row, item);
    return true;
}

/* What is not known is left as it is until fdstore_drop_untaken(): a later version may know it. */
static void accept_each(struct fdstore *fdstore, struct inheritance *inheritance)
{
    uint32_t unknown = 0;

    for (uint32_t i = 0; i < inheritance->count; i++) {
        const struct inherited inherited = inheritance->all[i];

        if (strcmp(inherited.name, TABLE_NAME) != 0 && set_close_on_exec(inherited.fd) &&
            !accept_inherited(fdstore, &inherited))
            inheritance->all[unknown++] = inherited;
    }
    inheritance->count = unknown;
    fdstore->unknown = *inheritance;
    *inheritance = (struct inheritance){.all = NULL};
}

static uint32_t highest_version(const struct inheritance *inheritance)
{
    uint32_t highest = 0;

    for (uint32_t i = 0; i < inheritance->count; i++)
        if (version_of(inheritance->all[i].name) > highest)
            highest = version_of(inheritance->all[i].name);
    return highest;
}

static int accept_all(struct fdstore *fdstore, struct inheritance *inheritance)
{
    int rc;

    fdstore->version = highest_version(inheritance);
    if (fdstore->version > FDSTORE_VERSION)
        return make_table(fdstore);
    rc = open_table(fdstore, inheritance);
    if (rc < 0)
        return rc;
    accept_each(fdstore, inheritance);
    table_tidy_all(fdstore->table);
    return 0;
}

static int accept_inheritance(struct fdstore *fdstore)
{
    struct inheritance inheritance;
    int rc = inheritance_read(&inheritance);

    if (rc == 0)
        rc = accept_all(fdstore, &inheritance);
    inheritance_free(&inheritance);
    return rc;
}

uint32_t fdstore_version(const struct fdstore *fdstore)
{
    return fdstore ? fdstore->version : 0;
}

static uint32_t read_limit(void)
{
    const char *text = getenv("FDSTORE");
    uint32_t limit = STORED_MAX;

    if (text && parse_number(text, INT32_MAX, &limit) < 0)
        limit = 0;
    return limit < STORED_MAX ? limit : STORED_MAX;
}

int fdstore_open(struct fdstore **out)
{
    struct fdstore *fdstore = calloc(1, sizeof(*fdstore));
    int rc;

    *out = NULL;
    if (!fdstore)
        return -ENOMEM;
    fdstore->table_fd = -1;
    fdstore->limit = read_limit();
    inheritance_find_program(fdstore->program);
    rc = accept_inheritance(fdstore);
    if (rc < 0)
        fdstore_close(fdstore);
    else
        *out = fdstore;
    return rc;
}

static void close_untaken_of(struct fdstore *fdstore, const struct row *row)
{
    for (unsigned int item = 0; item < FDSTORE_ITEMS; item++)
        if (is_left(fdstore, row, item))
            close(row->fds[item]);
}

void fdstore_close(struct fdstore *fdstore)
{
    if (!fdstore)
        return;
    for (uint32_t i = 0; fdstore->table && i < fdstore->table->high; i++)
        close_untaken_of(fdstore, &fdstore->table->rows[i]);
    for (uint32_t i = 0; i < fdstore->unknown.count; i++)
        close(fdstore->unknown.all[i].fd);
    inheritance_free(&fdstore->unknown);
    table_unmap(fdstore->table);
    if (fdstore->table_fd >= 0)
        close(fdstore->table_fd);
    free(fdstore);
}

/* ---- handing over ---- */

static void set_row_flags(const struct row *row, int flags)
{
    for (unsigned int item = 0; item < FDSTORE_ITEMS; item++)
        if (has_item(row, item))
            fcntl(row->fds[item], F_SETFD, flags);
}

static void set_fd_flags(const struct fdstore *fdstore, int flags)
{
    fcntl(fdstore->table_fd, F_SETFD, flags);
    for (uint32_t i = 0; i < fdstore->table->high; i++)
        set_row_flags(&fdstore->table->rows[i], flags);
}

int fdstore_hand_over(struct fdstore *fdstore)
{
    struct inherited table = {
        .fd = fdstore->table_fd, .stored = fdstore->table_stored, .name = TABLE_NAME};
    int rc;

    set_fd_flags(fdstore, 0);
    rc = inheritance_pass_on(&table, fdstore->program);
    set_fd_flags(fdstore, FD_CLOEXEC);
    return rc;
}
