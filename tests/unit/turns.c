/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backend/turns.h: which domain's device is looked at, after how many looks at others, and in what
 * order.
 */
#include <stddef.h>

#include "backend/turns.h"
#include "tests/lib/check-main.h"

#define DEVICES 128

struct device {
    struct turn turn;
    enum turns_rank rank;
    unsigned int looked;
};

static struct turns turns;
static struct turns_guest bad, good;
static struct device of_bad[DEVICES], of_good[2];
static unsigned int looks; /* at the bad guest's devices */
static bool flaps;         /* all of the bad guest's devices are marked again at each look at one */

static struct device *device_of(const struct turn *turn)
{
    return (struct device *)((const char *)turn - offsetof(struct device, turn));
}

static enum turns_rank rank_of(const struct turn *turn)
{
    return device_of(turn)->rank;
}

static void mark_all_of_bad(void)
{
    for (int i = 0; i < DEVICES; i++)
        turns_mark(&turns, &bad, &of_bad[i].turn);
}

static void look(struct turns_guest *guest, struct turn *turn)
{
    ck_assert_ptr_null(turn->queue);
    device_of(turn)->looked++;
    if (device_of(turn)->rank == TURNS_NEW)
        device_of(turn)->rank = TURNS_UNSERVED;
    looks += guest == &bad;
    if (flaps)
        mark_all_of_bad();
}

static void set_up(void)
{
    turns_init(&turns, rank_of, look);
    turns_add(&turns, &bad);
    turns_add(&turns, &good);
    of_good[0].rank = of_good[1].rank = TURNS_NEW;
}

/*
 * A bad guest's served devices are marked endlessly, but another guest's new device still has its
 * turn.
 */
START_TEST(test_new_beside_flapping)
{
    flaps = true;
    mark_all_of_bad();
    for (int i = 0; i < 10; i++)
        ck_assert(turns_round(&turns));
    turns_mark(&turns, &good, &of_good[0].turn);
    looks = 0;
    while (of_good[0].looked == 0 && looks <= DEVICES)
        ck_assert(turns_round(&turns));
    ck_assert_uint_eq(of_good[0].looked, 1);
    ck_assert_uint_eq(looks, DEVICES + 1); /* one was in its own round */
}
END_TEST

START_TEST(test_served_beside_flapping)
{
    flaps = true;
    of_good[0].rank = TURNS_SERVED;
    mark_all_of_bad();
    for (int i = 0; i < 10; i++)
        ck_assert(turns_round(&turns));
    turns_mark(&turns, &good, &of_good[0].turn);
    ck_assert(turns_round(&turns));
    ck_assert_uint_eq(of_good[0].looked, 1);
}
END_TEST

START_TEST(test_one_each_in_a_round)
{
    of_good[0].rank = of_good[1].rank = TURNS_SERVED;
    mark_all_of_bad();
    turns_mark(&turns, &good, &of_good[0].turn);
    turns_mark(&turns, &good, &of_good[1].turn);
    ck_assert(turns_round(&turns));
    ck_assert_uint_eq(of_good[0].looked, 1);
    ck_assert_uint_eq(of_good[1].looked, 0);
    ck_assert(turns_round(&turns));
    ck_assert_uint_eq(of_good[1].looked, 1);
    ck_assert_uint_eq(looks, 2);
}
END_TEST

/* A served device may hold what a new one needs, but only goes first if it was marked earlier. */
START_TEST(test_served_first)
{
    turns_mark(&turns, &bad, &of_bad[0].turn);
    turns_mark(&turns, &good, &of_good[0].turn);
    turns_mark(&turns, &bad, &of_bad[1].turn);
    ck_assert(turns_round(&turns));
    ck_assert_uint_eq(of_bad[0].looked, 1);
    ck_assert_uint_eq(of_good[0].looked, 0);
    ck_assert(turns_round(&turns));
    ck_assert_uint_eq(of_good[0].looked, 1);
    ck_assert(!turns_round(&turns));
}
END_TEST

START_TEST(test_paused)
{
    good.paused = true;
    of_good[1].rank = TURNS_SERVED;
    turns_mark(&turns, &good, &of_good[0].turn);
    turns_mark(&turns, &good, &of_good[1].turn);
    ck_assert(turns_round(&turns));
    ck_assert(!turns_round(&turns));
    ck_assert_uint_eq(of_good[0].looked, 1);
    ck_assert_uint_eq(of_good[1].looked, 0);
    good.paused = false;
    ck_assert(turns_round(&turns));
    ck_assert_uint_eq(of_good[1].looked, 1);
    ck_assert(!turns_round(&turns));
}
END_TEST

/* A device marked twice is looked at once; one unmarked, not at all. */
START_TEST(test_marks)
{
    turns_mark(&turns, &bad, &of_bad[0].turn);
    turns_mark(&turns, &bad, &of_bad[0].turn);
    turns_mark(&turns, &bad, &of_bad[1].turn);
    turns_mark(&turns, &bad, &of_bad[2].turn);
    turns_unmark(&of_bad[1].turn);
    ck_assert(turns_round(&turns));
    turns_unmark(&of_bad[2].turn);
    ck_assert(!turns_round(&turns));
    ck_assert_uint_eq(looks, 1);
    turns_remove(&turns, &bad);
    turns_mark(&turns, &good, &of_good[0].turn);
    ck_assert(turns_round(&turns));
    ck_assert(!turns_round(&turns));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("turns");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, test_new_beside_flapping);
    tcase_add_test(tcase, test_served_beside_flapping);
    tcase_add_test(tcase, test_one_each_in_a_round);
    tcase_add_test(tcase, test_served_first);
    tcase_add_test(tcase, test_paused);
    tcase_add_test(tcase, test_marks);
    return check_main("turns", tcase);
}
