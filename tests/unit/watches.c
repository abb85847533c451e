/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state/watches.h over a store with few watches: what is watched, and which owner is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/check-main.h"
#include "state/watches.h"

#define PLACES 3

/* ---- the store ---- */

static char watched[8][96]; /* "path token"; "": free */
static int quota = 8;
static bool gone; /* together with all directories */

static char *find(const char *text)
{
    for (int i = 0; i < 8; i++)
        if (strcmp(watched[i], text) == 0)
            return watched[i];
    return NULL;
}

static int count(void)
{
    int used = 0;

    for (int i = 0; i < 8; i++)
        used += watched[i][0] != 0;
    return used;
}

int store_watch(struct store *store, const char *path, const char *token)
{
    char *place = find("");

    (void)store;
    if (count() >= quota)
        return -EDQUOT;
    snprintf(place, sizeof(watched[0]), "%s %s", path, token);
    return 0;
}

int store_unwatch(struct store *store, const char *path, const char *token)
{
    char text[96], *place;

    (void)store;
    snprintf(text, sizeof(text), "%s %s", path, token);
    place = find(text);
    ck_assert_ptr_nonnull(place); /* only what is watched may be unwatched */
    place[0] = 0;
    return 0;
}

bool store_exists(struct store *store, const char *dir, const char *key)
{
    (void)store, (void)dir, (void)key;
    return !gone;
}

/* ---- who watches ---- */

static struct watches watches;
static struct watched_place places[PLACES];
static int looked[PLACES];

static void look(void *owner)
{
    ++*(int *)owner;
}

static void begin(void)
{
    quota = 8;
    gone = false;
    memset(looked, 0, sizeof(looked));
}

static void set_up(void)
{
    begin();
    for (int i = 0; i < PLACES; i++) {
        char dir[32];

        snprintf(dir, sizeof(dir), "/b/5/%d", i);
        ck_assert_int_eq(watches_add(&watches, &places[i], dir, &looked[i]), 0);
    }
    ck_assert_ptr_nonnull(find("/b/5/0 at"));
    ck_assert_ptr_nonnull(find("/b/5 in"));
    ck_assert_int_eq(count(), 2);
}

/* In whatever order they go, nothing stays watched, and nothing is watched twice. */
static void tear_down(void)
{
    for (int i = 0; i < PLACES; i++)
        watches_remove(&places[i]);
    ck_assert(!watches_any(&watches));
    ck_assert_int_eq(count(), 0);
}

START_TEST(test_the_next_is_watched)
{
    watches_remove(&places[0]);
    ck_assert_ptr_null(find("/b/5/0 at"));
    ck_assert(find("/b/5/1 at") || find("/b/5/2 at"));
    ck_assert_int_eq(count(), 2);
}
END_TEST

/*
 * The end of a domain is reported only to a watch on the directory itself, so that is watched as
 * soon as a watch is available.
 */
START_TEST(test_no_watch_for_the_next)
{
    const char *dir;

    quota = 1; /* others use the rest */
    watches_remove(&places[0]);
    ck_assert_int_eq(count(), 1);
    watches_heed(&watches, "/b/5/1/state", look);
    ck_assert_int_eq(looked[1], 1);
    ck_assert_int_eq(count(), 1);
    quota = 2;
    watches_heed(&watches, "/b/5/2/state", look);
    ck_assert_int_eq(looked[2], 1);
    ck_assert_int_eq(count(), 2);
    dir = find("/b/5/1 at") ? "/b/5/1" : "/b/5/2";
    gone = true;
    watches_heed(&watches, dir, look);
    ck_assert_int_ge(looked[1], 2);
    ck_assert_int_ge(looked[2], 2);
}
END_TEST

START_TEST(test_none_for_the_first)
{
    struct watched_place other = {0};

    quota = 2;
    ck_assert_int_eq(watches_add(&watches, &other, "/b/6/0", NULL), -EDQUOT);
    ck_assert_ptr_null(other.parent);
    ck_assert_int_eq(count(), 2);
}
END_TEST

/* ---- a directory that is turned on and off ---- */

static struct watched_dir own;

static void own_set_up(void)
{
    begin();
    ck_assert_int_eq(watched_dir_open(&own, &watches, "/f/5"), 0);
    ck_assert_ptr_eq(watches_find(&watches, "/f/5/0"), &own);
    ck_assert_ptr_null(watches_find(&watches, "/f/50"));
    ck_assert_int_eq(watched_dir_start(&own), 0);
    ck_assert_int_eq(count(), 0);
}

