/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vchan/pace.h: how often a peer may wake a process for little data. */
#include "tests/lib/check-main.h"
#include "vchan/pace.h"

/* How many of times wake-ups in one millisecond are too many. */
static unsigned int too_many(struct pace *pace, unsigned int times, uint64_t ms)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < times; i++)
        count += pace_is_hasty(pace, ms);
    return count;
}

START_TEST(there_is_a_bound)
{
    struct pace pace = {0};

    ck_assert_uint_eq(too_many(&pace, PACE_MAX, 12345671), 0);
    ck_assert_uint_eq(too_many(&pace, 10, 12345679), 10);
}
END_TEST

START_TEST(it_is_for_10_ms)
{
    struct pace pace = {0};

    ck_assert_uint_eq(too_many(&pace, PACE_MAX + 1, 12345679), 1);
    ck_assert_uint_eq(too_many(&pace, PACE_MAX + 5, 12345680), 5);
    ck_assert_uint_eq(too_many(&pace, PACE_MAX + 5, 1u << 30), 5);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("pace");

    tcase_add_test(tcase, there_is_a_bound);
    tcase_add_test(tcase, it_is_for_10_ms);
    return check_main("pace", tcase);
}
