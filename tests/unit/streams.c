/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doc/protocol.md, "Streams": two sides that pass each other frames, and one side that is told
 * frames no honest peer would send.
 */
#include <string.h>

#include "tests/lib/check-main.h"
#include "vchan/streams.h"

#define CREDIT  1000u /* first credit of both sides, unless a test says otherwise */
#define FRAMES  20000u
#define LARGEST 0xffffffu

/* A side, and what it has written. The peer has read the first of these frames. */
static struct party {
    struct streams streams;
    struct stream table[2 * STREAMS_MAX];
    struct stream_frame wire[FRAMES];
    unsigned int written, read;
} front, back;

static struct party *other_than(const struct party *party)
{
    return party == &front ? &back : &front;
}

/* For tests that run with each side in the first role. */
static struct party *party_of(int side)
{
    return side ? &back : &front;
}

static void begin_pair(uint32_t most, uint32_t front_credit, uint32_t back_credit)
{
    memset(&front, 0xa5, sizeof(front));
    memset(&back, 0xa5, sizeof(back));
    front.written = front.read = back.written = back.read = 0;
    streams_init(&front.streams, front.table, most, false, front_credit);
    streams_init(&back.streams, back.table, most, true, back_credit);
}

/* A stream's number in one word. */
static uint32_t packed_number(uint32_t side, uint32_t place, uint32_t generation)
{
    return generation << 13 | place << 1 | side;
}

static void put_frame(struct party *party, struct stream_frame frame)
{
    ck_assert_uint_lt(party->written, FRAMES);
    party->wire[party->written++] = frame;
}

static void put_owed(struct party *party)
{
    struct stream_frame frame;

    while (streams_next_frame(&party->streams, &frame))
        put_frame(party, frame);
}

/* Hands over one frame, with its payload after it and nothing else. */
static int hand_over(struct party *to, struct stream_frame frame, struct stream_event *event)
{
    uint8_t header[STREAMS_HEADER];
    uint32_t payload = frame.type == STREAM_FRAME_DATA ? frame.value : 0;

    stream_frame_pack(frame, header);
    return streams_receive(&to->streams, header, STREAMS_HEADER + payload, event);
}

/* Reads the peer's next frame. */
static struct stream_event read_next(struct party *party)
{
    struct party *from = other_than(party);
    struct stream_event event;

    ck_assert_uint_lt(from->read, from->written);
    ck_assert_int_eq(hand_over(party, from->wire[from->read++], &event), 0);
    return event;
}

/* Writes what is owed; the peer reads everything. Returns what the last frame meant. */
static struct stream_event deliver_frames(struct party *from)
{
    struct stream_event event = {.type = STREAM_NOTHING};

    put_owed(from);
    while (from->read < from->written)
        event = read_next(other_than(from));
    return event;
}

/* A frame that is made by hand. */
static struct stream_event hand_made(struct party *to, uint32_t type, uint32_t value,
                                     uint32_t number)
{
    struct stream_frame frame = {.type = (uint8_t)type, .value = value, .number = number};
    struct stream_event event;

    ck_assert_int_eq(hand_over(to, frame, &event), 0);
    ck_assert_uint_eq(event.payload, type == STREAM_FRAME_DATA ? value : 0);
    return event;
}

static void check_ends_channel(struct party *to, uint32_t type, uint32_t value, uint32_t number)
{
    struct stream_frame frame = {.type = (uint8_t)type, .value = value, .number = number};
    struct stream_event event;

    ck_assert_int_eq(hand_over(to, frame, &event), -EPROTO);
}

static void check_event(struct stream_event event, enum stream_event_type type, uint32_t slot)
{
    ck_assert_int_eq(event.type, type);
    ck_assert_uint_eq(event.slot, slot);
}

static void check_stream_end(struct stream_event event, uint32_t slot, enum stream_reason reason)
{
    check_event(event, STREAM_ENDED, slot);
    ck_assert_int_eq(event.reason, reason);
}

/* Writes the next frame, which must be this one. */
static void check_owed(struct party *party, uint32_t type, uint32_t value, uint32_t number)
{
    struct stream_frame frame;

    ck_assert(streams_owes(&party->streams));
    ck_assert(streams_next_frame(&party->streams, &frame));
    ck_assert_uint_eq(frame.type, type);
    ck_assert_uint_eq(frame.value, value);
    ck_assert_uint_eq(frame.number, number);
    put_frame(party, frame);
}

static void check_owes_nothing(struct party *party)
{
    struct stream_frame frame;

    ck_assert(!streams_owes(&party->streams));
    ck_assert(!streams_next_frame(&party->streams, &frame));
}

static void check_dropped(struct stream_event event)
{
    ck_assert_int_eq(event.type, STREAM_NOTHING);
}

static void check_counts(const struct party *party, uint32_t open, uint32_t in_use)
{
    ck_assert_uint_eq(party->streams.open, open);
    ck_assert_uint_eq(party->streams.in_use, in_use);
}

static uint32_t open_next(struct party *opener)
{
    uint32_t slot;

    ck_assert_int_eq(streams_open(&opener->streams, &slot), 0);
    return slot;
}

/* The peer knows, and has not answered. */
static uint32_t ask_for_one(struct party *opener)
{
    uint32_t slot = open_next(opener);

    check_event(deliver_frames(opener), STREAM_OPENED, slot);
    return slot;
}

/* Open on both sides. */
static uint32_t connect_one(struct party *opener)
{
    uint32_t slot = ask_for_one(opener);

    streams_accept(&other_than(opener)->streams, slot);
    check_event(deliver_frames(other_than(opener)), STREAM_ACCEPTED, slot);
    return slot;
}

static void put_data(struct party *from, uint32_t slot, uint32_t bytes)
{
    put_frame(from, streams_send(&from->streams, slot, bytes));
}

static void move_data(struct party *from, uint32_t slot, uint32_t bytes)
{
    struct stream_event event;

    put_data(from, slot, bytes);
    event = deliver_frames(from);
    check_event(event, STREAM_DATA, slot);
    ck_assert_uint_eq(event.payload, bytes);
}

static void finish_one(struct party *party, uint32_t slot)
{
    streams_finish(&party->streams, slot);
    check_event(deliver_frames(party), STREAM_FINISHED, slot);
}

/* ---- frames ---- */

START_TEST(test_a_frame_is_two_little_endian_numbers)
{
    static const struct {
        uint8_t bytes[8];
        struct stream_frame frame;
    } rows[] = {
        {{0x04, 0x56, 0x34, 0x12, 0xef, 0xcd, 0xab, 0x89}, {4, 0x123456, 0x89abcdef}},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {255, LARGEST, 0xffffffff}},
    };
    uint8_t header[STREAMS_HEADER];

    ck_assert_uint_eq(STREAMS_HEADER, 8);
    ck_assert_uint_eq(STREAMS_VERSION, 1);
    for (unsigned int i = 0; i < 2; i++) {
        struct stream_frame frame = stream_frame_unpack(rows[i].bytes);

        ck_assert_uint_eq(frame.type, rows[i].frame.type);
        ck_assert_uint_eq(frame.value, rows[i].frame.value);
        ck_assert_uint_eq(frame.number, rows[i].frame.number);
        stream_frame_pack(frame, header);
        ck_assert_mem_eq(header, rows[i].bytes, 8);
    }
}
END_TEST

START_TEST(test_types_and_reasons_have_the_numbers_of_the_wire)
{
    ck_assert_int_eq(STREAM_FRAME_OPEN, 1);
    ck_assert_int_eq(STREAM_FRAME_ACCEPT, 2);
    ck_assert_int_eq(STREAM_FRAME_REFUSE, 3);
    ck_assert_int_eq(STREAM_FRAME_DATA, 4);
    ck_assert_int_eq(STREAM_FRAME_CREDIT, 5);
    ck_assert_int_eq(STREAM_FRAME_FINISH, 6);
    ck_assert_int_eq(STREAM_FRAME_RESET, 7);
    ck_assert_int_eq(STREAM_FRAME_RESTART, 8);
    ck_assert_int_eq(STREAM_UNSERVED, 1);
    ck_assert_int_eq(STREAM_LIMIT, 2);
    ck_assert_int_eq(STREAM_FAILED, 3);
    ck_assert_int_eq(STREAM_LEFT, 4);
    ck_assert_int_eq(STREAM_BROKEN, 5);
    ck_assert_int_eq(STREAM_ENDING, 6);
    ck_assert_int_eq(STREAM_DENIED, 7);
}
END_TEST

START_TEST(test_a_number_has_side_place_and_generation)
{
    static const uint8_t first[8] = {0x01, 0x00, 0x00, 0x01, 0x00, 0x20, 0x00, 0x00};
    static const uint8_t second[8] = {0x01, 0x00, 0x10, 0x00, 0x03, 0x20, 0x00, 0x00};
    static const uint8_t again[8] = {0x01, 0x00, 0x00, 0x01, 0x00, 0x40, 0x00, 0x00};
    uint8_t header[STREAMS_HEADER];
    uint32_t slot;

    begin_pair(2, 65536, 4096);
    open_next(&front);
    open_next(&back);
    slot = open_next(&back);
    put_owed(&front);
    put_owed(&back);
    stream_frame_pack(front.wire[0], header);
    ck_assert_mem_eq(header, first, 8); /* OPEN, 65536 bytes, side 0, place 0, generation 1 */
    stream_frame_pack(back.wire[1], header);
    ck_assert_mem_eq(header, second, 8); /* OPEN, 4096 bytes, side 1, place 1, generation 1 */
    ck_assert_uint_eq(slot, 3);
    begin_pair(2, 65536, 4096);
    for (int i = 0; i < 3; i++) {
        slot = open_next(&front);
        put_owed(&front);
        streams_reset(&front.streams, slot, STREAM_FAILED);
        put_owed(&front);
    }
    stream_frame_pack(front.wire[4], header);
    ck_assert_mem_eq(header, again, 8); /* side 0, place 0, generation 2 */
}
END_TEST

START_TEST(test_the_largest_place_fits_its_number)
{
    uint32_t slot = 0;

    begin_pair(STREAMS_MAX, CREDIT, CREDIT);
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        slot = ask_for_one(&back);
        ck_assert_uint_eq(slot, STREAMS_MAX + i);
    }
    ck_assert_uint_eq(back.wire[STREAMS_MAX - 1].number, 0x3fff);
    ck_assert_int_eq(streams_open(&back.streams, &slot), -EAGAIN);
    check_counts(&front, 4096, 4096);
}
END_TEST

START_TEST(test_each_reason_is_seen_as_an_error)
{
    ck_assert_int_eq(stream_reason_error(STREAM_UNSERVED), -ECONNREFUSED);
    ck_assert_int_eq(stream_reason_error(STREAM_LIMIT), -EAGAIN);
    ck_assert_int_eq(stream_reason_error(STREAM_FAILED), -ECONNRESET);
    ck_assert_int_eq(stream_reason_error(STREAM_LEFT), -ECONNRESET);
    ck_assert_int_eq(stream_reason_error(STREAM_BROKEN), -EPROTO);
    ck_assert_int_eq(stream_reason_error(STREAM_ENDING), -ECONNRESET);
    ck_assert_int_eq(stream_reason_error(STREAM_DENIED), -EACCES);
}
END_TEST

START_TEST(test_a_reason_that_is_not_known_is_taken_for_failed)
{
    static const uint32_t unknown[] = {0, 8, 0x100, 0x101, LARGEST};

    for (unsigned int i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        begin_pair(2, CREDIT, CREDIT);
        ask_for_one(&front);
        check_stream_end(hand_made(&front, STREAM_FRAME_REFUSE, unknown[i], packed_number(0, 0, 1)),
                         0, STREAM_FAILED);
        begin_pair(2, CREDIT, CREDIT);
        connect_one(&front);
        check_stream_end(hand_made(&front, STREAM_FRAME_RESET, unknown[i], packed_number(0, 0, 1)),
                         0, STREAM_FAILED);
    }
}
END_TEST

