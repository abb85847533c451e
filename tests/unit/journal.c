/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/worker/journal.h: bytes that wait in the pipe are not forgotten, whatever the peer does
 * between two looks at the ring. The test plays the ring: how much room each look finds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/worker/journal.h"
#include "tests/lib/check-main.h"

#define BYTES 100

static int rooms[8]; /* what channel_writable() returns, one after the other */
static unsigned int looks;
static uint8_t ring[4096];
static uint32_t written;

int channel_writable(struct channel *channel, uint32_t enough)
{
    (void)channel, (void)enough;
    ck_assert_uint_lt(looks, sizeof(rooms) / sizeof(rooms[0]));
    return rooms[looks++];
}

unsigned int channel_reserve(const struct channel *channel, uint32_t bytes,
                             struct ring_span spans[2])
{
    (void)channel;
    spans[0] = (struct ring_span){.base = ring + written, .length = bytes};
    return 1;
}

void channel_commit(struct channel *channel, uint32_t bytes)
{
    (void)channel;
    written += bytes;
}

uint32_t channel_write_index(const struct channel *channel)
{
    (void)channel;
    return written;
}

/* The other direction has nothing to do. */
int channel_readable(struct channel *channel, uint32_t enough)
{
    (void)channel, (void)enough;
    return -EAGAIN;
}

unsigned int channel_peek(const struct channel *channel, uint32_t bytes, struct ring_span spans[2])
{
    (void)channel, (void)bytes, (void)spans;
    return 0;
}

void channel_consume(struct channel *channel, uint32_t bytes)
{
    (void)channel, (void)bytes;
}

void channel_record(struct channel *channel)
{
    (void)channel;
}

void channel_publish(struct channel *channel)
{
    (void)channel;
}

uint32_t channel_read_index(const struct channel *channel)
{
    (void)channel;
    return 0;
}

uint32_t channel_read_size(const struct channel *channel)
{
    (void)channel;
    return sizeof(ring);
}

uint32_t journal_pipe_bytes(int pipe)
{
    (void)pipe;
    return 0; /* an earlier worker left nothing */
}

/* One descriptor for both ends, as the journal's pipes have. */
static int make_pipe(void)
{
    char path[32];
    int ends[2], fd;

    ck_assert_int_eq(pipe(ends), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    close(ends[0]);
    close(ends[1]);
    return fd;
}

static int make_page(void)
{
    int fd = memfd_create("journal", MFD_CLOEXEC);

    ck_assert_int_eq(ftruncate(fd, sizeof(struct journal_page)), 0);
    return fd;
}

/* The ring is full at one look, and has room at the next. */
START_TEST(test_room_that_comes_between_two_looks)
{
    const int fds[JOURNAL_DESCRIPTORS] = {make_pipe(), make_pipe(), make_page()};
    uint8_t sent[BYTES];
    struct journal *journal;
    struct relay relay;
    int source = make_pipe();
    unsigned int wait;

    for (int i = 0; i < BYTES; i++)
        sent[i] = (uint8_t)(i * 7);
    memcpy(rooms, (const int[]){60, 60, -EAGAIN, 1000, 1000, 1000, 1000, 1000}, sizeof(rooms));
    ck_assert_int_eq(journal_open_tools(), 0);
    ck_assert_int_eq(journal_open(fds, NULL, &journal), 0);
    ck_assert_int_eq(write(source, sent, BYTES), BYTES);
    relay_init(&relay, NULL, source, -1);
    relay.way = journal_way(journal);
    wait = relay_step(&relay);
    ck_assert_uint_eq(written, 60);
    ck_assert_uint_eq(wait, 0); /* for the peer: the source's next byte may never come */
    wait = relay_step(&relay);
    ck_assert_uint_eq(written, BYTES);
    ck_assert_uint_eq(wait, RELAY_SOURCE);
    ck_assert_mem_eq(ring, sent, BYTES);
    journal_close(journal);
    close(source);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("journal");

    tcase_add_test(tcase, test_room_that_comes_between_two_looks);
    return check_main("journal", tcase);
}