static void own_add(int i)
{
    char dir[32];

    snprintf(dir, sizeof(dir), "/f/5/%d", i);
    ck_assert_int_eq(watched_dir_add(&own, &places[i], dir, &looked[i]), 0);
}

static void own_tear_down(void)
{
    for (int i = 0; i < PLACES; i++)
        watches_remove(&places[i]);
    watched_dir_close(&own);
    ck_assert(!watches_any(&watches));
    ck_assert_int_eq(count(), 0);
}

START_TEST(test_two_watches_at_most)
{
    own_add(0);
    ck_assert_int_eq(count(), 0);
    ck_assert_int_eq(watched_dir_start(&own), 0);
    ck_assert_ptr_nonnull(find("/f/5/0 at"));
    ck_assert_int_eq(count(), 1);
    own_add(1);
    own_add(2);
    ck_assert_int_eq(watched_dir_start(&own), 0);
    ck_assert_ptr_nonnull(find("/f/5 in"));
    ck_assert_int_eq(watched_dir_start(&own), 0);
    ck_assert_int_eq(count(), 2);
}
END_TEST

/* What was on its way when it was turned off is not looked at; but it is known whose it is. */
START_TEST(test_off)
{
    own_add(0);
    own_add(1);
    ck_assert_int_eq(watched_dir_start(&own), 0);
    watched_dir_stop(&own);
    ck_assert_int_eq(count(), 0);
    ck_assert_ptr_eq(watches_heed(&watches, "/f/5/0/state", look), &own);
    ck_assert_ptr_eq(watches_heed(&watches, "/f/5", look), &own);
    watches_remove(&places[0]);
    ck_assert_int_eq(count(), 0);
    ck_assert_int_eq(looked[0] + looked[1], 0);
    ck_assert_int_eq(watched_dir_start(&own), 0);
    ck_assert_ptr_eq(watches_heed(&watches, "/f/5/1/state", look), &own);
    ck_assert_int_eq(looked[1], 1);
    ck_assert_int_eq(count(), 1);
}
END_TEST

/* An event where no place is still belongs to somebody. */
START_TEST(test_whose_it_is)
{
    own_add(0);
    own_add(1);
    ck_assert_int_eq(watched_dir_start(&own), 0);
    ck_assert_ptr_eq(watches_heed(&watches, "/f/5/9/x", look), &own);
    ck_assert_int_eq(looked[0] + looked[1], 0);
    ck_assert_ptr_eq(watches_heed(&watches, "/f/5", look), &own);
    ck_assert_int_eq(looked[0], 1);
    ck_assert_int_eq(looked[1], 1);
    ck_assert_ptr_null(watches_heed(&watches, "/f/50/0", look));
    ck_assert_ptr_null(watches_heed(&watches, "/f", look));
}
END_TEST

/* The owner is told, and turns it off: no event makes it watch again. */
START_TEST(test_too_few_for_a_directory)
{
    own_add(0);
    own_add(1);
    quota = 1;
    ck_assert_int_eq(watched_dir_start(&own), -EDQUOT);
    watched_dir_stop(&own);
    ck_assert_int_eq(count(), 0);
    quota = 8;
    watches_heed(&watches, "/f/5/0/state", look);
    ck_assert_int_eq(count(), 0);
    ck_assert_int_eq(watched_dir_start(&own), 0);
    ck_assert_int_eq(count(), 2);
}
END_TEST

/* That a place of an owner's directory went is found out too, if all of them did. */
START_TEST(test_all_are_gone)
{
    own_add(0);
    own_add(1);
    own_add(2);
    ck_assert_int_eq(watched_dir_start(&own), 0);
    watches_heed(&watches, "/f/5/0", look);
    ck_assert_int_eq(looked[1] + looked[2], 0);
    gone = true;
    watches_heed(&watches, "/f/5/0", look);
    ck_assert_int_eq(looked[1], 1);
    ck_assert_int_eq(looked[2], 1);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("watches"), *directory = tcase_create("directory");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_the_next_is_watched);
    tcase_add_test(tcase, test_no_watch_for_the_next);
    tcase_add_test(tcase, test_none_for_the_first);
    tcase_add_checked_fixture(directory, own_set_up, own_tear_down);
    tcase_add_test(directory, test_two_watches_at_most);
    tcase_add_test(directory, test_off);
    tcase_add_test(directory, test_whose_it_is);
    tcase_add_test(directory, test_too_few_for_a_directory);
    tcase_add_test(directory, test_all_are_gone);
    return check_main("watches", tcase) | check_main("directory", directory);
}