START_TEST(test_each_known_reason_arrives)
{
    for (enum stream_reason reason = STREAM_UNSERVED; reason < STREAM_REASONS; reason++) {
        uint32_t slot;

        begin_pair(2, CREDIT, CREDIT);
        slot = ask_for_one(&front);
        streams_refuse(&back.streams, slot, reason);
        check_owed(&back, STREAM_FRAME_REFUSE, reason, packed_number(0, 0, 1));
        check_stream_end(deliver_frames(&back), slot, reason);
        slot = connect_one(&front);
        streams_reset(&front.streams, slot, reason);
        check_owed(&front, STREAM_FRAME_RESET, reason, packed_number(0, 1, 1));
        check_stream_end(deliver_frames(&front), slot, reason);
    }
}
END_TEST

/* ---- life of a stream ---- */

START_TEST(test_a_stream_opens_when_the_peer_accepts)
{
    struct party *opener = party_of(_i), *peer = other_than(opener);
    uint32_t slot, number = packed_number((uint32_t)_i, 0, 1);

    begin_pair(3, 700, 900);
    slot = open_next(opener);
    ck_assert_uint_eq(slot, _i ? 3 : 0);
    check_counts(opener, 1, 1);
    ck_assert_uint_eq(opener->streams.opened, 0);
    check_owed(opener, STREAM_FRAME_OPEN, _i ? 900 : 700, number);
    check_owes_nothing(opener);
    check_event(deliver_frames(opener), STREAM_OPENED, slot);
    check_counts(peer, 1, 1);
    check_owes_nothing(peer);
    ck_assert_uint_eq(streams_sendable(&opener->streams, slot), 0);
    ck_assert_uint_eq(streams_sendable(&peer->streams, slot), 0);
    streams_accept(&peer->streams, slot);
    ck_assert_uint_eq(streams_sendable(&peer->streams, slot), 0); /* the peer does not know yet */
    check_owed(peer, STREAM_FRAME_ACCEPT, _i ? 700 : 900, number);
    ck_assert_uint_eq(streams_sendable(&peer->streams, slot), _i ? 900 : 700);
    check_owes_nothing(peer);
    check_event(deliver_frames(peer), STREAM_ACCEPTED, slot);
    check_owes_nothing(opener);
    ck_assert_uint_eq(opener->streams.opened, 1);
    ck_assert_uint_eq(peer->streams.opened, 1);
    ck_assert_uint_eq(opener->streams.refused + opener->streams.reset, 0);
    check_counts(opener, 1, 1);
    check_counts(peer, 1, 1);
}
END_TEST

START_TEST(test_both_sides_may_open_at_the_same_place)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    ck_assert_uint_eq(open_next(&front), 0);
    ck_assert_uint_eq(open_next(&back), 2);
    put_owed(&front);
    put_owed(&back);
    check_event(read_next(&front), STREAM_OPENED, 2);
    check_event(read_next(&back), STREAM_OPENED, 0);
    streams_accept(&front.streams, 2);
    streams_accept(&back.streams, 0);
    check_event(deliver_frames(&front), STREAM_ACCEPTED, 2);
    check_event(deliver_frames(&back), STREAM_ACCEPTED, 0);
    move_data(&front, 0, 5);
    move_data(&front, 2, 6);
    move_data(&back, 0, 7);
    move_data(&back, 2, 8);
    ck_assert_uint_eq(streams_sendable(&front.streams, 0), 995);
    ck_assert_uint_eq(streams_sendable(&front.streams, 2), 994);
    ck_assert_uint_eq(streams_sendable(&back.streams, 0), 993);
    ck_assert_uint_eq(streams_sendable(&back.streams, 2), 992);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
}
END_TEST

START_TEST(test_a_refused_stream_has_ended_on_both_sides)
{
    struct party *opener = party_of(_i), *peer = other_than(opener);
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(opener);
    streams_refuse(&peer->streams, slot, STREAM_DENIED);
    check_counts(peer, 0, 1);
    check_owed(peer, STREAM_FRAME_REFUSE, 7, packed_number((uint32_t)_i, 0, 1));
    check_counts(peer, 0, 0);
    check_stream_end(deliver_frames(peer), slot, STREAM_DENIED);
    check_counts(opener, 0, 0);
    check_owes_nothing(opener);
    check_owes_nothing(peer);
    ck_assert_uint_eq(opener->streams.refused, 1);
    ck_assert_uint_eq(peer->streams.refused, 1);
    ck_assert_uint_eq(opener->streams.reset + peer->streams.reset, 0);
    ck_assert_uint_eq(opener->streams.opened + peer->streams.opened, 0);
}
END_TEST

START_TEST(test_a_reset_before_open_was_written_sends_nothing)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = open_next(&front);
    streams_reset(&front.streams, slot, STREAM_FAILED);
    check_owes_nothing(&front);
    check_counts(&front, 0, 0);
    ck_assert_uint_eq(open_next(&front), 1);
    ck_assert_uint_eq(open_next(&front), 0);
    check_owed(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(0, 1, 1));
    check_owed(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(0, 0, 2));
    check_owes_nothing(&front);
}
END_TEST

START_TEST(test_the_opener_may_reset_before_the_answer)
{
    struct party *opener = party_of(_i), *peer = other_than(opener);
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(opener);
    streams_reset(&opener->streams, slot, STREAM_LEFT);
    check_counts(opener, 0, 1);
    check_owed(opener, STREAM_FRAME_RESET, 4, packed_number((uint32_t)_i, 0, 1));
    check_counts(opener, 0, 0);
    check_stream_end(deliver_frames(opener), slot, STREAM_LEFT);
    check_counts(peer, 0, 0);
    check_owes_nothing(peer);
    ck_assert_uint_eq(opener->streams.reset, 1);
    ck_assert_uint_eq(peer->streams.reset, 1);
}
END_TEST

/* Or instead of an ACCEPT that it has not written. */
START_TEST(test_the_peer_may_reset_instead_of_an_answer)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(&front);
    if (_i)
        streams_accept(&back.streams, slot);
    streams_reset(&back.streams, slot, STREAM_FAILED);
    check_owed(&back, STREAM_FRAME_RESET, 3, packed_number(0, 0, 1));
    check_owes_nothing(&back);
    check_stream_end(deliver_frames(&back), slot, STREAM_FAILED);
    check_counts(&front, 0, 0);
    check_counts(&back, 0, 0);
    check_owes_nothing(&front);
}
END_TEST

/* Whether the opener's RESET was written before the answer came, and whether that is ACCEPT. */
START_TEST(test_a_reset_may_cross_the_answer)
{
    bool written = _i & 1, accepts = _i >> 1;
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(&front);
    streams_reset(&front.streams, slot, STREAM_LEFT);
    if (written)
        put_owed(&front);
    if (accepts)
        streams_accept(&back.streams, slot);
    else
        streams_refuse(&back.streams, slot, STREAM_FAILED);
    put_owed(&back);
    check_dropped(read_next(&front));
    put_owed(&front);
    if (accepts)
        check_stream_end(read_next(&back), slot, STREAM_LEFT);
    else
        check_dropped(read_next(&back));
    ck_assert_uint_eq(front.read, 2);
    ck_assert_uint_eq(front.written, 2);
    check_owes_nothing(&front);
    check_owes_nothing(&back);
    check_counts(&front, 0, 0);
    check_counts(&back, 0, 0);
}
END_TEST

START_TEST(test_either_side_may_reset_an_open_stream)
{
    struct party *opener = party_of(_i & 1), *resetter = party_of(_i >> 1);
    uint32_t slot, number = packed_number(_i & 1, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(opener);
    streams_reset(&resetter->streams, slot, STREAM_LEFT);
    check_counts(resetter, 0, 1);
    ck_assert_uint_eq(streams_sendable(&resetter->streams, slot), 0);
    check_owed(resetter, STREAM_FRAME_RESET, 4, number);
    check_counts(resetter, 0, 0);
    check_stream_end(deliver_frames(resetter), slot, STREAM_LEFT);
    check_counts(other_than(resetter), 0, 0);
    check_owes_nothing(&front);
    check_owes_nothing(&back);
    ck_assert_uint_eq(front.streams.reset, 1);
    ck_assert_uint_eq(back.streams.reset, 1);
}
END_TEST

START_TEST(test_bytes_before_a_reset_are_delivered)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    put_data(&front, slot, 17);
    streams_reset(&front.streams, slot, STREAM_LEFT);
    put_owed(&front);
    check_event(read_next(&back), STREAM_DATA, slot);
    check_stream_end(read_next(&back), slot, STREAM_LEFT);
}
END_TEST

START_TEST(test_either_side_may_reset_after_one_finished)
{
    struct party *resetter = party_of(_i);
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    finish_one(&front, slot);
    streams_reset(&resetter->streams, slot, STREAM_LEFT);
    check_owed(resetter, STREAM_FRAME_RESET, 4, packed_number(0, 0, 1));
    check_stream_end(deliver_frames(resetter), slot, STREAM_LEFT);
    check_counts(&front, 0, 0);
    check_counts(&back, 0, 0);
}
END_TEST

START_TEST(test_a_reset_takes_back_what_else_is_owed)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    move_data(&back, slot, 900);
    streams_took(&front.streams, slot, 900);
    streams_finish(&front.streams, slot);
    streams_reset(&front.streams, slot, STREAM_LEFT);
    check_owed(&front, STREAM_FRAME_RESET, 4, packed_number(0, 0, 1));
    check_owes_nothing(&front);
}
END_TEST

START_TEST(test_resets_may_cross)
{
    struct party *opener = party_of(_i), *peer = other_than(opener);
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(opener);
    streams_reset(&opener->streams, slot, STREAM_LEFT);
    streams_reset(&peer->streams, slot, STREAM_FAILED);
    put_owed(opener);
    put_owed(peer);
    check_dropped(read_next(opener));
    check_dropped(read_next(peer));
    check_owes_nothing(opener);
    check_owes_nothing(peer);
    check_counts(opener, 0, 0);
    check_counts(peer, 0, 0);
    ck_assert_uint_eq(opener->streams.reset, 1);
    ck_assert_uint_eq(peer->streams.reset, 1);
}
END_TEST

/* The peer may have another stream there before ours would be written. */
START_TEST(test_a_reset_that_is_not_written_is_dropped_for_the_peers)
{
    struct party *opener = party_of(_i), *peer = other_than(opener);
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(opener);
    streams_reset(&opener->streams, slot, STREAM_LEFT);
    streams_reset(&peer->streams, slot, STREAM_FAILED);
    put_owed(opener);
    check_dropped(read_next(peer));
    check_owes_nothing(peer);
    check_counts(peer, 0, 0);
}
END_TEST

START_TEST(test_a_refuse_that_is_not_written_is_dropped_for_the_peers_reset)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(&front);
    streams_refuse(&back.streams, slot, STREAM_FAILED);
    check_dropped(hand_made(&back, STREAM_FRAME_RESET, STREAM_LEFT, packed_number(0, 0, 1)));
    check_owes_nothing(&back);
    check_counts(&back, 0, 0);
    check_event(hand_made(&back, STREAM_FRAME_OPEN, CREDIT, packed_number(0, 0, 2)), STREAM_OPENED,
                slot);
}
END_TEST

/* ---- frames of streams that are not there ---- */

static void check_all_dropped(struct party *to, uint32_t number, bool answers)
{
    for (uint32_t type = STREAM_FRAME_ACCEPT; type <= STREAM_FRAME_RESET; type++)
        if (answers || type >= STREAM_FRAME_DATA)
            check_dropped(hand_made(to, type, type == STREAM_FRAME_FINISH ? 0 : 5, number));
}

