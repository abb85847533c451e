/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doc/protocol.md, "The shared page": both ends of one page, and invalid pages. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check-main.h"
#include "vchan/barrier.h"
#include "vchan/ring.h"

static union {
    struct vchan_interface shared;
    uint8_t bytes[RING_PAGE_SIZE];
} __attribute__((aligned(RING_PAGE_SIZE))) page;
static uint8_t left[RING_SIZE_MAX], right[RING_SIZE_MAX];

/* A server and a client of one page. */
struct pair {
    struct ring_end server, client;
};

static void pair_up(struct pair *pair, unsigned int left_order, unsigned int right_order)
{
    struct ring_layout layout;

    memset(&page, 0xa5, sizeof(page));
    ck_assert_int_eq(ring_layout_make(left_order, right_order, &layout), 0);
    ring_serve(&pair->server, &page.shared, &layout, left, right);
    ck_assert_int_eq(ring_layout_read(&page.shared, &layout), 0);
    ck_assert_uint_eq(layout.left_order, left_order);
    ck_assert_uint_eq(layout.right_order, right_order);
    ck_assert_int_eq(ring_join(&pair->client, &page.shared, &layout, left, right), 0);
}

static void put(struct ring *ring, const uint8_t *from, uint32_t length)
{
    struct ring_span spans[2];
    unsigned int count = ring_spans(ring, length, spans);

    for (unsigned int i = 0; i < count; from += spans[i].length, i++)
        memcpy(spans[i].base, from, spans[i].length);
    ring_produce(ring, length);
}

/* Returns whether the writer was told. */
static bool get(struct ring *ring, uint8_t *to, uint32_t length)
{
    struct ring_span spans[2];
    unsigned int count = ring_spans(ring, length, spans);

    for (unsigned int i = 0; i < count; to += spans[i].length, i++)
        memcpy(to, spans[i].base, spans[i].length);
    return ring_consume(ring, length) && ring_publish(ring);
}

/* ---- layout ---- */

START_TEST(test_offsets_are_the_wire)
{
    struct pair pair;

    pair_up(&pair, 10, 11);
    ck_assert_ptr_eq(pair.server.in.data, page.bytes + 1024);
    ck_assert_ptr_eq(pair.server.out.data, page.bytes + 2048);
    ck_assert_uint_eq(page.bytes[16], 10);
    ck_assert_uint_eq(page.bytes[18], 11);
    ck_assert_uint_eq(page.bytes[20], 1); /* cli_live: the client has come */
    ck_assert_uint_eq(page.bytes[21], 1);
    ck_assert_uint_eq(page.bytes[22], VCHAN_NOTIFY_WRITE);
    ck_assert_uint_eq(page.bytes[23], VCHAN_NOTIFY_WRITE);
    put(&pair.client.out, (const uint8_t *)"x", 1);
    ck_assert_uint_eq(page.bytes[4], 1); /* left.prod: cons comes before prod */
    put(&pair.server.out, (const uint8_t *)"y", 1);
    ck_assert_uint_eq(page.bytes[12], 1);
}
END_TEST

START_TEST(test_every_order_pair)
{
    struct ring_layout layout;

    for (unsigned int l = 8; l <= 23; l++) {
        for (unsigned int r = 8; r <= 23; r++) {
            int expected = ring_orders_valid(l, r) ? 0 : -EPROTO;
            struct pair pair;

            /*
             * Two rings in the page leave 1000 bytes for grants; one of 2 KiB leaves room for all.
             */
            if (expected == 0 && (l == 10 || r == 10) && (l == 20 || r == 20))
                expected = -EPROTO;
            ck_assert_msg(ring_layout_make(l, r, &layout) == expected, "orders %u and %u", l, r);
            if (expected == 0)
                pair_up(&pair, l, r);
        }
    }
}
END_TEST

/* ---- bytes ---- */

static void check_stream(struct ring *out, struct ring *in)
{
    static uint8_t sent[RING_SIZE_MAX], got[RING_SIZE_MAX];
    uint32_t size = out->size, seed = 1, moved = 0;

    ck_assert_int_eq(ring_writable(out, size), (int)size);
    while (moved < 3 * size) {
        uint32_t length = seed % size + 1;

        for (uint32_t i = 0; i < length; i++) {
            seed = seed * 1103515245u + 12345u;
            sent[i] = (uint8_t)(seed >> 16);
        }
        ck_assert_int_ge(ring_writable(out, length), (int)length);
        put(out, sent, length);
        ck_assert_int_eq(ring_readable(in, length), (int)length);
        get(in, got, length);
        ck_assert_mem_eq(sent, got, length);
        ck_assert_int_eq(ring_readable(in, 1), 0);
        moved += length;
    }
}

