/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doc/protocol.md, "Nodes" and "Ring sizes"; strict numbers; text fit to print. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "state/device.h"
#include "state/store.h"
#include "state/text.h"
#include "tests/lib/check-main.h"

START_TEST(test_names)
{
    char name[DEVICE_NAME_MAX + 2];

    memset(name, 'a', sizeof(name));
    name[DEVICE_NAME_MAX + 1] = '\0';
    ck_assert(!device_name_valid(name));
    name[DEVICE_NAME_MAX] = '\0';
    ck_assert(device_name_valid(name));
    ck_assert(device_name_valid("org.example.db-1_x"));
    ck_assert(!device_name_valid(""));
    ck_assert(!device_name_valid("a/b"));
    ck_assert(!device_name_valid("a b"));
    ck_assert(!device_name_valid("\xc3\xa4"));
}
END_TEST

START_TEST(test_paths_fit_at_their_longest)
{
    struct device_id id = {.frontend = 65535, .backend = 65535, .devid = UINT32_MAX};
    char path[DEVICE_PATH_MAX];

    device_frontend_path(&id, path);
    ck_assert_str_eq(path, "/local/domain/65535/device/vchan/4294967295");
    device_backend_path(&id, path);
    ck_assert_str_eq(path, "/local/domain/65535/backend/vchan/65535/4294967295");
    device_libxl_path(&id, path);
    ck_assert_str_eq(path, "/libxl/65535/device/vchan/4294967295");
}
END_TEST

static const struct {
    size_t read, write;
    int rc;
    uint16_t read_order, write_order;
} sizes[] = {
    {0, 0, 0, 10, 11},
    {1024, 1024, 0, 10, 11},
    {1024, 2048, 0, 10, 11},
    {2048, 1024, 0, 11, 10},
    {2048, 2048, 0, 11, 12},
    {1024, 2049, 0, 11, 12},
    {4096, 2048, 0, 12, 11},
    {2049, 2049, 0, 12, 12},
    {65536, 65537, 0, 16, 17},
    {1048576, 1048576, 0, 20, 20},
    {1048577, 1, -ERANGE, 0, 0},
    {1, SIZE_MAX, -ERANGE, 0, 0},
};

START_TEST(test_orders)
{
    struct ring_orders orders;

    ck_assert_int_eq(ring_orders_for(sizes[_i].read, sizes[_i].write, &orders), sizes[_i].rc);
    if (sizes[_i].rc == 0) {
        ck_assert_uint_eq(orders.read, sizes[_i].read_order);
        ck_assert_uint_eq(orders.write, sizes[_i].write_order);
        ck_assert(ring_orders_valid(orders.read, orders.write));
    }
}
END_TEST

START_TEST(test_orders_are_stable)
{
    struct ring_orders once, twice;

    for (size_t read = 1; read <= RING_SIZE_MAX; read *= 2) {
        for (size_t write = 1; write <= RING_SIZE_MAX; write *= 2) {
            ck_assert_int_eq(ring_orders_for(read, write, &once), 0);
            ck_assert_int_eq(
                ring_orders_for((size_t)1 << once.read, (size_t)1 << once.write, &twice), 0);
            ck_assert_mem_eq(&once, &twice, sizeof(once));
        }
    }
}
END_TEST

START_TEST(test_sound_orders)
{
    ck_assert(ring_orders_valid(10, 11));
    ck_assert(ring_orders_valid(20, 20));
    ck_assert(!ring_orders_valid(10, 10));
    ck_assert(!ring_orders_valid(11, 11));
    ck_assert(!ring_orders_valid(9, 12));
    ck_assert(!ring_orders_valid(12, 21));
    ck_assert(!ring_orders_valid(65535, 12));
}
END_TEST

static const struct {
    const char *text;
    uint32_t max;
    int rc;
    uint32_t value;
} numbers[] = {
    {"0", 0, 0, 0},
    {"65535", 65535, 0, 65535},
    {"65536", 65535, -ERANGE, 0},
    {"4294967295", UINT32_MAX, 0, UINT32_MAX},
    {"4294967296", UINT32_MAX, -ERANGE, 0},
    {"99999999999999999999999999999999", UINT32_MAX, -ERANGE, 0},
    {"99999999999999999999999999x", UINT32_MAX, -EINVAL, 0},
    {"", 9, -EINVAL, 0},
    {"-1", 9, -EINVAL, 0},
    {"+1", 9, -EINVAL, 0},
    {" 1", 9, -EINVAL, 0},
    {"1 ", 9, -EINVAL, 0},
    {"0x1", 9, -EINVAL, 0},
    {"abc", 9, -EINVAL, 0},
};