START_TEST(test_frames_of_a_stream_that_has_ended_are_dropped)
{
    uint32_t slot, number = packed_number((uint32_t)_i, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(party_of(_i));
    streams_reset(&front.streams, slot, STREAM_LEFT);
    put_owed(&front);
    check_all_dropped(&front, number, _i == 0);
    check_owes_nothing(&front);
    check_counts(&front, 0, 0);
    ck_assert_uint_eq(front.streams.reset, 1);
}
END_TEST

START_TEST(test_frames_of_a_stream_that_never_was_are_dropped)
{
    begin_pair(2, CREDIT, CREDIT);
    for (uint32_t side = 0; side < 2; side++)
        for (uint32_t place = 0; place < 2; place++)
            for (uint32_t generation = 0; generation < 3; generation++)
                check_all_dropped(&front, packed_number(side, place, generation), false);
    check_owes_nothing(&front);
    check_counts(&front, 0, 0);
}
END_TEST

START_TEST(test_frames_of_an_old_generation_do_not_touch_the_new_stream)
{
    struct party *opener = party_of(_i);
    uint32_t slot = 0;

    begin_pair(2, CREDIT, CREDIT);
    for (int i = 0; i < 3; i++) {
        slot = connect_one(opener);
        if (i < 2) {
            streams_reset(&opener->streams, slot, STREAM_LEFT);
            deliver_frames(opener);
        }
    }
    ck_assert_uint_eq(slot, _i ? 2 : 0); /* generation 2 */
    check_all_dropped(&front, packed_number((uint32_t)_i, 0, 1), _i == 0);
    check_all_dropped(&front, packed_number((uint32_t)_i, 0, 3), _i == 0);
    check_all_dropped(&front, packed_number((uint32_t)_i, 0, 2 + (1u << 18)), _i == 0);
    check_owes_nothing(&front);
    check_counts(&front, 1, 1);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), CREDIT);
    ck_assert(!streams_is_finished(&front.streams, slot));
    move_data(&back, slot, CREDIT);
}
END_TEST

START_TEST(test_frames_of_a_stream_whose_open_is_not_written_are_dropped)
{
    begin_pair(2, CREDIT, CREDIT);
    open_next(&front);
    check_all_dropped(&front, packed_number(0, 0, 1), true);
    check_owed(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(0, 0, 1));
    check_owes_nothing(&front);
    check_event(deliver_frames(&front), STREAM_OPENED, 0);
}
END_TEST

START_TEST(test_frames_of_a_stream_that_owes_its_reset_are_dropped)
{
    uint32_t slot, number = packed_number((uint32_t)_i, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(party_of(_i));
    streams_reset(&front.streams, slot, STREAM_LEFT);
    if (_i == 0) {
        check_dropped(hand_made(&front, STREAM_FRAME_ACCEPT, CREDIT, number));
        check_dropped(hand_made(&front, STREAM_FRAME_REFUSE, 1, number));
    }
    check_dropped(hand_made(&front, STREAM_FRAME_CREDIT, 1, number));
    check_dropped(hand_made(&front, STREAM_FRAME_DATA, 2 * CREDIT, number));
    check_dropped(hand_made(&front, STREAM_FRAME_FINISH, 0, number));
    check_owed(&front, STREAM_FRAME_RESET, 4, number);
    check_owes_nothing(&front);
}
END_TEST

START_TEST(test_frames_after_the_peers_finish_are_dropped_once_we_finish)
{
    uint32_t slot, number = packed_number(0, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    finish_one(&front, slot);
    streams_finish(&back.streams, slot);
    check_dropped(hand_made(&back, STREAM_FRAME_CREDIT, 5, number));
    check_dropped(hand_made(&back, STREAM_FRAME_FINISH, 0, number));
    check_owed(&back, STREAM_FRAME_FINISH, 0, number);
    check_dropped(hand_made(&back, STREAM_FRAME_CREDIT, 5, number));
    check_owes_nothing(&back);
}
END_TEST

/* ---- places and generations ---- */

static void end_one(struct party *party, uint32_t slot)
{
    streams_reset(&party->streams, slot, STREAM_LEFT);
    check_stream_end(deliver_frames(party), slot, STREAM_LEFT);
}

START_TEST(test_the_place_that_is_free_for_longest_is_used_next)
{
    struct party *opener = party_of(_i);
    uint32_t base = _i ? 4 : 0, side = (uint32_t)_i;

    begin_pair(4, CREDIT, CREDIT);
    for (uint32_t place = 0; place < 3; place++)
        ck_assert_uint_eq(connect_one(opener), base + place);
    end_one(opener, base + 2);
    end_one(other_than(opener), base + 0);
    end_one(opener, base + 1);
    ck_assert_uint_eq(connect_one(opener), base + 3);
    ck_assert_uint_eq(connect_one(opener), base + 2);
    ck_assert_uint_eq(connect_one(opener), base + 0);
    ck_assert_uint_eq(connect_one(opener), base + 1);
    end_one(opener, base + 2);
    ck_assert_uint_eq(open_next(opener), base + 2);
    check_owed(opener, STREAM_FRAME_OPEN, CREDIT, packed_number(side, 2, 3));
}
END_TEST

START_TEST(test_a_side_opens_at_its_own_places_only)
{
    begin_pair(2, CREDIT, CREDIT);
    end_one(&back, connect_one(&back));
    end_one(&front, connect_one(&back));
    for (uint32_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(connect_one(&front), i % 2);
        end_one(&back, i % 2);
    }
}
END_TEST

START_TEST(test_generations_begin_again_after_2_to_the_19)
{
    begin_pair(2, CREDIT, CREDIT);
    for (uint32_t i = 0; i < 2 * 0x7fffe; i++)
        streams_reset(&back.streams, open_next(&back), STREAM_FAILED);
    for (uint32_t i = 0; i < 6; i++) {
        static const uint32_t generations[] = {0x7ffff, 0, 1};
        uint32_t slot = open_next(&back);

        check_owed(&back, STREAM_FRAME_OPEN, CREDIT, packed_number(1, i % 2, generations[i / 2]));
        check_event(deliver_frames(&back), STREAM_OPENED, slot);
        end_one(&back, slot);
    }
}
END_TEST

/* What the peer chooses is not judged, but that the place is free. */
START_TEST(test_a_peer_may_use_any_free_place_and_generation)
{
    begin_pair(3, CREDIT, CREDIT);
    check_event(hand_made(&front, STREAM_FRAME_OPEN, 1, packed_number(1, 2, 0x7ffff)),
                STREAM_OPENED, 5);
    check_event(hand_made(&front, STREAM_FRAME_OPEN, 1, packed_number(1, 0, 0)), STREAM_OPENED, 3);
    streams_accept(&front.streams, 5);
    check_owed(&front, STREAM_FRAME_ACCEPT, CREDIT, packed_number(1, 2, 0x7ffff));
    check_event(hand_made(&front, STREAM_FRAME_DATA, 9, packed_number(1, 2, 0x7ffff)), STREAM_DATA,
                5);
    streams_accept(&front.streams, 3);
    check_owed(&front, STREAM_FRAME_ACCEPT, CREDIT, packed_number(1, 0, 0));
    check_event(hand_made(&front, STREAM_FRAME_DATA, 9, packed_number(1, 0, 0)), STREAM_DATA, 3);
}
END_TEST

/* ---- half-close ---- */

START_TEST(test_either_side_may_finish_first)
{
    struct party *opener = party_of(_i & 1), *first = party_of(_i >> 1);
    struct party *second = other_than(first);
    uint32_t slot, number = packed_number(_i & 1, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(opener);
    streams_finish(&first->streams, slot);
    ck_assert_uint_eq(streams_sendable(&first->streams, slot), 0);
    ck_assert(!streams_is_finished(&first->streams, slot));
    check_owed(first, STREAM_FRAME_FINISH, 0, number);
    check_owes_nothing(first);
    check_counts(first, 1, 1);
    check_event(deliver_frames(first), STREAM_FINISHED, slot);
    ck_assert(streams_is_finished(&second->streams, slot));
    check_counts(second, 1, 1);
    check_owes_nothing(second);
    move_data(second, slot, CREDIT); /* the other direction goes on */
    streams_took(&first->streams, slot, CREDIT);
    check_owed(first, STREAM_FRAME_CREDIT, CREDIT, number);
    check_event(deliver_frames(first), STREAM_SENDABLE, slot);
    move_data(second, slot, CREDIT);
    streams_finish(&second->streams, slot);
    check_counts(second, 0, 1);
    check_owed(second, STREAM_FRAME_FINISH, 0, number);
    check_counts(second, 0, 0);
    check_event(deliver_frames(second), STREAM_FINISHED, slot);
    check_counts(first, 0, 0);
    check_owes_nothing(first);
    check_owes_nothing(second);
    ck_assert_uint_eq(first->streams.reset + second->streams.reset, 0);
}
END_TEST

START_TEST(test_finishes_may_cross)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(party_of(_i));
    streams_finish(&front.streams, slot);
    streams_finish(&back.streams, slot);
    put_owed(&front);
    put_owed(&back);
    check_counts(&front, 1, 1);
    check_event(read_next(&front), STREAM_FINISHED, slot);
    check_event(read_next(&back), STREAM_FINISHED, slot);
    check_counts(&front, 0, 0);
    check_counts(&back, 0, 0);
    check_owes_nothing(&front);
    check_owes_nothing(&back);
}
END_TEST

/* The peer's FINISH comes while ours is owed. */
START_TEST(test_a_place_is_free_only_once_finish_was_written)
{
    uint32_t slots[2], slot;

    begin_pair(2, CREDIT, CREDIT);
    slots[0] = connect_one(&front);
    slots[1] = connect_one(&front);
    streams_finish(&front.streams, slots[0]);
    check_event(hand_made(&front, STREAM_FRAME_FINISH, 0, packed_number(0, 0, 1)), STREAM_FINISHED,
                0);
    check_counts(&front, 1, 2);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
    check_owed(&front, STREAM_FRAME_FINISH, 0, packed_number(0, 0, 1));
    check_counts(&front, 1, 1);
    ck_assert_uint_eq(open_next(&front), slots[0]);
    check_owed(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(0, 0, 2));
}
END_TEST

START_TEST(test_finish_after_the_peers_frees_the_place_at_once)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    connect_one(&front);
    slot = connect_one(&front);
    finish_one(&back, slot);
    streams_finish(&front.streams, slot);
    put_owed(&front);
    ck_assert_uint_eq(open_next(&front), slot);
    put_owed(&front);
    check_event(read_next(&back), STREAM_FINISHED, slot);
    check_event(read_next(&back), STREAM_OPENED, slot);
    check_counts(&back, 2, 2);
}
END_TEST

/* The peer has finished after us, and uses the place again. */
START_TEST(test_a_reset_after_both_finished_is_not_owed)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    connect_one(&back);
    slot = connect_one(&back);
    finish_one(&front, slot);
    streams_reset(&front.streams, slot, STREAM_LEFT); /* owed: the ring is full, say */
    streams_finish(&back.streams, slot);
    put_owed(&back); /* the place is free for back */
    ck_assert_uint_eq(open_next(&back), slot);
    put_owed(&back);
    check_dropped(read_next(&front));
    check_event(read_next(&front), STREAM_OPENED, slot);
    check_owes_nothing(&front);
    check_counts(&front, 2, 2);
}
END_TEST