START_TEST(test_bytes_wrap_over_every_order)
{
    for (unsigned int l = RING_ORDER_MIN; l <= RING_ORDER_MAX; l++) {
        for (unsigned int r = RING_ORDER_MIN; r <= RING_ORDER_MAX; r++) {
            struct ring_layout layout;
            struct pair pair;

            if (ring_layout_make(l, r, &layout) < 0)
                continue;
            pair_up(&pair, l, r);
            check_stream(&pair.client.out, &pair.server.in);
            check_stream(&pair.server.out, &pair.client.in);
        }
    }
}
END_TEST

/* At every offset, and with any amount unread. */
START_TEST(test_a_claim_leaves_what_is_unread)
{
    struct pair pair;
    uint8_t bytes[2048], got[2048];

    pair_up(&pair, 11, 12);
    for (uint32_t unread = 0; unread <= 2048; unread += 37) {
        for (uint32_t step = 0; step < 2048; step += 61) {
            memset(bytes, (int)step | 1, unread);
            ck_assert_int_eq(ring_writable(&pair.client.out, 2048), 2048);
            put(&pair.client.out, bytes, unread);
            ring_claim(&pair.client.out, 1, true);
            ck_assert(!ring_unclaimed(&pair.client.out, unread < 2048));
            ring_readable(&pair.server.in, unread);
            get(&pair.server.in, got, unread);
            ck_assert_mem_eq(got, bytes, unread);
            ring_publish(&pair.server.in);
        }
    }
}
END_TEST

/* As after more than 2 GiB of messages without a claim. */
START_TEST(test_a_claim_may_be_far_behind)
{
    struct pair pair;
    struct ring *out = &pair.client.out;

    pair_up(&pair, 12, 12);
    ring_claim(out, 1, true);
    ck_assert(!ring_unclaimed(out, 1024));
    ck_assert(ring_unclaimed(out, 1025));
    for (uint32_t i = 1; i < 8; i++) {
        out->own = out->peer = i << 29;
        ck_assert(ring_unclaimed(out, 1));
        ring_claim(out, 4096, true);
        ck_assert(!ring_unclaimed(out, 4096));
        out->claimed = 1024;
    }
}
END_TEST

START_TEST(test_a_full_ring_is_legal)
{
    struct pair pair;
    uint8_t bytes[1024] = {1};

    pair_up(&pair, 10, 11);
    put(&pair.client.out, bytes, sizeof(bytes));
    ck_assert_int_eq(ring_writable(&pair.client.out, 1), 0);
    ck_assert_int_eq(ring_readable(&pair.server.in, 1), 1024);
}
END_TEST

START_TEST(test_indices_run_over_2_to_the_32)
{
    struct ring_layout layout;
    struct pair pair;

    pair_up(&pair, 12, 12);
    page.shared.left.cons = page.shared.left.prod = UINT32_MAX - 10;
    pair.server.in.own = pair.server.in.peer = UINT32_MAX - 10;
    ck_assert_int_eq(ring_layout_read(&page.shared, &layout), 0);
    ck_assert_int_eq(ring_join(&pair.client, &page.shared, &layout, left, right), 0);
    check_stream(&pair.client.out, &pair.server.in);
}
END_TEST

START_TEST(test_a_client_continues_where_one_was)
{
    struct ring_layout layout;
    struct pair pair;
    uint8_t bytes[8];

    pair_up(&pair, 12, 12);
    put(&pair.server.out, (const uint8_t *)"abcdefgh", 8);
    ck_assert_int_eq(ring_readable(&pair.client.in, 1), 8);
    ck_assert(!get(&pair.client.in, bytes, 3));
    ck_assert_uint_eq(page.shared.right.cons, 0);
    ring_record(&pair.client.in);
    ring_leave(&pair.client);
    ck_assert(ring_peer_left(&pair.server));
    ck_assert_int_eq(ring_layout_read(&page.shared, &layout), 0);
    ck_assert_int_eq(ring_join(&pair.client, &page.shared, &layout, left, right), 0);
    ck_assert(!ring_peer_left(&pair.server));
    ck_assert_int_eq(ring_readable(&pair.client.in, 5), 5);
    get(&pair.client.in, bytes, 5);
    ck_assert_mem_eq(bytes, "defgh", 5);
}
END_TEST

