/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vchan/barrier.h"

/* What is spliced at most at a time; a pipe may hold less. */
#define SPLICE_BYTES (1u << 20)
#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK)

/* In memory that is kept, too. Written in program order, which is all that a kill can cut. */
struct journal_page {
    uint32_t filling; /* 1: the pipe to the connection is being filled, from cons on */
    uint32_t cons;
    uint32_t prod;    /* our index when the pipe from the connection was filled last, from empty */
    uint32_t staged;  /* with so many bytes; 0: they are being put in */
    uint32_t version; /* JOURNAL_SPEAKS; before that there was none, and the file was shorter */
};

#define JOURNAL_UNVERSIONED offsetof(struct journal_page, version)

/*
 * A user without CAP_SYS_RESOURCE has 16384 pages in pipes (pipe-user-pages-soft), and two in each
 * new one beyond that. So the first have pipes of the usual 16 pages, and further ones less.
 */
#define LARGE_COUNT 100
#define SMALL_PIPE   (4 * 4096)

static unsigned int journal_count;

/*
 * The page is kept last: who finds it finds the pipes, too, also if the process was killed
 * between the three.
 */
enum { TO, FROM, PAGE, KEPT_COUNT = JOURNAL_DESCRIPTORS };
static const char *const kept_names[KEPT_COUNT] = {"to", "from", "journal"};

struct journal {
    struct relay_way way;
    struct fdstore *fdstore;
    char owner[40];
    int kept[KEPT_COUNT]; /* -1: none */
    int copy;             /* a pipe that is empty between two steps */
    int null;
    struct journal_page *page;
    uint32_t to_bytes; /* in the pipes */
    uint32_t from_bytes;
};

/* ---- bytes ---- */

static struct journal *journal_of(const struct relay *relay)
{
    return relay->way->arg;
}

static ssize_t move(int from, int to, size_t bytes)
{
    return splice(from, NULL, to, NULL, bytes, SPLICE_FLAGS);
}

static ssize_t flush(struct journal *journal, struct relay *relay, unsigned int *wait)
{
    ssize_t bytes = move(journal->kept[TO], relay->sink, journal->to_bytes);

    if (bytes < 0)
        return relay_sink_failed(relay, wait);
    journal->to_bytes -= (uint32_t)bytes;
    return bytes;
}

/* What is put into the pipe counts as moved when it has left it. */
static ssize_t journal_deliver(struct relay *relay, unsigned int *wait)
{
    struct journal *journal = journal_of(relay);
    ssize_t bytes;

    if (journal->to_bytes > 0)
        return flush(journal, relay, wait);
    store_release(&journal->page->cons, channel_read_index(relay->channel));
    store_release(&journal->page->filling, 1);
    bytes = relay_deliver(relay, journal->kept[TO], wait);
    store_release(&journal->page->filling, 0);
    if (bytes <= 0)
        return bytes;
    journal->to_bytes = (uint32_t)bytes;
    return 0;
}

static ssize_t fill(struct journal *journal, struct relay *relay, unsigned int *wait)
{
    ssize_t bytes;

    store_release(&journal->page->staged, 0);
    store_release(&journal->page->prod, channel_write_index(relay->channel));
    bytes = move(relay->source, journal->kept[FROM], SPLICE_BYTES);
    if (bytes < 0)
        return relay_source_failed(relay, wait);
    if (bytes == 0)
        return relay_source_ended(relay);
    store_release(&journal->page->staged, (uint32_t)bytes);
    journal->from_bytes = (uint32_t)bytes;
    return bytes;
}

static int throw_away(struct journal *journal, uint32_t bytes)
{
    while (bytes > 0) {
        ssize_t gone = move(journal->kept[FROM], journal->null, bytes);

        if (gone <= 0)
            return -EIO;
        bytes -= (uint32_t)gone;
        journal->from_bytes -= (uint32_t)gone;
    }
    return 0;
}

/*
 * A program that makes its end of a pipe one of packets (O_DIRECT) has the copy read packet by
 * packet. The rest is copied again.
 */
static void empty_copy(struct journal *journal, ssize_t bytes)
{
    while (bytes > 0) {
        ssize_t gone = move(journal->copy, journal->null, (size_t)bytes);

        if (gone <= 0)
            return;
        bytes -= gone;
    }
}