START_TEST(test_a_reset_instead_of_our_finish_is_owed_after_the_peers)
{
    uint32_t slot, number = packed_number(0, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    streams_finish(&front.streams, slot);
    streams_reset(&front.streams, slot, STREAM_LEFT);
    check_dropped(hand_made(&front, STREAM_FRAME_FINISH, 0, number));
    check_owed(&front, STREAM_FRAME_RESET, 4, number);
    check_owes_nothing(&front);
}
END_TEST

START_TEST(test_a_finish_that_is_owed_is_dropped_for_the_peers_reset)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    finish_one(&front, slot);
    streams_finish(&back.streams, slot);
    streams_reset(&front.streams, slot, STREAM_LEFT);
    check_dropped(deliver_frames(&front));
    check_owes_nothing(&back);
    check_counts(&back, 0, 0);
    ck_assert_uint_eq(back.streams.reset, 0); /* for us it had ended well */
}
END_TEST

START_TEST(test_credit_is_granted_until_the_peers_finish)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    move_data(&front, slot, 900);
    streams_took(&back.streams, slot, 600);
    finish_one(&front, slot);
    check_owes_nothing(&back); /* what was owed is not any more */
    streams_took(&back.streams, slot, 300);
    check_owes_nothing(&back);
    check_counts(&back, 1, 1);
}
END_TEST

START_TEST(test_finish_comes_after_accept_and_credit)
{
    uint32_t slot, number = packed_number(0, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(&front);
    streams_accept(&back.streams, slot);
    streams_finish(&back.streams, slot);
    check_owed(&back, STREAM_FRAME_ACCEPT, CREDIT, number);
    check_owed(&back, STREAM_FRAME_FINISH, 0, number);
    check_event(deliver_frames(&back), STREAM_FINISHED, slot);
    move_data(&front, slot, 800);
    streams_took(&back.streams, slot, 800);
    check_owed(&back, STREAM_FRAME_CREDIT, 800, number);
    move_data(&front, slot, 1000 - 800);
    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    move_data(&front, slot, 800);
    streams_finish(&back.streams, slot);
    streams_took(&back.streams, slot, 800);
    check_owed(&back, STREAM_FRAME_CREDIT, 800, number);
    check_owed(&back, STREAM_FRAME_FINISH, 0, number);
    check_owes_nothing(&back);
}
END_TEST

/* ---- credit ---- */

START_TEST(test_open_and_accept_grant_the_first_credit)
{
    uint32_t slot;

    begin_pair(2, 300, 70000);
    slot = connect_one(party_of(_i));
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 70000);
    ck_assert_uint_eq(streams_sendable(&back.streams, slot), 300);
}
END_TEST

START_TEST(test_all_credit_may_be_used)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(party_of(_i));
    move_data(&front, slot, 1);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 999);
    move_data(&front, slot, 999);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 0);
    check_counts(&back, 1, 1);
    ck_assert_uint_eq(streams_sendable(&back.streams, slot), CREDIT);
    move_data(&back, slot, 1000);
    check_counts(&front, 1, 1);
}
END_TEST

START_TEST(test_credit_grows_once_more_than_half_was_taken)
{
    uint32_t slot, number = packed_number(0, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    move_data(&front, slot, CREDIT);
    streams_took(&back.streams, slot, 500);
    check_owes_nothing(&back);
    streams_took(&back.streams, slot, 1);
    check_owed(&back, STREAM_FRAME_CREDIT, 501, number);
    check_owes_nothing(&back);
    check_event(deliver_frames(&back), STREAM_SENDABLE, slot);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 501);
    streams_took(&back.streams, slot, 499); /* counted from the last grant */
    check_owes_nothing(&back);
    move_data(&front, slot, 501);
    streams_took(&back.streams, slot, 401);
    streams_took(&back.streams, slot, 60); /* before the frame is written */
    check_owed(&back, STREAM_FRAME_CREDIT, 960, number);
    check_owes_nothing(&back);
    check_event(deliver_frames(&back), STREAM_SENDABLE, slot);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 960);
    move_data(&front, slot, 960);
}
END_TEST

/* The least first credit: the half of it is 0 bytes, which are never granted. */
START_TEST(test_a_credit_of_one_byte_is_enough)
{
    uint32_t slot;

    begin_pair(2, 1, 1);
    slot = connect_one(&front);
    for (int i = 0; i < 3; i++) {
        move_data(&front, slot, 1);
        streams_took(&back.streams, slot, 0);
        check_owes_nothing(&back);
        streams_took(&back.streams, slot, 1);
        check_owed(&back, STREAM_FRAME_CREDIT, 1, packed_number(0, 0, 1));
        check_event(deliver_frames(&back), STREAM_SENDABLE, slot);
        ck_assert_uint_eq(streams_sendable(&front.streams, slot), 1);
    }
}
END_TEST

START_TEST(test_nothing_is_granted_for_a_stream_that_has_ended)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    move_data(&front, slot, CREDIT);
    streams_reset(&back.streams, slot, STREAM_LEFT);
    streams_took(&back.streams, slot, CREDIT);
    check_owed(&back, STREAM_FRAME_RESET, 4, packed_number(0, 0, 1));
    check_owes_nothing(&back);
    streams_took(&back.streams, slot, CREDIT);
    check_owes_nothing(&back);
}
END_TEST

START_TEST(test_what_was_taken_is_not_the_next_streams)
{
    uint32_t slot = 0;

    begin_pair(2, CREDIT, CREDIT);
    for (int i = 0; i < 4; i++) {
        slot = connect_one(&front);
        ck_assert_uint_eq(streams_sendable(&front.streams, slot), CREDIT);
        move_data(&front, slot, 900);
        streams_took(&back.streams, slot, 400);
        check_owes_nothing(&back);
        end_one(&front, slot);
    }
}
END_TEST

START_TEST(test_credit_may_reach_2_to_the_24_less_1)
{
    uint32_t slot, number = packed_number(0, 0, 1);

    begin_pair(2, STREAMS_CREDIT_MAX, STREAMS_CREDIT_MAX);
    slot = connect_one(&front);
    ck_assert_uint_eq(STREAMS_CREDIT_MAX, 16777215);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 16777215);
    ck_assert_uint_eq(streams_sendable(&back.streams, slot), 16777215);
    streams_send(&front.streams, slot, 3);
    check_event(hand_made(&front, STREAM_FRAME_CREDIT, 3, number), STREAM_SENDABLE, slot);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 16777215);
    streams_send(&front.streams, slot, STREAMS_CREDIT_MAX);
    check_event(hand_made(&front, STREAM_FRAME_CREDIT, LARGEST, number), STREAM_SENDABLE, slot);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 16777215);
    move_data(&back, slot, 16777215);
}
END_TEST

START_TEST(test_the_first_credit_may_be_0)
{
    begin_pair(2, CREDIT, CREDIT);
    check_event(hand_made(&front, STREAM_FRAME_OPEN, 0, packed_number(1, 0, 1)), STREAM_OPENED, 2);
    streams_accept(&front.streams, 2);
    put_owed(&front);
    ck_assert_uint_eq(streams_sendable(&front.streams, 2), 0);
    check_event(hand_made(&front, STREAM_FRAME_CREDIT, 1, packed_number(1, 0, 1)), STREAM_SENDABLE,
                2);
    ck_assert_uint_eq(streams_sendable(&front.streams, 2), 1);
}
END_TEST

START_TEST(test_the_usual_credit_shares_16_mib)
{
    ck_assert_uint_eq(streams_usual_credit(2), 262144);
    ck_assert_uint_eq(streams_usual_credit(64), 262144);
    ck_assert_uint_eq(streams_usual_credit(65), 258111);
    ck_assert_uint_eq(streams_usual_credit(100), 167772);
    ck_assert_uint_eq(streams_usual_credit(1024), 16384);
    ck_assert_uint_eq(streams_usual_credit(4095), 4097);
    ck_assert_uint_eq(streams_usual_credit(4096), 4096);
    ck_assert_uint_eq(streams_usual_credit(5000), 4096);
}
END_TEST

/* ---- turns ---- */

static void check_turn(struct party *party, uint32_t slot)
{
    ck_assert_uint_eq(streams_next_turn(&party->streams), slot);
}

START_TEST(test_streams_have_their_turns_one_after_the_other)
{
    begin_pair(3, CREDIT, CREDIT);
    for (int i = 0; i < 3; i++)
        connect_one(&front);
    ck_assert_uint_eq(STREAMS_TURN, 16384);
    streams_want_turn(&front.streams, 1);
    streams_want_turn(&front.streams, 0);
    streams_want_turn(&front.streams, 2);
    for (int i = 0; i < 3; i++) {
        static const uint32_t order[] = {1, 0, 2};

        for (int j = 0; j < 3; j++) {
            check_turn(&front, order[j]);
            put_data(&front, order[j], 100);
            streams_want_turn(&front.streams, order[j]); /* has more */
        }
    }
}
END_TEST

START_TEST(test_a_stream_has_a_turn_only_if_it_wants_one)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    check_turn(&front, STREAMS_NO_SLOT);
    streams_want_turn(&front.streams, slot);
    streams_want_turn(&front.streams, slot);
    check_turn(&front, slot);
    check_turn(&front, STREAMS_NO_SLOT);
    hand_made(&front, STREAM_FRAME_CREDIT, 5, packed_number(0, 0, 1)); /* has nothing to send */
    check_turn(&front, STREAMS_NO_SLOT);
}
END_TEST

START_TEST(test_frames_without_payload_go_before_turns)
{
    uint32_t slot, second;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    streams_want_turn(&front.streams, slot);
    second = open_next(&front);
    check_turn(&front, STREAMS_NO_SLOT);
    put_owed(&front);
    check_turn(&front, slot);
    streams_want_turn(&front.streams, slot);
    streams_reset(&front.streams, second, STREAM_LEFT);
    check_turn(&front, STREAMS_NO_SLOT);
    put_owed(&front);
    check_turn(&front, slot);
    streams_want_turn(&front.streams, slot);
    hand_made(&front, STREAM_FRAME_DATA, CREDIT, packed_number(0, 0, 1));
    streams_took(&front.streams, slot, CREDIT);
    check_turn(&front, STREAMS_NO_SLOT);
    put_owed(&front);
    check_turn(&front, slot);
}
END_TEST

START_TEST(test_a_stream_without_credit_comes_back_with_credit)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    put_data(&front, slot, CREDIT);
    streams_want_turn(&front.streams, slot);
    check_turn(&front, STREAMS_NO_SLOT);
    check_turn(&front, STREAMS_NO_SLOT);
    hand_made(&front, STREAM_FRAME_CREDIT, 7, packed_number(0, 0, 1));
    check_turn(&front, slot);
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 7);
    check_turn(&front, STREAMS_NO_SLOT);
}
END_TEST

START_TEST(test_a_stream_without_credit_keeps_no_other_waiting)
{
    uint32_t stopped, other;

    begin_pair(2, CREDIT, CREDIT);
    stopped = connect_one(&front);
    other = connect_one(&front);
    put_data(&front, stopped, CREDIT);
    streams_want_turn(&front.streams, stopped);
    streams_want_turn(&front.streams, other);
    check_turn(&front, other);
}
END_TEST

START_TEST(test_a_stream_that_waits_comes_back_with_accept)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = open_next(&front);
    streams_want_turn(&front.streams, slot);
    check_event(deliver_frames(&front), STREAM_OPENED, slot);
    check_turn(&front, STREAMS_NO_SLOT);
    streams_want_turn(&back.streams, slot);
    check_turn(&back, STREAMS_NO_SLOT);
    streams_accept(&back.streams, slot);
    check_turn(&back, STREAMS_NO_SLOT); /* ACCEPT goes first */
    check_event(deliver_frames(&back), STREAM_ACCEPTED, slot);
    check_turn(&back, slot);
    check_turn(&front, slot);
}
END_TEST