/* ---- signals ---- */

START_TEST(test_a_signal_is_made_only_if_asked_for)
{
    struct pair pair;

    pair_up(&pair, 12, 12);
    /* Both sides start by asking for a signal at writes. */
    ck_assert(ring_must_signal(&pair.client, VCHAN_NOTIFY_WRITE));
    ck_assert(!ring_must_signal(&pair.client, VCHAN_NOTIFY_WRITE));
    ck_assert(!ring_must_signal(&pair.client, VCHAN_NOTIFY_READ));
    ring_request(&pair.server, VCHAN_NOTIFY_READ);
    ck_assert(!ring_must_signal(&pair.client, VCHAN_NOTIFY_WRITE));
    ck_assert(ring_must_signal(&pair.client, VCHAN_NOTIFY_READ));
    ck_assert(!ring_must_signal(&pair.client, VCHAN_NOTIFY_READ));
}
END_TEST

/* After half a ring, or all that was known; not after every read. */
START_TEST(test_the_writer_is_told_late)
{
    static uint8_t bytes[4096];
    struct pair pair;

    pair_up(&pair, 12, 12);
    put(&pair.client.out, bytes, 4096);
    ck_assert_int_eq(ring_readable(&pair.server.in, 1), 4096);
    ck_assert(!get(&pair.server.in, bytes, 2047));
    ck_assert_int_eq(ring_writable(&pair.client.out, 1), 0);
    ck_assert(get(&pair.server.in, bytes, 1));
    ck_assert_int_eq(ring_writable(&pair.client.out, 1), 2048);
    ck_assert(!get(&pair.server.in, bytes, 1));
    ck_assert(ring_publish(&pair.server.in));
    ck_assert(!ring_publish(&pair.server.in));
    ck_assert(get(&pair.server.in, bytes, 2047));
    ck_assert_int_eq(ring_writable(&pair.client.out, 4096), 4096);
}
END_TEST

START_TEST(test_presence)
{
    struct ring_layout layout;
    struct ring_end server, client;

    ck_assert_int_eq(ring_layout_make(12, 12, &layout), 0);
    ring_serve(&server, &page.shared, &layout, left, right);
    ck_assert(!ring_peer_present(&server));
    ck_assert(!ring_peer_left(&server));
    ck_assert_int_eq(ring_join(&client, &page.shared, &layout, left, right), 0);
    ck_assert(ring_peer_present(&server));
    ring_leave(&server);
    ck_assert(ring_peer_left(&client));
}
END_TEST

/* ---- invalid pages ---- */

START_TEST(test_an_index_beyond_the_ring_is_refused)
{
    struct pair pair;

    pair_up(&pair, 12, 12);
    page.shared.left.prod = 4097;
    ck_assert_int_eq(ring_readable(&pair.server.in, 1), -EPROTO);
    page.shared.left.prod = 4096;
    ck_assert_int_eq(ring_readable(&pair.server.in, 1), 4096);
    page.shared.right.cons = 1; /* read what was never written */
    ck_assert_int_eq(ring_writable(&pair.server.out, 4096), 4096);
    pair.server.out.peer = pair.server.out.own - 4096; /* the snapshot shows a full ring */
    ck_assert_int_eq(ring_writable(&pair.server.out, 1), -EPROTO);
}
END_TEST

START_TEST(test_own_indices_in_the_page_are_not_believed)
{
    struct pair pair;

    pair_up(&pair, 12, 12);
    put(&pair.client.out, (const uint8_t *)"abcd", 4);
    page.shared.left.cons = 4000; /* the server's own */
    ck_assert_int_eq(ring_readable(&pair.server.in, 1), 4);
    page.shared.left_order = 20;
    ck_assert_uint_eq(pair.server.in.size, 4096);
}
END_TEST