static ssize_t journal_collect(struct relay *relay, unsigned int *wait)
{
    struct journal *journal = journal_of(relay);
    int room = channel_writable(relay->channel, 1);
    ssize_t bytes, copied;

    if (room < 0)
        return relay_collect(relay, journal->copy, wait); /* it knows what that means */
    if (journal->from_bytes == 0 && fill(journal, relay, wait) < 0)
        return -1;
    bytes = tee(journal->kept[FROM], journal->copy, (size_t)room, SPLICE_F_NONBLOCK);
    if (bytes < 0)
        return relay_source_failed(relay, wait);
    copied = bytes;
    bytes = relay_collect(relay, journal->copy, wait);
    empty_copy(journal, copied - (bytes > 0 ? bytes : 0));
    if (bytes > 0 && throw_away(journal, (uint32_t)bytes) < 0)
        return relay_source_failed(relay, wait);
    return bytes;
}

/* ---- what an earlier process left ---- */

static uint32_t bytes_in(int pipe)
{
    int bytes = 0;

    return ioctl(pipe, FIONREAD, &bytes) < 0 ? 0 : (uint32_t)bytes;
}

/* Killed between filling the pipe and consuming from the ring. */
static int mend_to(struct journal *journal, struct channel *channel)
{
    struct journal_page *page = journal->page;
    uint32_t more;

    journal->to_bytes = bytes_in(journal->kept[TO]);
    more = page->cons + journal->to_bytes - channel_read_index(channel);
    if (!page->filling || more == 0)
        return 0;
    if (more > channel_read_size(channel) || channel_readable(channel, more) < (int)more)
        return -EPROTO;
    channel_consume(channel, more);
    channel_record(channel);
    return 0;
}

/*
 * Killed between showing bytes to the peer and throwing them away: what of those is left goes now.
 */
static int mend_from(struct journal *journal, const struct channel *channel)
{
    struct journal_page *page = journal->page;
    uint32_t shown = channel_write_index(channel) - page->prod;
    uint32_t rest = journal->from_bytes = bytes_in(journal->kept[FROM]);

    if (rest == 0)
        return 0;
    if (page->staged == 0)
        store_release(&page->staged, rest);
    shown -= page->staged - rest;
    return shown > rest ? -EPROTO : throw_away(journal, shown);
}

static int mend(struct journal *journal, struct channel *channel)
{
    int rc = mend_to(journal, channel);

    store_release(&journal->page->filling, 0);
    return rc < 0 ? rc : mend_from(journal, channel);
}

/* ---- coming and going ---- */

/* Both ends of a pipe in one descriptor. */
static int make_pipe(void)
{
    char path[32];
    int ends[2], fd;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    close(ends[0]);
    close(ends[1]);
    if (fd >= 0 && journal_count > LARGE_COUNT)
        fcntl(fd, F_SETPIPE_SZ, SMALL_PIPE);
    return fd;
}

