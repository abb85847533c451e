/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/stage.h"

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
struct journal {
    uint32_t filling; /* 1: the pipe to the connection is being filled, from cons on */
    uint32_t cons;
    uint32_t prod;    /* our index when the pipe from the connection was filled last, from empty */
    uint32_t staged;  /* with so many bytes; 0: they are being put in */
    uint32_t version; /* STAGE_SPEAKS; before that there was none, and the file was shorter */
};

#define JOURNAL_UNVERSIONED offsetof(struct journal, version)

/*
 * A user without CAP_SYS_RESOURCE has 16384 pages in pipes (pipe-user-pages-soft), and two in each
 * new one beyond that. So the first stages have pipes of the usual 16 pages, and further ones less.
 */
#define LARGE_STAGES 100
#define SMALL_PIPE   (4 * 4096)

static unsigned int stage_count;

/*
 * The journal is kept last: who finds it finds the pipes, too, also if the process was killed
 * between the three.
 */
enum { TO, FROM, JOURNAL, KEPT_COUNT = STAGE_DESCRIPTORS };
static const char *const kept_names[KEPT_COUNT] = {"to", "from", "journal"};

struct stage {
    struct relay_way way;
    struct fdstore *fdstore;
    char owner[40];
    int kept[KEPT_COUNT]; /* -1: none */
    int copy;             /* a pipe that is empty between two steps */
    int null;
    struct journal *journal;
    uint32_t to_bytes; /* in the pipes */
    uint32_t from_bytes;
};

/* ---- bytes ---- */

static struct stage *stage_of(const struct relay *relay)
{
    return relay->way->arg;
}

static ssize_t move(int from, int to, size_t bytes)
{
    return splice(from, NULL, to, NULL, bytes, SPLICE_FLAGS);
}

static ssize_t flush(struct stage *stage, struct relay *relay, unsigned int *wait)
{
    ssize_t bytes = move(stage->kept[TO], relay->sink, stage->to_bytes);

    if (bytes < 0)
        return relay_sink_failed(relay, wait);
    stage->to_bytes -= (uint32_t)bytes;
    return bytes;
}

/* What is put into the pipe counts as moved when it has left it. */
static ssize_t stage_deliver(struct relay *relay, unsigned int *wait)
{
    struct stage *stage = stage_of(relay);
    ssize_t bytes;

    if (stage->to_bytes > 0)
        return flush(stage, relay, wait);
    store_release(&stage->journal->cons, channel_read_index(relay->channel));
    store_release(&stage->journal->filling, 1);
    bytes = relay_deliver(relay, stage->kept[TO], wait);
    store_release(&stage->journal->filling, 0);
    if (bytes <= 0)
        return bytes;
    stage->to_bytes = (uint32_t)bytes;
    return 0;
}

static ssize_t fill(struct stage *stage, struct relay *relay, unsigned int *wait)
{
    ssize_t bytes;

    store_release(&stage->journal->staged, 0);
    store_release(&stage->journal->prod, channel_write_index(relay->channel));
    bytes = move(relay->source, stage->kept[FROM], SPLICE_BYTES);
    if (bytes < 0)
        return relay_source_failed(relay, wait);
    if (bytes == 0)
        return relay_source_ended(relay);
    store_release(&stage->journal->staged, (uint32_t)bytes);
    stage->from_bytes = (uint32_t)bytes;
    return bytes;
}

static int throw_away(struct stage *stage, uint32_t bytes)
{
    while (bytes > 0) {
        ssize_t gone = move(stage->kept[FROM], stage->null, bytes);

        if (gone <= 0)
            return -EIO;
        bytes -= (uint32_t)gone;
        stage->from_bytes -= (uint32_t)gone;
    }
    return 0;
}

/*
 * A program that makes its end of a pipe one of packets (O_DIRECT) has the copy read packet by
 * packet. The rest is copied again.
 */
static void empty_copy(struct stage *stage, ssize_t bytes)
{
    while (bytes > 0) {
        ssize_t gone = move(stage->copy, stage->null, (size_t)bytes);

        if (gone <= 0)
            return;
        bytes -= gone;
    }
}