START_TEST(test_a_stream_accepted_without_credit_waits_for_credit)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(&front);
    streams_want_turn(&front.streams, slot);
    check_event(hand_made(&front, STREAM_FRAME_ACCEPT, 0, packed_number(0, 0, 1)), STREAM_ACCEPTED,
                slot);
    check_turn(&front, STREAMS_NO_SLOT);
    hand_made(&front, STREAM_FRAME_CREDIT, 1, packed_number(0, 0, 1));
    check_turn(&front, slot);
}
END_TEST

START_TEST(test_a_stream_that_was_finished_has_no_turn)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(&front);
    streams_want_turn(&front.streams, slot);
    finish_one(&front, slot);
    check_turn(&front, STREAMS_NO_SLOT);
    streams_want_turn(&front.streams, slot);
    hand_made(&front, STREAM_FRAME_CREDIT, 1, packed_number(0, 0, 1));
    ck_assert_uint_eq(streams_sendable(&front.streams, slot), 0);
    check_turn(&front, STREAMS_NO_SLOT);
}
END_TEST

START_TEST(test_a_stream_that_has_ended_has_no_turn)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    for (int i = 0; i < 3; i++) {
        slot = connect_one(&front);
        check_turn(&front, STREAMS_NO_SLOT); /* nor the next one at its place */
        streams_want_turn(&front.streams, slot);
        streams_want_turn(&back.streams, slot);
        end_one(&front, slot);
        check_turn(&front, STREAMS_NO_SLOT);
        check_turn(&back, STREAMS_NO_SLOT);
    }
}
END_TEST

START_TEST(test_a_wish_for_a_turn_is_not_the_next_streams)
{
    struct party *opener = party_of(_i);
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    slot = connect_one(opener);
    connect_one(opener); /* the next one has the same slot */
    streams_want_turn(&front.streams, slot);
    streams_reset(&opener->streams, slot, STREAM_LEFT);
    deliver_frames(opener);
    ck_assert_uint_eq(connect_one(opener), slot);
    check_turn(&front, STREAMS_NO_SLOT);
    streams_want_turn(&front.streams, slot);
    check_turn(&front, slot);
}
END_TEST

/* ---- limits ---- */

START_TEST(test_both_sides_together_open_no_more_than_agreed)
{
    uint32_t slot;

    begin_pair(3, CREDIT, CREDIT);
    connect_one(&front);
    connect_one(&back);
    ask_for_one(&back);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
    ck_assert_int_eq(streams_open(&back.streams, &slot), -EAGAIN);
    check_owes_nothing(&front);
    streams_refuse(&front.streams, 4, STREAM_FAILED);
    ck_assert_uint_eq(open_next(&front), 1);
}
END_TEST

START_TEST(test_no_stream_opens_while_last_frames_are_owed_for_all_places)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    connect_one(&front);
    connect_one(&front);
    streams_reset(&front.streams, 0, STREAM_LEFT);
    streams_reset(&front.streams, 1, STREAM_LEFT);
    check_counts(&front, 0, 2);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
    check_owed(&front, STREAM_FRAME_RESET, 4, packed_number(0, 0, 1));
    ck_assert_uint_eq(open_next(&front), 0);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
}
END_TEST

START_TEST(test_an_open_above_the_limit_is_refused)
{
    struct stream_event event;

    begin_pair(2, CREDIT, CREDIT);
    connect_one(&front);
    connect_one(&front);
    event = hand_made(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(1, 1, 7));
    check_dropped(event);
    check_counts(&front, 2, 3);
    check_owed(&front, STREAM_FRAME_REFUSE, 2, packed_number(1, 1, 7));
    check_owes_nothing(&front);
    check_counts(&front, 2, 2);
    ck_assert_uint_eq(front.streams.refused, 1);
    end_one(&front, 0);
    check_event(hand_made(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(1, 1, 8)), STREAM_OPENED,
                3);
}
END_TEST

START_TEST(test_both_sides_may_try_to_open_the_last)
{
    uint32_t mine, theirs;

    begin_pair(2, CREDIT, CREDIT);
    connect_one(&front);
    mine = open_next(&front);
    theirs = open_next(&back);
    put_owed(&front);
    put_owed(&back);
    check_dropped(read_next(&front));
    check_dropped(read_next(&back));
    check_stream_end(deliver_frames(&front), theirs, STREAM_LIMIT);
    check_stream_end(deliver_frames(&back), mine, STREAM_LIMIT);
    check_counts(&front, 1, 1);
    check_counts(&back, 1, 1);
    check_owes_nothing(&front);
    check_owes_nothing(&back);
}
END_TEST

/* ---- what a receiver checks: what ends the channel ---- */

START_TEST(test_less_than_a_header_is_corrupt)
{
    static const uint8_t header[STREAMS_HEADER] = {STREAM_FRAME_OPEN, 1, 0, 0, 1, 32, 0, 0};
    struct stream_event event;

    for (uint32_t available = 0; available < 8; available++) {
        begin_pair(2, CREDIT, CREDIT);
        ck_assert_int_eq(streams_receive(&front.streams, header, available, &event), -EPROTO);
    }
    ck_assert_int_eq(streams_receive(&front.streams, header, 8, &event), 0);
    ck_assert_int_eq(event.type, STREAM_OPENED);
}
END_TEST

START_TEST(test_less_than_the_payload_is_corrupt)
{
    static const uint8_t header[STREAMS_HEADER] = {STREAM_FRAME_DATA, 100, 0, 0, 1, 32, 0, 0};
    struct stream_event event;

    begin_pair(2, CREDIT, CREDIT);
    connect_one(&back);
    for (uint32_t available = 8; available < 108; available++)
        ck_assert_int_eq(streams_receive(&front.streams, header, available, &event), -EPROTO);
    ck_assert_int_eq(streams_receive(&front.streams, header, 108, &event), 0);
    check_event(event, STREAM_DATA, 2);
    ck_assert_uint_eq(event.payload, 100);
    ck_assert_int_eq(streams_receive(&front.streams, header, 1024, &event), 0);
    check_event(event, STREAM_DATA, 2);
    ck_assert_uint_eq(event.payload, 100); /* what follows is another frame's */
}
END_TEST

START_TEST(test_data_larger_than_the_ring_is_corrupt)
{
    static const uint8_t header[STREAMS_HEADER] = {STREAM_FRAME_DATA, 255, 255, 255, 1, 32, 0, 0};
    struct stream_event event;

    begin_pair(2, LARGEST, LARGEST);
    connect_one(&back);
    ck_assert_int_eq(streams_receive(&front.streams, header, 1 << 20, &event), -EPROTO);
}
END_TEST

START_TEST(test_data_of_0_bytes_is_corrupt)
{
    begin_pair(2, CREDIT, CREDIT);
    connect_one(&back);
    check_ends_channel(&front, STREAM_FRAME_DATA, 0, packed_number(1, 0, 1));
    check_ends_channel(&front, STREAM_FRAME_DATA, 0,
                       packed_number(1, 1, 9)); /* unknown streams, too */
}
END_TEST

START_TEST(test_a_type_that_is_not_known_is_corrupt)
{
    for (uint32_t type = 0; type < 256; type++) {
        if (type >= STREAM_FRAME_OPEN && type <= STREAM_FRAME_RESTART)
            continue;
        begin_pair(2, CREDIT, CREDIT);
        check_ends_channel(&front, type, 0, 0);
        check_ends_channel(&front, type, 1, packed_number(1, 0, 1));
    }
}
END_TEST

START_TEST(test_a_place_beyond_the_most_is_corrupt)
{
    for (uint32_t type = STREAM_FRAME_OPEN; type <= STREAM_FRAME_RESET; type++) {
        for (uint32_t side = 0; side < 2; side++) {
            begin_pair(5, CREDIT, CREDIT);
            check_ends_channel(&front, type, 1, packed_number(side, 5, 1));
            check_ends_channel(&front, type, 1, packed_number(side, 4095, 0));
        }
    }
    check_event(hand_made(&front, STREAM_FRAME_OPEN, 1, packed_number(1, 4, 1)), STREAM_OPENED, 9);
}
END_TEST

START_TEST(test_open_with_a_number_of_the_receivers_is_corrupt)
{
    struct party *party = party_of(_i);

    begin_pair(2, CREDIT, CREDIT);
    check_ends_channel(party, STREAM_FRAME_OPEN, CREDIT, packed_number((uint32_t)_i, 0, 1));
    check_event(hand_made(party, STREAM_FRAME_OPEN, CREDIT, packed_number(1 - (uint32_t)_i, 0, 1)),
                STREAM_OPENED, _i ? 0 : 2);
}
END_TEST

START_TEST(test_open_at_a_place_that_is_in_use_is_corrupt)
{
    for (uint32_t generation = 0; generation < 3; generation++) {
        uint32_t number = packed_number(1, 0, generation);

        begin_pair(2, CREDIT, CREDIT);
        ask_for_one(&back);
        check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, number);
        streams_accept(&front.streams, 2);
        check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, number);
        put_owed(&front);
        check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, number);
        streams_finish(&front.streams, 2);
        put_owed(&front);
        check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, number);
    }
}
END_TEST

/* The peer cannot know of the end yet. */
START_TEST(test_open_at_a_place_whose_last_frame_is_owed_is_corrupt)
{
    uint32_t number = packed_number(1, 0, 2);

    begin_pair(2, CREDIT, CREDIT);
    streams_reset(&front.streams, connect_one(&back), STREAM_LEFT);
    check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, number);
    begin_pair(2, CREDIT, CREDIT);
    streams_refuse(&front.streams, ask_for_one(&back), STREAM_FAILED);
    check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, number);
    begin_pair(2, CREDIT, CREDIT);
    finish_one(&back, connect_one(&back));
    streams_finish(&front.streams, 2);
    check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, number);
    put_owed(&front);
    check_event(hand_made(&front, STREAM_FRAME_OPEN, CREDIT, number), STREAM_OPENED, 2);
}
END_TEST