START_TEST(test_number)
{
    uint32_t value = 77;

    ck_assert_int_eq(parse_number(numbers[_i].text, numbers[_i].max, &value), numbers[_i].rc);
    ck_assert_uint_eq(value, numbers[_i].rc == 0 ? numbers[_i].value : 77);
}
END_TEST

static const struct {
    const char *path, *node;
    domid_t domid;
} paths[] = {
    {"/local/domain/0/name", "name", 0},
    {"/local/domain/32751/backend/vchan", "backend/vchan", 32751},
    {"/local/domain/5/", "", 5},
    {"/local/domain/5", NULL, 77},
    {"/local/domain/12abc/name", NULL, 77},
    {"/local/domain/+5/name", NULL, 77},
    {"/local/domain/ 5/name", NULL, 77},
    {"/local/domain//name", NULL, 77},
    {"/local/domain/65541/name", NULL, 77},       /* 5 in 16 bits */
    {"/local/domain/4294967301/name", NULL, 77},  /* in 32 */
    {"/local/domain/18446744073709551621/name", NULL, 77},
    {"/local/domainx/5/name", NULL, 77},
    {"/libxl/5/name", NULL, 77},
    {"@introduceDomain", NULL, 77},
    {"", NULL, 77},
};

START_TEST(test_path_in_domain)
{
    domid_t domid = 77;
    const char *node = store_path_in_domain(paths[_i].path, &domid);

    ck_assert_pstr_eq(node, paths[_i].node);
    ck_assert_uint_eq(domid, paths[_i].domid);
}
END_TEST

static const struct {
    const char *text, *clean;
} texts[] = {
    {"", ""},
    {"web ~", "web ~"},
    {"a\tb\r\nc\033[31m\177", "a?b??c?[31m?"},
    {"k\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x90\xa7", "k\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x90\xa7"},
    {"\xc2\xa0\xf4\x8f\xbf\xbf", "\xc2\xa0\xf4\x8f\xbf\xbf"},
    {"a\xc2\x9b[31m", "a??[31m"},           /* a C1 control character: CSI */
    {"latin-1 \xf6", "latin-1 ?"},           /* truncated at its end */
    {"\xe2\x82x\xc3", "??x?"},
    {"\x80\xc0\xaf\xe0\x80\xaf", "??????"}, /* overlong */
    {"\xed\xa0\x80\xf4\x90\x80\x80\xff", "????????"},
};

/* Two columns, then a character that takes two; needs a locale that knows such characters. */
START_TEST(test_text_is_fitted)
{
    char text[] = "a\xc3\xa9\xe6\xbc\xa2z";

    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
    ck_assert_int_eq(text_width(text), 5);
    text_fit(text, 5);
    ck_assert_str_eq(text, "a\xc3\xa9\xe6\xbc\xa2z");
    text_fit(text, 3);
    ck_assert_str_eq(text, "a\xc3\xa9");
    text_fit(text, 0);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(test_text_is_cleaned)
{
    char text[64];

    snprintf(text, sizeof(text), "%s", texts[_i].text);
    text_clean(text);
    ck_assert_str_eq(text, texts[_i].clean);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("device");

    tcase_add_test(tcase, test_names);
    tcase_add_test(tcase, test_paths_fit_at_their_longest);
    tcase_add_loop_test(tcase, test_orders, 0, (int)(sizeof(sizes) / sizeof(sizes[0])));
    tcase_add_test(tcase, test_orders_are_stable);
    tcase_add_test(tcase, test_sound_orders);
    tcase_add_loop_test(tcase, test_number, 0, (int)(sizeof(numbers) / sizeof(numbers[0])));
    tcase_add_loop_test(tcase, test_path_in_domain, 0, (int)(sizeof(paths) / sizeof(paths[0])));
    tcase_add_loop_test(tcase, test_text_is_cleaned, 0, (int)(sizeof(texts) / sizeof(texts[0])));
    tcase_add_test(tcase, test_text_is_fitted);
    return check_main("device", tcase);
}