static int make_page(void)
{
    int fd = memfd_create("vchan-journal", MFD_CLOEXEC), rc;

    if (fd >= 0 && ftruncate(fd, JOURNAL_UNVERSIONED) == 0)
        return fd;
    rc = -errno;
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Returns how many of them there were. */
static int take_kept(struct journal *journal)
{
    int count = 0;

    for (int i = 0; i < KEPT_COUNT; i++) {
        journal->kept[i] = fdstore_take(journal->fdstore, journal->owner, kept_names[i]);
        count += journal->kept[i] >= 0;
    }
    return count;
}

static int make_kept(struct journal *journal)
{
    for (int i = 0; i < KEPT_COUNT; i++) {
        journal->kept[i] = i == PAGE ? make_page() : make_pipe();
        if (journal->kept[i] < 0)
            return journal->kept[i];
        fdstore_add(journal->fdstore, journal->owner, kept_names[i], journal->kept[i], true);
    }
    return 0;
}

static void drop_kept(struct journal *journal)
{
    for (int i = 0; i < KEPT_COUNT; i++) {
        if (journal->kept[i] < 0)
            continue;
        fdstore_drop(journal->fdstore, journal->owner, kept_names[i]);
        close(journal->kept[i]);
        journal->kept[i] = -1;
    }
}

/* 0: of before there was a version. UINT32_MAX: it has none. */
static uint32_t read_version(int journal)
{
    struct stat file;
    uint32_t version;

    if (fstat(journal, &file) == 0 && file.st_size == JOURNAL_UNVERSIONED)
        return 0;
    if (pread(journal, &version, sizeof(version), JOURNAL_UNVERSIONED) != sizeof(version))
        return UINT32_MAX;
    return version;
}

static int raise_version(void *highest, int journal)
{
    uint32_t version = read_version(journal);

    if (version > *(uint32_t *)highest)
        *(uint32_t *)highest = version;
    return 0;
}

uint32_t journal_version(const struct fdstore *fdstore)
{
    uint32_t highest = 0;

    fdstore_each(fdstore, kept_names[PAGE], raise_version, &highest);
    return highest;
}

/* One of before there was a version becomes one of this. */
static int take_version(const struct journal *journal)
{
    static const uint32_t version = JOURNAL_SPEAKS;
    int fd = journal->kept[PAGE];
    uint32_t found = read_version(fd);

    if (found == 0)
        return pwrite(fd, &version, sizeof(version), JOURNAL_UNVERSIONED) < 0 ? -errno : 0;
    return found == version ? 0 : -EPROTONOSUPPORT;
}

static int prepare(struct journal *journal)
{
    int rc = take_version(journal);
    void *memory = MAP_FAILED;

    if (rc == 0)
        memory = mmap(NULL, sizeof(struct journal_page), PROT_READ | PROT_WRITE, MAP_SHARED,
                      journal->kept[PAGE], 0);

    if (memory == MAP_FAILED)
        return rc < 0 ? rc : -errno;
    journal->page = memory;
    journal->copy = make_pipe();
    journal->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (journal->copy < 0)
        return journal->copy;
    return journal->null < 0 ? -errno : 0;
}

/* Nothing is to be mended in one that is in use. */
static int start(struct journal *journal, struct channel *channel)
{
    int rc = journal->kept[PAGE] < 0 ? make_kept(journal) : 0;

    if (rc == 0 && !journal->page)
        rc = prepare(journal);
    return rc < 0 ? rc : mend(journal, channel);
}

static struct journal *journal_make(struct fdstore *fdstore, const char *owner)
{
    struct journal *journal = calloc(1, sizeof(*journal));

    if (!journal)
        return NULL;
    journal_count++;
    journal->way = (struct relay_way){
        .deliver = journal_deliver, .collect = journal_collect, .arg = journal};
    journal->fdstore = fdstore;
    snprintf(journal->owner, sizeof(journal->owner), "%s", owner);
    journal->copy = journal->null = -1;
    for (int i = 0; i < KEPT_COUNT; i++)
        journal->kept[i] = -1;
    return journal;
}

static bool journal_is_left(const struct fdstore *fdstore, const char *owner)
{
    return fdstore_is_left(fdstore, owner, kept_names[PAGE]);
}

struct journal *journal_find(struct fdstore *fdstore, const char *owner)
{
    struct journal *journal = journal_is_left(fdstore, owner) ? journal_make(fdstore, owner) : NULL;

    if (journal && take_kept(journal) < KEPT_COUNT) {
        journal_close(journal);
        return NULL;
    }
    if (journal) {
        journal->to_bytes = bytes_in(journal->kept[TO]);
        journal->from_bytes = bytes_in(journal->kept[FROM]);
    }
    return journal;
}

int journal_open(struct fdstore *fdstore, const char *owner, struct channel *channel, struct journal **journal)
{
    int rc;

    if (!*journal)
        *journal = journal_find(fdstore, owner);
    if (!*journal)
        *journal = journal_make(fdstore, owner);
    rc = *journal ? start(*journal, channel) : -ENOMEM;
    if (rc == 0)
        return 0;
    journal_close(*journal);
    *journal = NULL;
    return rc;
}

const struct relay_way *journal_way(const struct journal *journal)
{
    return journal ? &journal->way : NULL;
}

uint32_t journal_holds(const struct journal *journal)
{
    return journal ? journal->to_bytes : 0;
}

uint32_t journal_brings(const struct journal *journal)
{
    return journal ? journal->from_bytes : 0;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    journal_count--;
    drop_kept(journal);
    if (journal->page)
        munmap(journal->page, sizeof(*journal->page));
    if (journal->copy >= 0)
        close(journal->copy);
    if (journal->null >= 0)
        close(journal->null);
    free(journal);
}
