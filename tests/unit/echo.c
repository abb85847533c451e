/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vchan echo: how a channel's error determines the exit code. The test replaces libpvchan. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli/command.h"
#include "tests/lib/check-main.h"

static char memory[16];
static void *data;
static int error; /* the result of pvchan_commit() */

#define GROUP   ((struct pvchan_group *)memory)
#define CHANNEL ((struct pvchan *)&memory[1])

int pvchan_group_open(unsigned int flags, struct pvchan_group **group)
{
    ck_assert_uint_eq(flags, 0);
    *group = GROUP;
    return 0;
}

void pvchan_group_close(struct pvchan_group *group)
{
    ck_assert_ptr_eq(group, GROUP);
}

int pvchan_group_wait(struct pvchan_group *group, struct pvchan_event *events, int count,
                      int timeout_ms)
{
    (void)group, (void)timeout_ms;
    ck_assert_int_ge(count, 1);
    events[0] = (struct pvchan_event){.handle = CHANNEL, .events = PVCHAN_READABLE};
    return 1;
}

int pvchan_group_add_channel(struct pvchan_group *group, const char *name, int timeout_ms,
                   unsigned int flags, struct pvchan **channel)
{
    (void)group, (void)name, (void)timeout_ms;
    ck_assert_uint_eq(flags, 0);
    *channel = CHANNEL;
    return 0;
}

void pvchan_close(struct pvchan *channel)
{
    ck_assert_ptr_eq(channel, CHANNEL);
}

enum pvchan_state pvchan_state(const struct pvchan *channel)
{
    (void)channel;
    return PVCHAN_STATE_CONNECTED;
}

void pvchan_set_user_data(struct pvchan *channel, void *to)
{
    (void)channel;
    data = to;
}

void *pvchan_user_data(const struct pvchan *channel)
{
    (void)channel;
    return data;
}

static ssize_t give_byte(struct iovec spans[2])
{
    spans[0] = (struct iovec){.iov_base = &memory[2], .iov_len = 1};
    spans[1] = (struct iovec){0};
    return 1;
}

ssize_t pvchan_peek(struct pvchan *channel, size_t enough, struct iovec spans[2])
{
    (void)channel, (void)enough;
    return give_byte(spans);
}

ssize_t pvchan_reserve(struct pvchan *channel, size_t enough, struct iovec spans[2])
{
    (void)channel, (void)enough;
    return give_byte(spans);
}

int pvchan_consume(struct pvchan *channel, size_t bytes)
{
    (void)channel, (void)bytes;
    return 0;
}

int pvchan_commit(struct pvchan *channel, size_t bytes)
{
    (void)channel, (void)bytes;
    return error;
}

static const struct {
    int error, code;
} ends[] = {
    {-EPROTO, EXIT_CORRUPT},
    {-EPIPE, EXIT_PEER},
    {-ECONNRESET, EXIT_PEER},
    {-EINVAL, EXIT_LOCAL},
};

START_TEST(ends_with_what_the_channel_failed_with)
{
    const struct options options = {.target = TARGET_NAMED, .timeout_ms = -1};
    char *words[] = {"name", NULL};
    int null = open("/dev/null", O_WRONLY);

    dup2(null, STDERR_FILENO);
    error = ends[_i].error;
    ck_assert_int_eq(echo_run(&options, 1, words), ends[_i].code);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("echo");

    tcase_add_loop_test(tcase, ends_with_what_the_channel_failed_with, 0,
                        sizeof(ends) / sizeof(ends[0]));
    return check_main("echo", tcase);
}
