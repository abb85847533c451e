/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the vchan command that need no Xen: option values, a flow of bytes, names. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libpvchan/channels.h"
#include "cli/flow.h"
#include "cli/options.h"
#include "cli/stdio.h"
#include "state/seconds.h"
#include "state/size.h"
#include "tests/lib/check-main.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---- values ---- */

static const struct {
    const char *text;
    int rc;
    int ms;
} seconds[] = {
    {"10", 0, 10000},
    {"0", 0, 0},
    {"0.5", 0, 500},
    {"0.025", 0, 25},
    {"1.25", 0, 1250},
    {"inf", 0, -1},
    {"2147482", 0, 2147482000},
    {"", -EINVAL, 0},
    {".5", -EINVAL, 0},
    {"1.", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"1.-2", -EINVAL, 0},
    {"1s", -EINVAL, 0},
    {"0.1234", -EINVAL, 0},
    {"2147483", -EINVAL, 0},
    {"99999999999999999999", -EINVAL, 0},
    {" 1", -EINVAL, 0},
    {"1.2.3", -EINVAL, 0},
};

START_TEST(test_seconds)
{
    int ms = 77;

    ck_assert_int_eq(parse_seconds(seconds[_i].text, &ms), seconds[_i].rc);
    if (seconds[_i].rc == 0)
        ck_assert_int_eq(ms, seconds[_i].ms);
}
END_TEST

/* A printed duration can be parsed again, and is short. */
START_TEST(test_seconds_told)
{
    static const struct {
        int ms;
        const char *text;
    } told[] = {
        {10000, "10"}, {0, "0"},       {500, "0.5"}, {25, "0.025"},   {1, "0.001"},
        {-1, "inf"},   {1250, "1.25"}, {100, "0.1"}, {7001, "7.001"}, {2147482999, "2147482.999"},
    };

    for (size_t i = 0; i < COUNT(told); i++) {
        char text[SECONDS_TEXT_MAX];
        int ms;

        format_seconds(told[i].ms, text);
        ck_assert_str_eq(text, told[i].text);
        ck_assert_int_eq(parse_seconds(text, &ms), 0);
        ck_assert_int_eq(ms, told[i].ms);
    }
}
END_TEST

static const struct {
    const char *text;
    int rc;
    uint32_t bytes;
} sizes[] = {
    {"1", 0, 1},
    {"4096", 0, 4096},
    {"4K", 0, 4096},
    {"64k", 0, 65536},
    {"1M", 0, 1048576},
    {"1024K", 0, 1048576},
    {"1048576", 0, 1048576},
    {"1048577", -ERANGE, 0},
    {"1025K", -ERANGE, 0},
    {"2M", -ERANGE, 0},
    {"0", -EINVAL, 0},
    {"0K", -EINVAL, 0},
    {"K", -EINVAL, 0},
    {"", -EINVAL, 0},
    {"4G", -ERANGE, 0},
    {"-4K", -EINVAL, 0},
    {"4KK", -EINVAL, 0},
    {"4 K", -EINVAL, 0},
    {"99999999999999999999K", -ERANGE, 0},
    {"4T", -EINVAL, 0},
};

START_TEST(test_size)
{
    uint64_t bytes = 77;
    char text[SIZE_TEXT_MAX];

    ck_assert_int_eq(size_parse(sizes[_i].text, 1 << 20, &bytes), sizes[_i].rc);
    if (sizes[_i].rc == 0)
        ck_assert_uint_eq(bytes, sizes[_i].bytes);
    if (sizes[_i].rc < 0)
        return;
    size_format(bytes, text);
    ck_assert_int_eq(size_parse(text, 1 << 20, &bytes), 0);
    ck_assert_uint_eq(bytes, sizes[_i].bytes);
}
END_TEST

START_TEST(test_find)
{
    struct channel_view views[] = {
        {.name = "one", .peer = 1}, {.name = "two", .peer = 1}, {.name = "two", .peer = 2}};
    const struct channel_view *found;

    ck_assert_int_eq(channels_find(views, 3, "one", false, &found), 0);
    ck_assert_ptr_eq(found, &views[0]);
    ck_assert_int_eq(channels_find(views, 3, "2/two", false, &found), 0);
    ck_assert_ptr_eq(found, &views[2]);
    ck_assert_int_eq(channels_find(views, 3, "two", false, &found), -ENOTUNIQ);
    ck_assert_int_eq(channels_find(views, 3, "2/one", false, &found), -ENOENT);
    ck_assert_int_eq(channels_find(views, 3, "x/one", false, &found), -EINVAL);
    /* To open, channels that vchan-backend serves do not count. */
    ck_assert_int_eq(channels_find(views, 3, "one", true, &found), -EBUSY);
    views[2].for_program = true;
    ck_assert_int_eq(channels_find(views, 3, "two", true, &found), 0);
    ck_assert_ptr_eq(found, &views[2]);
    ck_assert(channels_name_valid("65535/a") == false);
    ck_assert(channels_name_valid("7/org.example.a"));
}
END_TEST

