/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state/watches.h over a store that has few watches: what is watched, and who is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/check-main.h"
#include "state/watches.h"

#define PLACES 3

/* ---- the store ---- */

static char watched[8][96]; /* "path token"; "": free */
static int quota = 8;
static bool gone; /* with all directories */

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
    ck_assert_ptr_nonnull(place); /* nothing is unwatched that is not watched */
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
static struct place places[PLACES];
static int looked[PLACES];

static void look(void *owner)
{
    ++*(int *)owner;
}

static void set_up(void)
{
    for (int i = 0; i < PLACES; i++) {
        char dir[16];

        snprintf(dir, sizeof(dir), "/b/5/%d", i);
        ck_assert_int_eq(watches_add(&watches, &places[i], dir, &looked[i]), 0);
    }
    ck_assert_ptr_nonnull(find("/b/5/0 at"));
    ck_assert_ptr_nonnull(find("/b/5 in"));
    ck_assert_int_eq(count(), 2);
}

/* Whatever order they go in, nothing stays watched; and never one twice. */
static void tear_down(void)
{
    for (int i = 0; i < PLACES; i++)
        watches_remove(&watches, &places[i]);
    ck_assert(!watches_any(&watches));
    ck_assert_int_eq(count(), 0);
}

START_TEST(test_the_next_is_watched)
{
    watches_remove(&watches, &places[0]);
    ck_assert_ptr_null(find("/b/5/0 at"));
    ck_assert(find("/b/5/1 at") || find("/b/5/2 at"));
    ck_assert_int_eq(count(), 2);
}
END_TEST

/*
 * The domain that ends tells only who watches a directory itself: it is watched as soon as there is
 * a watch to be had.
 */
START_TEST(test_no_watch_for_the_next)
{
    const char *dir;

    quota = 1; /* others have the rest */
    watches_remove(&watches, &places[0]);
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
    struct place other = {0};

    quota = 2;
    ck_assert_int_eq(watches_add(&watches, &other, "/b/6/0", NULL), -EDQUOT);
    ck_assert_ptr_null(other.parent);
    ck_assert_int_eq(count(), 2);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("watches");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_the_next_is_watched);
    tcase_add_test(tcase, test_no_watch_for_the_next);
    tcase_add_test(tcase, test_none_for_the_first);
    return check_main("watches", tcase);
}