START_TEST(test_an_answer_for_the_senders_own_stream_is_corrupt)
{
    uint32_t answer = _i ? STREAM_FRAME_ACCEPT : STREAM_FRAME_REFUSE;
    uint32_t number = packed_number(1, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    check_ends_channel(&front, answer, 1, number); /* whether or not there is such a stream */
    ask_for_one(&back);
    check_ends_channel(&front, answer, 1, number);
    streams_accept(&front.streams, 2);
    check_ends_channel(&front, answer, 1, number);
    put_owed(&front);
    check_ends_channel(&front, answer, 1, number);
}
END_TEST

/* ---- what a receiver checks: what ends the stream ---- */

/*
 * Front gets the frame for the stream in the first slot of the one who opened it, and ends it. The
 * stream in the second slot goes on.
 */
static void check_breaks(uint32_t opener, uint32_t type, uint32_t value)
{
    uint32_t slot = 2 * opener, number = packed_number(opener, 0, 1);
    uint32_t open = front.streams.open, in_use = front.streams.in_use;
    uint64_t reset = front.streams.reset;

    check_stream_end(hand_made(&front, type, value, number), slot, STREAM_BROKEN);
    check_counts(&front, open - 1, in_use);
    ck_assert_uint_eq(front.streams.reset, reset + 1);
    check_dropped(hand_made(&front, STREAM_FRAME_DATA, 1, number));
    check_owed(&front, STREAM_FRAME_RESET, 5, number);
    check_owes_nothing(&front);
    check_counts(&front, open - 1, in_use - 1);
    check_dropped(hand_made(&front, STREAM_FRAME_DATA, 1, number));
    check_owes_nothing(&front);
    check_event(hand_made(&front, STREAM_FRAME_DATA, CREDIT, packed_number(opener, 1, 1)),
                STREAM_DATA, slot + 1);
}

static void connect_two(uint32_t opener)
{
    begin_pair(2, CREDIT, CREDIT);
    connect_one(party_of((int)opener));
    connect_one(party_of((int)opener));
}

START_TEST(test_data_beyond_the_credit_resets_the_stream)
{
    uint32_t opener = (uint32_t)_i;

    connect_two(opener);
    check_breaks(opener, STREAM_FRAME_DATA, CREDIT + 1);
    connect_two(opener);
    move_data(&back, 2 * opener, CREDIT);
    check_breaks(opener, STREAM_FRAME_DATA, 1);
}
END_TEST

START_TEST(test_data_beyond_what_was_granted_again_resets_the_stream)
{
    connect_two(0);
    move_data(&back, 0, 900);
    streams_took(&front.streams, 0, 600);
    put_owed(&front);
    check_event(hand_made(&front, STREAM_FRAME_DATA, 700, packed_number(0, 0, 1)), STREAM_DATA, 0);
    check_breaks(0, STREAM_FRAME_DATA, 1);
}
END_TEST

/* Taken, but CREDIT is not written yet. */
START_TEST(test_data_beyond_what_was_written_as_credit_resets_the_stream)
{
    connect_two(0);
    move_data(&back, 0, CREDIT);
    streams_took(&front.streams, 0, CREDIT);
    check_breaks(0, STREAM_FRAME_DATA, 1);
}
END_TEST

START_TEST(test_data_or_finish_after_finish_resets_the_stream)
{
    uint32_t opener = _i & 1;

    connect_two(opener);
    finish_one(&back, 2 * opener);
    if (_i >> 1)
        check_breaks(opener, STREAM_FRAME_DATA, 1);
    else
        check_breaks(opener, STREAM_FRAME_FINISH, 0);
}
END_TEST

START_TEST(test_an_answer_for_an_open_stream_resets_it)
{
    connect_two(0);
    check_breaks(0, _i ? STREAM_FRAME_ACCEPT : STREAM_FRAME_REFUSE, STREAM_DENIED);
    ck_assert_uint_eq(front.streams.refused, 0);
}
END_TEST

/* What may be sent only after ACCEPT. When front opened the stream, and back has not accepted. */
START_TEST(test_a_frame_before_the_peers_accept_resets_the_stream)
{
    begin_pair(2, CREDIT, CREDIT);
    ask_for_one(&front);
    connect_one(&front);
    check_breaks(0, (uint32_t)_i, _i == STREAM_FRAME_FINISH ? 0 : 1);
}
END_TEST

/* When back opened it, and front has not accepted; or has, and ACCEPT is not written. */
START_TEST(test_a_frame_before_our_accept_resets_the_stream)
{
    for (int accepts = 0; accepts < 2; accepts++) {
        begin_pair(2, CREDIT, CREDIT);
        ask_for_one(&back);
        connect_one(&back);
        if (accepts)
            streams_accept(&front.streams, 2);
        check_breaks(1, (uint32_t)_i, _i == STREAM_FRAME_FINISH ? 0 : 1);
    }
}
END_TEST

START_TEST(test_a_credit_of_0_resets_the_stream)
{
    connect_two((uint32_t)_i);
    check_breaks((uint32_t)_i, STREAM_FRAME_CREDIT, 0);
}
END_TEST

START_TEST(test_credit_beyond_2_to_the_24_less_1_resets_the_stream)
{
    connect_two((uint32_t)_i);
    check_breaks((uint32_t)_i, STREAM_FRAME_CREDIT, LARGEST - CREDIT + 1);
    connect_two((uint32_t)_i);
    streams_send(&front.streams, 2 * (uint32_t)_i, 1);
    check_event(hand_made(&front, STREAM_FRAME_CREDIT, LARGEST - CREDIT, packed_number(_i, 0, 1)),
                STREAM_SENDABLE, 2 * (uint32_t)_i);
    check_breaks((uint32_t)_i, STREAM_FRAME_CREDIT, 2);
    connect_two((uint32_t)_i);
    check_breaks((uint32_t)_i, STREAM_FRAME_CREDIT, LARGEST);
}
END_TEST

START_TEST(test_a_finish_with_a_value_resets_the_stream)
{
    connect_two((uint32_t)_i);
    check_breaks((uint32_t)_i, STREAM_FRAME_FINISH, 1);
    connect_two((uint32_t)_i);
    check_breaks((uint32_t)_i, STREAM_FRAME_FINISH, 1 << 23);
}
END_TEST

/* ---- the end of the channel ---- */

START_TEST(test_close_resets_every_stream)
{
    begin_pair(8, CREDIT, CREDIT);
    connect_one(&front);
    connect_one(&back);
    ask_for_one(&front);
    ask_for_one(&back);
    open_next(&front); /* the peer does not know of it */
    ck_assert_uint_eq(front.streams.open, 5);
    streams_close(&front.streams, STREAM_ENDING);
    check_counts(&front, 0, 4);
    ck_assert_uint_eq(front.streams.reset, 5);
    put_owed(&front);
    check_counts(&front, 0, 0);
    ck_assert_uint_eq(front.written - front.read, 4);
    check_stream_end(read_next(&back), 0, STREAM_ENDING);
    check_stream_end(read_next(&back), 1, STREAM_ENDING);
    check_stream_end(read_next(&back), 8, STREAM_ENDING);
    check_stream_end(read_next(&back), 9, STREAM_ENDING);
    check_counts(&back, 0, 0);
    check_owes_nothing(&back);
}
END_TEST

START_TEST(test_close_sends_what_was_owed_for_streams_that_had_ended)
{
    begin_pair(3, CREDIT, CREDIT);
    connect_one(&front);
    finish_one(&back, connect_one(&back));
    ask_for_one(&back);
    streams_reset(&front.streams, 0, STREAM_LEFT);
    streams_finish(&front.streams, 3);
    streams_refuse(&front.streams, 4, STREAM_DENIED);
    streams_close(&front.streams, STREAM_ENDING);
    check_owed(&front, STREAM_FRAME_RESET, 4, packed_number(0, 0, 1));
    check_owed(&front, STREAM_FRAME_FINISH, 0, packed_number(1, 0, 1));
    check_owed(&front, STREAM_FRAME_REFUSE, 7, packed_number(1, 1, 1));
    check_owes_nothing(&front);
    ck_assert_uint_eq(front.streams.reset, 1);
}
END_TEST

START_TEST(test_no_stream_opens_after_close)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    streams_close(&front.streams, STREAM_ENDING);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -ESHUTDOWN);
}
END_TEST

START_TEST(test_what_the_peer_opens_after_close_is_refused)
{
    begin_pair(2, CREDIT, CREDIT);
    connect_one(&front);
    open_next(&back);
    streams_close(&front.streams, STREAM_FAILED);
    check_dropped(deliver_frames(&back));
    check_owed(&front, STREAM_FRAME_RESET, 3, packed_number(0, 0, 1));
    check_owed(&front, STREAM_FRAME_REFUSE, 6, packed_number(1, 0, 1));
    check_owes_nothing(&front);
    check_counts(&front, 0, 0);
    check_stream_end(read_next(&back), 0, STREAM_FAILED);
    check_stream_end(read_next(&back), 2, STREAM_ENDING);
}
END_TEST

START_TEST(test_no_stream_has_its_turn_after_close)
{
    begin_pair(2, CREDIT, CREDIT);
    streams_want_turn(&front.streams, connect_one(&front));
    streams_close(&front.streams, STREAM_ENDING);
    ck_assert_uint_eq(streams_sendable(&front.streams, 0), 0);
    put_owed(&front);
    check_turn(&front, STREAMS_NO_SLOT);
    check_dropped(hand_made(&front, STREAM_FRAME_CREDIT, 1, packed_number(0, 0, 1)));
    check_turn(&front, STREAMS_NO_SLOT);
}
END_TEST

/* ---- restart ---- */

/* Another process takes the side's rings over; it knows neither streams nor generations. */
static void restart_party(struct party *party, uint32_t epoch)
{
    uint32_t most = party->streams.most;

    memset(&party->streams, 0xa5, sizeof(party->streams));
    memset(party->table, 0xa5, sizeof(party->table));
    streams_init(&party->streams, party->table, most, party == &back, CREDIT);
    streams_restart(&party->streams, epoch - 1);
}

/* The peer says: my epoch, and what I know of yours. */
static struct stream_event hear_restart(struct party *party, uint32_t epoch, uint32_t known)
{
    return hand_made(party, STREAM_FRAME_RESTART, known, epoch);
}

static void check_restart_owed(struct party *party, uint32_t epoch, uint32_t known)
{
    check_owed(party, STREAM_FRAME_RESTART, known, epoch);
}

/* Both read until neither owes anything. Then each can open streams. */
static void check_both_go_on(void)
{
    do {
        deliver_frames(&front);
        deliver_frames(&back);
    } while (streams_owes(&front.streams) || streams_owes(&back.streams));
    check_counts(&front, 0, 0);
    check_counts(&back, 0, 0);
    connect_one(&front);
    connect_one(&back);
}

START_TEST(test_restart_says_both_epochs)
{
    static const uint8_t unknown[8] = {0x08, 0x00, 0x00, 0x00, 0x04, 0x03, 0x02, 0x01};
    static const uint8_t known[8] = {0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01};
    uint8_t header[STREAMS_HEADER];

    begin_pair(2, CREDIT, CREDIT);
    restart_party(&front, 0x01020304);
    put_owed(&front);
    hear_restart(&front, 0x08050607, 0);
    put_owed(&front);
    ck_assert_uint_eq(front.written, 2);
    stream_frame_pack(front.wire[0], header);
    ck_assert_mem_eq(header, unknown, 8);
    stream_frame_pack(front.wire[1], header);
    ck_assert_mem_eq(header, known, 8);
}
END_TEST

/* 0 is the epoch of the process that began, and never that of another. */
START_TEST(test_an_epoch_is_the_write_index_and_1)
{
    static const uint32_t rows[][2] = {
        {0, 1}, {1, 2}, {0x80000000, 0x80000001}, {0xfffffffe, 0xffffffff}, {0xffffffff, 1}};

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin_pair(2, CREDIT, CREDIT);
        streams_restart(&front.streams, rows[i][0]);
        check_restart_owed(&front, rows[i][1], 0);
    }
}
END_TEST

