/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/handover/journal-kit.h"
#include "vchan/barrier.h"

/* How much is spliced at most at a time; a pipe may hold less. */
#define SPLICE_BYTES (1u << 20)
#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK)

struct journal {
    struct relay_way way;
    int fds[JOURNAL_DESCRIPTORS];
    struct journal_page *page;
    uint32_t to_bytes; /* how much is in the pipe to the connection */
    uint32_t from_bytes;
};

/* Opened once for all journals: a pipe that is empty between two steps, and /dev/null. */
static int copy[2] = {-1, -1};
static int null = -1;

int journal_open_tools(void)
{
    if (pipe2(copy, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return null < 0 ? -errno : 0;
}

/* ---- bytes ---- */

static struct journal *journal_of(const struct relay *relay)
{
    return relay->way->arg;
}

static ssize_t splice_bytes(int from, int to, size_t bytes)
{
    return splice(from, NULL, to, NULL, bytes, SPLICE_FLAGS);
}

static ssize_t flush_to_sink(struct journal *journal, struct relay *relay, unsigned int *wait)
{
    ssize_t bytes = splice_bytes(journal->fds[JOURNAL_TO], relay->sink, journal->to_bytes);

    if (bytes < 0)
        return relay_sink_failed(relay, wait);
    journal->to_bytes -= (uint32_t)bytes;
    return bytes;
}

/* Bytes count as moved when they leave the pipe, not when they enter it. */
static ssize_t journal_deliver(struct relay *relay, unsigned int *wait)
{
    struct journal *journal = journal_of(relay);
    ssize_t bytes;

    if (journal->to_bytes > 0)
        return flush_to_sink(journal, relay, wait);
    store_release(&journal->page->cons, channel_read_index(relay->channel));
    store_release(&journal->page->filling, 1);
    bytes = relay_deliver(relay, journal->fds[JOURNAL_TO], wait);
    store_release(&journal->page->filling, 0);
    if (bytes <= 0)
        return bytes;
    journal->to_bytes = (uint32_t)bytes;
    return 0;
}

static ssize_t fill_from_source(struct journal *journal, struct relay *relay, unsigned int *wait)
{
    ssize_t bytes;

    store_release(&journal->page->staged, 0);
    store_release(&journal->page->prod, channel_write_index(relay->channel));
    bytes = splice_bytes(relay->source, journal->fds[JOURNAL_FROM], SPLICE_BYTES);
    if (bytes < 0)
        return relay_source_failed(relay, wait);
    if (bytes == 0)
        return relay_source_ended(relay);
    store_release(&journal->page->staged, (uint32_t)bytes);
    journal->from_bytes = (uint32_t)bytes;
    return bytes;
}

static int remove_collected(struct journal *journal, uint32_t bytes)
{
    while (bytes > 0) {
        ssize_t gone = splice_bytes(journal->fds[JOURNAL_FROM], null, bytes);

        if (gone <= 0)
            return -EIO;
        bytes -= (uint32_t)gone;
        journal->from_bytes -= (uint32_t)gone;
    }
    return 0;
}

/*
 * If a program sets O_DIRECT on its end of the pipe, one read of the copy returns one packet only.
 * The rest of the copy is removed here, and copied again later.
 */
static void empty_copy(ssize_t bytes)
{
    while (bytes > 0) {
        ssize_t gone = splice_bytes(copy[0], null, (size_t)bytes);

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

    if (room == -EAGAIN)
        return -1; /* the peer signals. The source may well have more, and the pipe, too. */
    if (room < 0)
        return relay_collect(relay, copy[0], wait); /* it handles the error */
    if (journal->from_bytes == 0 && fill_from_source(journal, relay, wait) < 0)
        return -1;
    bytes = tee(journal->fds[JOURNAL_FROM], copy[1], (size_t)room, SPLICE_F_NONBLOCK);
    if (bytes < 0)
        return relay_source_failed(relay, wait);
    copied = bytes;
    bytes = relay_collect(relay, copy[0], wait);
    empty_copy(copied - (bytes > 0 ? bytes : 0));
    if (bytes > 0 && remove_collected(journal, (uint32_t)bytes) < 0)
        return relay_source_failed(relay, wait);
    return bytes;
}

/* ---- what an earlier process left ---- */

/* A worker killed between filling the pipe and consuming from the ring: consumes now. */
static int recover_delivery(struct journal *journal, struct channel *channel)
{
    struct journal_page *page = journal->page;
    uint32_t more;

    journal->to_bytes = journal_pipe_bytes(journal->fds[JOURNAL_TO]);
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
 * A worker killed between showing bytes to the peer and removing them from the pipe: removes what
 * is left of them now.
 */
static int recover_collection(struct journal *journal, const struct channel *channel)
{
    struct journal_page *page = journal->page;
    uint32_t shown = channel_write_index(channel) - page->prod;
    uint32_t rest = journal->from_bytes = journal_pipe_bytes(journal->fds[JOURNAL_FROM]);

    if (rest == 0)
        return 0;
    if (page->staged == 0)
        store_release(&page->staged, rest);
    shown -= page->staged - rest;
    return shown > rest ? -EPROTO : remove_collected(journal, shown);
}

static int recover_journal(struct journal *journal, struct channel *channel)
{
    int rc = recover_delivery(journal, channel);

    store_release(&journal->page->filling, 0);
    return rc < 0 ? rc : recover_collection(journal, channel);
}

/* ---- opening and closing ---- */

static int map_journal_page(struct journal *journal)
{
    void *memory = mmap(NULL, sizeof(struct journal_page), PROT_READ | PROT_WRITE, MAP_SHARED,
                        journal->fds[JOURNAL_PAGE], 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    journal->page = memory;
    return 0;
}

static struct journal *journal_make(const int fds[JOURNAL_DESCRIPTORS])
{
    struct journal *journal = calloc(1, sizeof(*journal));

    for (int i = 0; i < JOURNAL_DESCRIPTORS && !journal; i++)
        close(fds[i]);
    if (!journal)
        return NULL;
    journal->way =
        (struct relay_way){.deliver = journal_deliver, .collect = journal_collect, .arg = journal};
    for (int i = 0; i < JOURNAL_DESCRIPTORS; i++)
        journal->fds[i] = fds[i];
    return journal;
}

int journal_open(const int fds[JOURNAL_DESCRIPTORS], struct channel *channel, struct journal **out)
{
    struct journal *journal = journal_make(fds);
    int rc;

    *out = NULL;
    if (!journal)
        return -ENOMEM;
    rc = map_journal_page(journal);
    if (rc == 0)
        rc = recover_journal(journal, channel);
    if (rc < 0) {
        journal_close(journal);
        return rc;
    }
    *out = journal;
    return 0;
}

const struct relay_way *journal_way(const struct journal *journal)
{
    return journal ? &journal->way : NULL;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->page)
        munmap(journal->page, sizeof(*journal->page));
    for (int i = 0; i < JOURNAL_DESCRIPTORS; i++)
        close(journal->fds[i]);
    free(journal);
}