/* ---- flows ---- */

/* A source and a sink that answer as the test says. */
static ssize_t answer_take, answer_give;

static ssize_t take(void *arg, void *data, size_t size)
{
    (void)arg;
    if (answer_take > 0)
        memset(data, 'x', size < (size_t)answer_take ? size : (size_t)answer_take);
    return answer_take;
}

static ssize_t give(void *arg, const void *data, size_t size)
{
    (void)arg, (void)data;
    return answer_give > (ssize_t)size ? (ssize_t)size : answer_give;
}

static struct flow flow;

static void flow_set_up(void)
{
    memset(&flow, 0, sizeof(flow));
    flow.take = take;
    flow.give = give;
}

START_TEST(test_flow_in_pieces_to_the_end)
{
    answer_take = 10;
    ck_assert(flow_take(&flow));
    ck_assert(!flow_take(&flow)); /* first gives what is there */
    answer_give = 6;
    ck_assert(flow_give(&flow));
    ck_assert(flow_is_loaded(&flow));
    answer_give = -EAGAIN;
    ck_assert(!flow_give(&flow));
    answer_give = 6;
    ck_assert(flow_give(&flow));
    ck_assert(!flow_is_loaded(&flow) && !flow_is_over(&flow));
    answer_take = -EAGAIN;
    ck_assert(!flow_take(&flow));
    answer_take = 0;
    ck_assert(flow_take(&flow));
    ck_assert(flow_is_over(&flow));
    ck_assert(!flow_take(&flow) && !flow_give(&flow));
    ck_assert_int_eq(flow.take_error, 0);
}
END_TEST

START_TEST(test_flow_errors)
{
    answer_take = 10;
    ck_assert(flow_take(&flow));
    answer_give = -EPIPE;
    ck_assert(flow_give(&flow));
    ck_assert_int_eq(flow.give_error, -EPIPE);
    ck_assert(flow_is_over(&flow) && flow_is_loaded(&flow)); /* some bytes were not taken */
    ck_assert(!flow_take(&flow) && !flow_give(&flow));
    flow_set_up();
    answer_take = -ECONNRESET;
    ck_assert(flow_take(&flow));
    ck_assert(flow_is_over(&flow));
    ck_assert_int_eq(flow.take_error, -ECONNRESET);
}
END_TEST

/* ---- standard input and output ---- */

/* One pair of descriptors: nothing to read is -EAGAIN, while other users of it still block. */
static void try_pair(int reader, int writer)
{
    struct stdio in = stdio_open(reader, O_RDONLY), out = stdio_open(writer, O_WRONLY);
    char data[65536] = "";
    ssize_t rc;

    ck_assert_int_eq(stdio_read(&in, data, sizeof(data)), -EAGAIN);
    ck_assert_int_eq(stdio_write(&out, "abc", 3), 3);
    ck_assert_int_eq(stdio_read(&in, data, sizeof(data)), 3);
    while ((rc = stdio_write(&out, data, sizeof(data))) > 0)
        ;
    ck_assert_int_eq(rc, -EAGAIN);
    ck_assert_int_eq(fcntl(reader, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
    while ((rc = stdio_read(&in, data, sizeof(data))) > 0)
        ;
    stdio_close(&out);
    errno = 0;
    stdio_close(&out); /* closes nothing, not even a new file with that number */
    ck_assert_int_eq(errno, 0);
    ck_assert_int_eq(stdio_read(&in, data, sizeof(data)), 0);
    stdio_close(&in);
    ck_assert_int_eq(fcntl(reader, F_GETFL), -1);
}

START_TEST(test_pipe)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    try_pair(fds[0], fds[1]);
}
END_TEST

START_TEST(test_socket)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    try_pair(fds[0], fds[1]);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("command");

    tcase_add_checked_fixture(tcase, flow_set_up, NULL);
    tcase_add_loop_test(tcase, test_seconds, 0, COUNT(seconds));
    tcase_add_test(tcase, test_seconds_told);
    tcase_add_loop_test(tcase, test_size, 0, COUNT(sizes));
    tcase_add_test(tcase, test_find);
    tcase_add_test(tcase, test_flow_in_pieces_to_the_end);
    tcase_add_test(tcase, test_flow_errors);
    tcase_add_test(tcase, test_pipe);
    tcase_add_test(tcase, test_socket);
    return check_main("command", tcase);
}