/* Also if it says nothing but what the peer takes for granted. */
START_TEST(test_restart_is_the_first_frame)
{
    struct party *party = party_of(_i & 1);
    uint32_t theirs = _i >> 1 ? 21 : 0, side = _i & 1;
    uint32_t slot = 2 * (1 - side), number = packed_number(1 - side, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    restart_party(party, 11);
    hear_restart(party, theirs, 11); /* read before anything is written */
    check_event(hand_made(party, STREAM_FRAME_OPEN, CREDIT, number), STREAM_OPENED, slot);
    streams_accept(&party->streams, slot);
    open_next(party);
    check_restart_owed(party, 11, theirs);
    check_owed(party, STREAM_FRAME_ACCEPT, CREDIT, number);
    check_owed(party, STREAM_FRAME_OPEN, CREDIT, packed_number(side, 0, 1));
    check_owes_nothing(party);
}
END_TEST

START_TEST(test_restart_is_repeated_only_when_it_says_something_else)
{
    begin_pair(2, CREDIT, CREDIT);
    hear_restart(&front, 0, 0);
    check_owes_nothing(&front); /* that is what counts as said at the beginning */
    restart_party(&front, 11);
    check_restart_owed(&front, 11, 0);
    hear_restart(&front, 0, 0);
    hear_restart(&front, 0, 11);
    check_owes_nothing(&front);
    hear_restart(&front, 21, 0);
    check_restart_owed(&front, 11, 21);
    hear_restart(&front, 21, 11);
    check_owes_nothing(&front);
    hear_restart(&front, 31, 0);
    hear_restart(&front, 41, 0); /* one answer to two is enough */
    check_restart_owed(&front, 11, 41);
    check_owes_nothing(&front);
    hear_restart(&front, 0, 0);
    check_restart_owed(&front, 11, 0);
    check_owes_nothing(&front);
}
END_TEST

/* By the process that began, and by one that took over. */
START_TEST(test_a_restart_that_is_read_twice_changes_nothing)
{
    uint32_t epoch = _i ? 11 : 0;

    begin_pair(2, CREDIT, CREDIT);
    if (_i)
        restart_party(&front, epoch);
    hear_restart(&front, 21, epoch);
    open_next(&front);
    put_owed(&front);
    check_event(hand_made(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(1, 0, 1)), STREAM_OPENED,
                2);
    check_event(hear_restart(&front, 21, epoch), STREAM_NOTHING, STREAMS_NO_SLOT);
    check_owes_nothing(&front);
    check_counts(&front, 2, 2);
    check_event(hand_made(&front, STREAM_FRAME_ACCEPT, CREDIT, packed_number(0, 0, 1)),
                STREAM_ACCEPTED, 0);
}
END_TEST

START_TEST(test_another_epoch_ends_all_streams)
{
    uint32_t slot;

    begin_pair(4, CREDIT, CREDIT);
    connect_one(&front);
    connect_one(&back);
    ask_for_one(&front);
    ask_for_one(&back);
    restart_party(&back, 77);
    put_owed(&back);
    check_event(read_next(&front), STREAM_RESTARTED, STREAMS_NO_SLOT);
    check_counts(&front, 0, 0);
    ck_assert_uint_eq(front.streams.reset, 4);
    check_restart_owed(&front, 0, 77);
    check_owes_nothing(&front);
    for (uint32_t side = 0; side < 2; side++) /* they are unknown now */
        for (uint32_t place = 0; place < 2; place++)
            check_all_dropped(&front, packed_number(side, place, 1), side == 0);
    for (uint32_t i = 0; i < 4; i++) /* all places are free */
        ck_assert_uint_eq(open_next(&front), i);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
}
END_TEST

/* The peer has now read our epoch. */
START_TEST(test_the_same_epoch_with_another_value_ends_no_stream)
{
    begin_pair(2, CREDIT, CREDIT);
    restart_party(&front, 11);
    hear_restart(&front, 21, 0);
    open_next(&front);
    put_owed(&front);
    check_event(hear_restart(&front, 21, 11), STREAM_NOTHING, STREAMS_NO_SLOT);
    check_counts(&front, 1, 1);
    check_event(hand_made(&front, STREAM_FRAME_ACCEPT, CREDIT, packed_number(0, 0, 1)),
                STREAM_ACCEPTED, 0);
}
END_TEST

/* They are the same in an answer, whose receiver needs it all the same. */
START_TEST(test_epochs_that_differ_above_24_bits_are_different)
{
    begin_pair(2, CREDIT, CREDIT);
    hear_restart(&front, 0x00000005, 0);
    check_restart_owed(&front, 0, 5);
    open_next(&front);
    put_owed(&front);
    check_event(hear_restart(&front, 0x01000005, 0), STREAM_RESTARTED, STREAMS_NO_SLOT);
    check_counts(&front, 0, 0);
    check_restart_owed(&front, 0, 5);
    check_owes_nothing(&front);
}
END_TEST

START_TEST(test_frames_that_are_owed_for_old_streams_are_not_sent_after_restart)
{
    begin_pair(8, CREDIT, CREDIT);
    for (int i = 0; i < 4; i++)
        connect_one(&front);
    ask_for_one(&back);
    ask_for_one(&back);
    move_data(&back, 0, CREDIT);
    streams_took(&front.streams, 0, CREDIT);       /* CREDIT */
    streams_finish(&front.streams, 1);             /* FINISH */
    streams_reset(&front.streams, 2, STREAM_LEFT); /* RESET */
    check_event(hand_made(&front, STREAM_FRAME_FINISH, 0, packed_number(0, 3, 1)), STREAM_FINISHED,
                3);
    streams_finish(&front.streams, 3);                /* FINISH after the peer's */
    streams_accept(&front.streams, 8);                /* ACCEPT */
    streams_refuse(&front.streams, 9, STREAM_DENIED); /* REFUSE */
    open_next(&front);                                /* OPEN */
    streams_want_turn(&front.streams, 0);
    check_counts(&front, 4, 7);
    check_event(hear_restart(&front, 3, 0), STREAM_RESTARTED, STREAMS_NO_SLOT);
    check_counts(&front, 0, 0);
    check_restart_owed(&front, 0, 3);
    check_owes_nothing(&front);
    check_turn(&front, STREAMS_NO_SLOT);
    begin_pair(2, CREDIT, CREDIT);
    streams_reset(&front.streams, connect_one(&front), STREAM_LEFT); /* all have ended already */
    hear_restart(&front, 3, 0);
    check_counts(&front, 0, 0);
    check_restart_owed(&front, 0, 3);
    check_owes_nothing(&front);
}
END_TEST

/*
 * 0: nothing was written or read; 1: RESTART was written; 2: the peer answers the process before
 * ours; 3: the peer knew the epoch, and another process took over there.
 */
START_TEST(test_all_but_restart_is_dropped_until_our_epoch_is_known)
{
    static const uint32_t epoch = 0xab000011;
    const uint32_t numbers[] = {packed_number(0, 0, 1), packed_number(1, 0, 1),
                                packed_number(1, 2, 1), 0xffffffff};

    begin_pair(2, CREDIT, CREDIT);
    restart_party(&front, epoch);
    if (_i > 0)
        check_restart_owed(&front, epoch, 0);
    if (_i == 2)
        hear_restart(&front, 21, 0x800011);
    if (_i == 3) {
        hear_restart(&front, 21, 0x000011);
        hear_restart(&front, 22, 0);
    }
    for (unsigned int i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        check_dropped(hand_made(&front, STREAM_FRAME_OPEN, CREDIT, numbers[i]));
        check_dropped(hand_made(&front, STREAM_FRAME_OPEN, CREDIT, numbers[i])); /* none is open */
        check_all_dropped(&front, numbers[i], true);
    }
    check_counts(&front, 0, 0);
    hear_restart(&front, 22, 0x000011);
    check_restart_owed(&front, epoch, 22);
    check_owes_nothing(&front);
    check_event(hand_made(&front, STREAM_FRAME_OPEN, CREDIT, numbers[1]), STREAM_OPENED, 2);
    check_ends_channel(&front, STREAM_FRAME_OPEN, CREDIT, numbers[2]);
}
END_TEST

START_TEST(test_what_is_dropped_must_be_a_frame)
{
    static const uint8_t header[STREAMS_HEADER] = {STREAM_FRAME_DATA, 100, 0, 0, 1, 32, 0, 0};
    struct stream_event event;

    begin_pair(2, CREDIT, CREDIT);
    restart_party(&front, 5);
    ck_assert_int_eq(streams_receive(&front.streams, header, 7, &event), -EPROTO);
    ck_assert_int_eq(streams_receive(&front.streams, header, 107, &event), -EPROTO);
    ck_assert_int_eq(streams_receive(&front.streams, header, 108, &event), 0);
    ck_assert_uint_eq(event.payload, 100);
    check_ends_channel(&front, 0, 0, 0);
    check_ends_channel(&front, STREAM_FRAME_RESTART + 1, 0, 0);
    check_ends_channel(&front, STREAM_FRAME_DATA, 0, packed_number(1, 0, 1));
}
END_TEST

/* Whether or not the peer took over, too. That it knows our epoch is not needed. */
START_TEST(test_no_stream_opens_until_the_peers_epoch_is_known)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    restart_party(&front, 11);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
    check_restart_owed(&front, 11, 0);
    check_owes_nothing(&front);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -EAGAIN);
    hear_restart(&front, _i ? 21 : 0, 10);
    ck_assert_uint_eq(open_next(&front), 0);
}
END_TEST

/* What the peer wrote before it read RESTART is dropped. */
START_TEST(test_a_new_stream_is_not_taken_for_one_before_restart)
{
    struct party *party = party_of(_i), *peer = other_than(party);
    uint32_t slot, number = packed_number((uint32_t)_i, 0, 1);

    begin_pair(2, CREDIT, CREDIT);
    slot = ask_for_one(party);
    streams_accept(&peer->streams, slot);
    put_owed(peer);
    put_data(peer, slot, 10);
    restart_party(party, 11);
    check_dropped(read_next(party)); /* ACCEPT */
    check_dropped(read_next(party)); /* DATA */
    check_event(deliver_frames(party), STREAM_RESTARTED, STREAMS_NO_SLOT);
    check_dropped(deliver_frames(peer));
    ck_assert_uint_eq(connect_one(party), slot);
    ck_assert_uint_eq(party->wire[party->written - 1].number, number);
    move_data(party, slot, CREDIT);
    move_data(peer, slot, CREDIT);
}
END_TEST

START_TEST(test_generations_go_on_after_the_peers_restart)
{
    begin_pair(2, CREDIT, CREDIT);
    connect_one(&front);
    hear_restart(&front, 21, 0);
    check_restart_owed(&front, 0, 21);
    for (uint32_t i = 0; i < 2; i++)
        open_next(&front);
    check_owed(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(0, 0, 2));
    check_owed(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(0, 1, 1));
}
END_TEST

/* The first process dies while the answer to it, and a stream for it, are under way. */
START_TEST(test_a_side_may_restart_twice_in_a_row)
{
    begin_pair(2, CREDIT, CREDIT);
    connect_one(&front);
    restart_party(&back, 100);
    check_event(deliver_frames(&back), STREAM_RESTARTED, STREAMS_NO_SLOT);
    open_next(&front);
    put_owed(&front);
    restart_party(&back, 116);
    put_owed(&back);
    check_dropped(read_next(&back)); /* RESTART */
    check_dropped(read_next(&back)); /* OPEN */
    check_counts(&back, 0, 0);
    check_event(deliver_frames(&back), STREAM_RESTARTED, STREAMS_NO_SLOT);
    check_both_go_on();
}
END_TEST

START_TEST(test_both_sides_may_restart)
{
    begin_pair(2, CREDIT, CREDIT);
    put_data(&front, connect_one(&front), 10);
    restart_party(&front, 11);
    restart_party(&back, 21);
    put_owed(&front);
    put_owed(&back);
    check_dropped(read_next(&back)); /* DATA */
    check_dropped(read_next(&back));
    check_dropped(read_next(&front));
    check_restart_owed(&front, 11, 21);
    check_restart_owed(&back, 21, 11);
    check_both_go_on();
}
END_TEST

/* Each process reads the other's RESTART, and dies before it answers. */
START_TEST(test_both_sides_may_die_in_turn)
{
    struct party *party = party_of(_i), *peer = other_than(party);

    begin_pair(2, CREDIT, CREDIT);
    connect_one(party);
    restart_party(party, 11);
    check_event(deliver_frames(party), STREAM_RESTARTED, STREAMS_NO_SLOT);
    restart_party(peer, 21);
    check_dropped(deliver_frames(peer));
    restart_party(party, 31);
    check_both_go_on();
}
END_TEST

START_TEST(test_a_side_that_is_closed_stays_closed_after_restart)
{
    uint32_t slot;

    begin_pair(2, CREDIT, CREDIT);
    streams_close(&front.streams, STREAM_ENDING);
    hear_restart(&front, 21, 0);
    check_restart_owed(&front, 0, 21);
    ck_assert_int_eq(streams_open(&front.streams, &slot), -ESHUTDOWN);
    check_dropped(hand_made(&front, STREAM_FRAME_OPEN, CREDIT, packed_number(1, 0, 1)));
    check_owed(&front, STREAM_FRAME_REFUSE, 6, packed_number(1, 0, 1));
}
END_TEST