START_TEST(test_a_client_refuses_unsound_pages)
{
    struct ring_layout layout;
    struct pair pair;

    pair_up(&pair, 12, 12);
    ring_leave(&pair.client);
    page.shared.left.prod = 9000; /* cons is 0 */
    ck_assert_int_eq(ring_layout_read(&page.shared, &layout), 0);
    ck_assert_int_eq(ring_join(&pair.client, &page.shared, &layout, left, right), -EPROTO);
    ck_assert_uint_eq(page.shared.cli_live, 0);
    page.shared.left_order = 3;
    ck_assert_int_eq(ring_layout_read(&page.shared, &layout), -EPROTO);
}
END_TEST

/* ---- two threads: no byte and no wake-up is lost (also under ThreadSanitizer) ---- */

#define STREAM_BYTES (1u << 20)

/*
 * These give no ordering, so that ThreadSanitizer sees only the ring's own: a mutex would hide a
 * race wherever the two threads alternate.
 */
static bool bells[2];

static void ring_bell(bool *bell)
{
    __atomic_store_n(bell, true, __ATOMIC_RELAXED);
}

/* After a lost wake-up, the test's time limit ends this wait. */
static void await_bell(bool *bell)
{
    while (!__atomic_exchange_n(bell, false, __ATOMIC_RELAXED))
        usleep(1);
}

static void *write_stream(void *arg)
{
    struct ring_end *end = arg;
    uint8_t bytes[97];

    for (uint32_t done = 0; done < STREAM_BYTES;) {
        uint32_t length = done % sizeof(bytes) + 1;
        int room = ring_writable(&end->out, 1);

        if (room == 0) {
            ring_request(end, VCHAN_NOTIFY_READ);
            if (ring_writable(&end->out, 1) == 0)
                await_bell(&bells[0]);
            continue;
        }
        if (length > (uint32_t)room)
            length = (uint32_t)room;
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)((done + i) * 31);
        if (ring_unclaimed(&end->out, length))
            ring_claim(&end->out, length, true);
        put(&end->out, bytes, length);
        done += length;
        if (ring_must_signal(end, VCHAN_NOTIFY_WRITE))
            ring_bell(&bells[1]);
    }
    return NULL;
}

START_TEST(test_no_wakeup_is_lost)
{
    static uint8_t bytes[RING_PAGE_SIZE];
    struct pair pair;
    pthread_t writer;
    unsigned int wrong = 0;

    pair_up(&pair, 10, 12);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_stream, &pair.client), 0);
    for (uint32_t done = 0; done < STREAM_BYTES;) {
        int ready = ring_readable(&pair.server.in, 1);
        bool told;

        ck_assert_int_ge(ready, 0);
        if (ready == 0) {
            ring_request(&pair.server, VCHAN_NOTIFY_WRITE);
            if (ring_readable(&pair.server.in, 1) == 0)
                await_bell(&bells[1]);
            continue;
        }
        told = get(&pair.server.in, bytes, (uint32_t)ready);
        for (int i = 0; i < ready; i++)
            wrong += bytes[i] != (uint8_t)((done + (uint32_t)i) * 31);
        done += (uint32_t)ready;
        if (told && ring_must_signal(&pair.server, VCHAN_NOTIFY_READ))
            ring_bell(&bells[0]);
    }
    pthread_join(writer, NULL);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("ring");

    tcase_set_timeout(tcase, 600); /* for valgrind; a lost wake-up would wait for ever */
    tcase_add_test(tcase, test_offsets_are_the_wire);
    tcase_add_test(tcase, test_every_order_pair);
    tcase_add_test(tcase, test_bytes_wrap_over_every_order);
    tcase_add_test(tcase, test_a_claim_leaves_what_is_unread);
    tcase_add_test(tcase, test_a_claim_may_be_far_behind);
    tcase_add_test(tcase, test_a_full_ring_is_legal);
    tcase_add_test(tcase, test_indices_run_over_2_to_the_32);
    tcase_add_test(tcase, test_a_client_continues_where_one_was);
    tcase_add_test(tcase, test_a_signal_is_made_only_if_asked_for);
    tcase_add_test(tcase, test_the_writer_is_told_late);
    tcase_add_test(tcase, test_presence);
    tcase_add_test(tcase, test_an_index_beyond_the_ring_is_refused);
    tcase_add_test(tcase, test_own_indices_in_the_page_are_not_believed);
    tcase_add_test(tcase, test_a_client_refuses_unsound_pages);
    tcase_add_test(tcase, test_no_wakeup_is_lost);
    return check_main("ring", tcase);
}