static ssize_t stage_collect(struct relay *relay, unsigned int *wait)
{
    struct stage *stage = stage_of(relay);
    int room = channel_writable(relay->channel, 1);
    ssize_t bytes, copied;

    if (room < 0)
        return relay_collect(relay, stage->copy, wait); /* it knows what that means */
    if (stage->from_bytes == 0 && fill(stage, relay, wait) < 0)
        return -1;
    bytes = tee(stage->kept[FROM], stage->copy, (size_t)room, SPLICE_F_NONBLOCK);
    if (bytes < 0)
        return relay_source_failed(relay, wait);
    copied = bytes;
    bytes = relay_collect(relay, stage->copy, wait);
    empty_copy(stage, copied - (bytes > 0 ? bytes : 0));
    if (bytes > 0 && throw_away(stage, (uint32_t)bytes) < 0)
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
static int mend_to(struct stage *stage, struct channel *channel)
{
    struct journal *journal = stage->journal;
    uint32_t more;

    stage->to_bytes = bytes_in(stage->kept[TO]);
    more = journal->cons + stage->to_bytes - channel_read_index(channel);
    if (!journal->filling || more == 0)
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
static int mend_from(struct stage *stage, const struct channel *channel)
{
    struct journal *journal = stage->journal;
    uint32_t shown = channel_write_index(channel) - journal->prod;
    uint32_t rest = stage->from_bytes = bytes_in(stage->kept[FROM]);

    if (rest == 0)
        return 0;
    if (journal->staged == 0)
        store_release(&journal->staged, rest);
    shown -= journal->staged - rest;
    return shown > rest ? -EPROTO : throw_away(stage, shown);
}

static int mend(struct stage *stage, struct channel *channel)
{
    int rc = mend_to(stage, channel);

    store_release(&stage->journal->filling, 0);
    return rc < 0 ? rc : mend_from(stage, channel);
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
    if (fd >= 0 && stage_count > LARGE_STAGES)
        fcntl(fd, F_SETPIPE_SZ, SMALL_PIPE);
    return fd;
}

static int make_journal(void)
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
static int take_kept(struct stage *stage)
{
    int count = 0;

    for (int i = 0; i < KEPT_COUNT; i++) {
        stage->kept[i] = fdstore_take(stage->fdstore, stage->owner, kept_names[i]);
        count += stage->kept[i] >= 0;
    }
    return count;
}

static int make_kept(struct stage *stage)
{
    for (int i = 0; i < KEPT_COUNT; i++) {
        stage->kept[i] = i == JOURNAL ? make_journal() : make_pipe();
        if (stage->kept[i] < 0)
            return stage->kept[i];
        fdstore_add(stage->fdstore, stage->owner, kept_names[i], stage->kept[i], true);
    }
    return 0;
}

static void drop_kept(struct stage *stage)
{
    for (int i = 0; i < KEPT_COUNT; i++) {
        if (stage->kept[i] < 0)
            continue;
        fdstore_drop(stage->fdstore, stage->owner, kept_names[i]);
        close(stage->kept[i]);
        stage->kept[i] = -1;
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

uint32_t stage_version(const struct fdstore *fdstore)
{
    uint32_t highest = 0;

    fdstore_each(fdstore, kept_names[JOURNAL], raise_version, &highest);
    return highest;
}

/* One of before there was a version becomes one of this. */
static int take_version(const struct stage *stage)
{
    static const uint32_t version = STAGE_SPEAKS;
    int fd = stage->kept[JOURNAL];
    uint32_t found = read_version(fd);

    if (found == 0)
        return pwrite(fd, &version, sizeof(version), JOURNAL_UNVERSIONED) < 0 ? -errno : 0;
    return found == version ? 0 : -EPROTONOSUPPORT;
}

static int prepare(struct stage *stage)
{
    int rc = take_version(stage);
    void *memory = MAP_FAILED;

    if (rc == 0)
        memory = mmap(NULL, sizeof(struct journal), PROT_READ | PROT_WRITE, MAP_SHARED,
                      stage->kept[JOURNAL], 0);

    if (memory == MAP_FAILED)
        return rc < 0 ? rc : -errno;
    stage->journal = memory;
    stage->copy = make_pipe();
    stage->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (stage->copy < 0)
        return stage->copy;
    return stage->null < 0 ? -errno : 0;
}

/* Nothing is to be mended in one that is in use. */
static int start(struct stage *stage, struct channel *channel)
{
    int rc = stage->kept[JOURNAL] < 0 ? make_kept(stage) : 0;

    if (rc == 0 && !stage->journal)
        rc = prepare(stage);
    return rc < 0 ? rc : mend(stage, channel);
}

static struct stage *stage_make(struct fdstore *fdstore, const char *owner)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    if (!stage)
        return NULL;
    stage_count++;
    stage->way = (struct relay_way){
        .deliver = stage_deliver, .collect = stage_collect, .arg = stage};
    stage->fdstore = fdstore;
    snprintf(stage->owner, sizeof(stage->owner), "%s", owner);
    stage->copy = stage->null = -1;
    for (int i = 0; i < KEPT_COUNT; i++)
        stage->kept[i] = -1;
    return stage;
}

static bool stage_is_left(const struct fdstore *fdstore, const char *owner)
{
    return fdstore_is_left(fdstore, owner, kept_names[JOURNAL]);
}

struct stage *stage_find(struct fdstore *fdstore, const char *owner)
{
    struct stage *stage = stage_is_left(fdstore, owner) ? stage_make(fdstore, owner) : NULL;

    if (stage && take_kept(stage) < KEPT_COUNT) {
        stage_close(stage);
        return NULL;
    }
    if (stage) {
        stage->to_bytes = bytes_in(stage->kept[TO]);
        stage->from_bytes = bytes_in(stage->kept[FROM]);
    }
    return stage;
}

int stage_open(struct fdstore *fdstore, const char *owner, struct channel *channel, struct stage **stage)
{
    int rc;

    if (!*stage)
        *stage = stage_find(fdstore, owner);
    if (!*stage)
        *stage = stage_make(fdstore, owner);
    rc = *stage ? start(*stage, channel) : -ENOMEM;
    if (rc == 0)
        return 0;
    stage_close(*stage);
    *stage = NULL;
    return rc;
}

const struct relay_way *stage_way(const struct stage *stage)
{
    return stage ? &stage->way : NULL;
}

uint32_t stage_holds(const struct stage *stage)
{
    return stage ? stage->to_bytes : 0;
}

uint32_t stage_brings(const struct stage *stage)
{
    return stage ? stage->from_bytes : 0;
}

void stage_close(struct stage *stage)
{
    if (!stage)
        return;
    stage_count--;
    drop_kept(stage);
    if (stage->journal)
        munmap(stage->journal, sizeof(*stage->journal));
    if (stage->copy >= 0)
        close(stage->copy);
    if (stage->null >= 0)
        close(stage->null);
    free(stage);
}