/* ---- */

static void add_tests_of_frames(TCase *tcase)
{
    tcase_add_test(tcase, test_a_frame_is_two_little_endian_numbers);
    tcase_add_test(tcase, test_types_and_reasons_have_the_numbers_of_the_wire);
    tcase_add_test(tcase, test_a_number_has_side_place_and_generation);
    tcase_add_test(tcase, test_the_largest_place_fits_its_number);
    tcase_add_test(tcase, test_each_reason_is_seen_as_an_error);
    tcase_add_test(tcase, test_a_reason_that_is_not_known_is_taken_for_failed);
    tcase_add_test(tcase, test_each_known_reason_arrives);
}

static void add_tests_of_life(TCase *tcase)
{
    tcase_add_loop_test(tcase, test_a_stream_opens_when_the_peer_accepts, 0, 2);
    tcase_add_test(tcase, test_both_sides_may_open_at_the_same_place);
    tcase_add_loop_test(tcase, test_a_refused_stream_has_ended_on_both_sides, 0, 2);
    tcase_add_test(tcase, test_a_reset_before_open_was_written_sends_nothing);
    tcase_add_loop_test(tcase, test_the_opener_may_reset_before_the_answer, 0, 2);
    tcase_add_loop_test(tcase, test_the_peer_may_reset_instead_of_an_answer, 0, 2);
    tcase_add_loop_test(tcase, test_a_reset_may_cross_the_answer, 0, 4);
    tcase_add_loop_test(tcase, test_either_side_may_reset_an_open_stream, 0, 4);
    tcase_add_test(tcase, test_bytes_before_a_reset_are_delivered);
    tcase_add_loop_test(tcase, test_either_side_may_reset_after_one_finished, 0, 2);
    tcase_add_test(tcase, test_a_reset_takes_back_what_else_is_owed);
    tcase_add_loop_test(tcase, test_resets_may_cross, 0, 2);
    tcase_add_loop_test(tcase, test_a_reset_that_is_not_written_is_dropped_for_the_peers, 0, 2);
    tcase_add_test(tcase, test_a_refuse_that_is_not_written_is_dropped_for_the_peers_reset);
}

static void add_tests_of_unknown(TCase *tcase)
{
    tcase_add_loop_test(tcase, test_frames_of_a_stream_that_has_ended_are_dropped, 0, 2);
    tcase_add_test(tcase, test_frames_of_a_stream_that_never_was_are_dropped);
    tcase_add_loop_test(tcase, test_frames_of_an_old_generation_do_not_touch_the_new_stream, 0, 2);
    tcase_add_test(tcase, test_frames_of_a_stream_whose_open_is_not_written_are_dropped);
    tcase_add_loop_test(tcase, test_frames_of_a_stream_that_owes_its_reset_are_dropped, 0, 2);
    tcase_add_test(tcase, test_frames_after_the_peers_finish_are_dropped_once_we_finish);
}

static void add_tests_of_places(TCase *tcase)
{
    tcase_add_loop_test(tcase, test_the_place_that_is_free_for_longest_is_used_next, 0, 2);
    tcase_add_test(tcase, test_a_side_opens_at_its_own_places_only);
    tcase_add_test(tcase, test_generations_begin_again_after_2_to_the_19);
    tcase_add_test(tcase, test_a_peer_may_use_any_free_place_and_generation);
}

static void add_tests_of_half_close(TCase *tcase)
{
    tcase_add_loop_test(tcase, test_either_side_may_finish_first, 0, 4);
    tcase_add_loop_test(tcase, test_finishes_may_cross, 0, 2);
    tcase_add_test(tcase, test_a_place_is_free_only_once_finish_was_written);
    tcase_add_test(tcase, test_finish_after_the_peers_frees_the_place_at_once);
    tcase_add_test(tcase, test_a_reset_after_both_finished_is_not_owed);
    tcase_add_test(tcase, test_a_reset_instead_of_our_finish_is_owed_after_the_peers);
    tcase_add_test(tcase, test_a_finish_that_is_owed_is_dropped_for_the_peers_reset);
    tcase_add_test(tcase, test_credit_is_granted_until_the_peers_finish);
    tcase_add_test(tcase, test_finish_comes_after_accept_and_credit);
}

static void add_tests_of_credit(TCase *tcase)
{
    tcase_add_loop_test(tcase, test_open_and_accept_grant_the_first_credit, 0, 2);
    tcase_add_loop_test(tcase, test_all_credit_may_be_used, 0, 2);
    tcase_add_test(tcase, test_credit_grows_once_more_than_half_was_taken);
    tcase_add_test(tcase, test_a_credit_of_one_byte_is_enough);
    tcase_add_test(tcase, test_nothing_is_granted_for_a_stream_that_has_ended);
    tcase_add_test(tcase, test_what_was_taken_is_not_the_next_streams);
    tcase_add_test(tcase, test_credit_may_reach_2_to_the_24_less_1);
    tcase_add_test(tcase, test_the_first_credit_may_be_0);
    tcase_add_test(tcase, test_the_usual_credit_shares_16_mib);
}

static void add_tests_of_turns(TCase *tcase)
{
    tcase_add_test(tcase, test_streams_have_their_turns_one_after_the_other);
    tcase_add_test(tcase, test_a_stream_has_a_turn_only_if_it_wants_one);
    tcase_add_test(tcase, test_frames_without_payload_go_before_turns);
    tcase_add_test(tcase, test_a_stream_without_credit_comes_back_with_credit);
    tcase_add_test(tcase, test_a_stream_without_credit_keeps_no_other_waiting);
    tcase_add_test(tcase, test_a_stream_that_waits_comes_back_with_accept);
    tcase_add_test(tcase, test_a_stream_accepted_without_credit_waits_for_credit);
    tcase_add_test(tcase, test_a_stream_that_was_finished_has_no_turn);
    tcase_add_test(tcase, test_a_stream_that_has_ended_has_no_turn);
    tcase_add_loop_test(tcase, test_a_wish_for_a_turn_is_not_the_next_streams, 0, 2);
}

static void add_tests_of_limits(TCase *tcase)
{
    tcase_add_test(tcase, test_both_sides_together_open_no_more_than_agreed);
    tcase_add_test(tcase, test_no_stream_opens_while_last_frames_are_owed_for_all_places);
    tcase_add_test(tcase, test_an_open_above_the_limit_is_refused);
    tcase_add_test(tcase, test_both_sides_may_try_to_open_the_last);
}

static void add_tests_of_corrupt(TCase *tcase)
{
    tcase_add_test(tcase, test_less_than_a_header_is_corrupt);
    tcase_add_test(tcase, test_less_than_the_payload_is_corrupt);
    tcase_add_test(tcase, test_data_larger_than_the_ring_is_corrupt);
    tcase_add_test(tcase, test_data_of_0_bytes_is_corrupt);
    tcase_add_test(tcase, test_a_type_that_is_not_known_is_corrupt);
    tcase_add_test(tcase, test_a_place_beyond_the_most_is_corrupt);
    tcase_add_loop_test(tcase, test_open_with_a_number_of_the_receivers_is_corrupt, 0, 2);
    tcase_add_test(tcase, test_open_at_a_place_that_is_in_use_is_corrupt);
    tcase_add_test(tcase, test_open_at_a_place_whose_last_frame_is_owed_is_corrupt);
    tcase_add_loop_test(tcase, test_an_answer_for_the_senders_own_stream_is_corrupt, 0, 2);
}

static void add_tests_of_broken(TCase *tcase)
{
    tcase_add_loop_test(tcase, test_data_beyond_the_credit_resets_the_stream, 0, 2);
    tcase_add_test(tcase, test_data_beyond_what_was_granted_again_resets_the_stream);
    tcase_add_test(tcase, test_data_beyond_what_was_written_as_credit_resets_the_stream);
    tcase_add_loop_test(tcase, test_data_or_finish_after_finish_resets_the_stream, 0, 4);
    tcase_add_loop_test(tcase, test_an_answer_for_an_open_stream_resets_it, 0, 2);
    tcase_add_loop_test(tcase, test_a_frame_before_the_peers_accept_resets_the_stream,
                        STREAM_FRAME_DATA, STREAM_FRAME_RESET);
    tcase_add_loop_test(tcase, test_a_frame_before_our_accept_resets_the_stream, STREAM_FRAME_DATA,
                        STREAM_FRAME_RESET);
    tcase_add_loop_test(tcase, test_a_credit_of_0_resets_the_stream, 0, 2);
    tcase_add_loop_test(tcase, test_credit_beyond_2_to_the_24_less_1_resets_the_stream, 0, 2);
    tcase_add_loop_test(tcase, test_a_finish_with_a_value_resets_the_stream, 0, 2);
}

static void add_tests_of_close(TCase *tcase)
{
    tcase_add_test(tcase, test_close_resets_every_stream);
    tcase_add_test(tcase, test_close_sends_what_was_owed_for_streams_that_had_ended);
    tcase_add_test(tcase, test_no_stream_opens_after_close);
    tcase_add_test(tcase, test_what_the_peer_opens_after_close_is_refused);
    tcase_add_test(tcase, test_no_stream_has_its_turn_after_close);
}

static void add_tests_of_restart(TCase *tcase)
{
    tcase_add_test(tcase, test_restart_says_both_epochs);
    tcase_add_test(tcase, test_an_epoch_is_the_write_index_and_1);
    tcase_add_loop_test(tcase, test_restart_is_the_first_frame, 0, 4);
    tcase_add_test(tcase, test_restart_is_repeated_only_when_it_says_something_else);
    tcase_add_loop_test(tcase, test_a_restart_that_is_read_twice_changes_nothing, 0, 2);
    tcase_add_test(tcase, test_another_epoch_ends_all_streams);
    tcase_add_test(tcase, test_the_same_epoch_with_another_value_ends_no_stream);
    tcase_add_test(tcase, test_epochs_that_differ_above_24_bits_are_different);
    tcase_add_test(tcase, test_frames_that_are_owed_for_old_streams_are_not_sent_after_restart);
    tcase_add_loop_test(tcase, test_all_but_restart_is_dropped_until_our_epoch_is_known, 0, 4);
    tcase_add_test(tcase, test_what_is_dropped_must_be_a_frame);
    tcase_add_loop_test(tcase, test_no_stream_opens_until_the_peers_epoch_is_known, 0, 2);
    tcase_add_loop_test(tcase, test_a_new_stream_is_not_taken_for_one_before_restart, 0, 2);
    tcase_add_test(tcase, test_generations_go_on_after_the_peers_restart);
    tcase_add_test(tcase, test_a_side_may_restart_twice_in_a_row);
    tcase_add_test(tcase, test_both_sides_may_restart);
    tcase_add_loop_test(tcase, test_both_sides_may_die_in_turn, 0, 2);
    tcase_add_test(tcase, test_a_side_that_is_closed_stays_closed_after_restart);
}

int main(void)
{
    TCase *tcase = tcase_create("streams");

    tcase_set_timeout(tcase, 600); /* for valgrind */
    add_tests_of_frames(tcase);
    add_tests_of_life(tcase);
    add_tests_of_unknown(tcase);
    add_tests_of_places(tcase);
    add_tests_of_half_close(tcase);
    add_tests_of_credit(tcase);
    add_tests_of_turns(tcase);
    add_tests_of_limits(tcase);
    add_tests_of_corrupt(tcase);
    add_tests_of_broken(tcase);
    add_tests_of_close(tcase);
    add_tests_of_restart(tcase);
    setenv("CK_FORK", "no", 0); /* so many processes take minutes under valgrind */
    return check_main("streams", tcase);
}
