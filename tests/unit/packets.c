/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/packets.h: what is still received after the other side has closed its end. */
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/packets.h"
#include "tests/lib/check-main.h"

/* The kernel reports a reset before the last packet, if the other side has left one unread. */
START_TEST(test_the_last_packet_comes_after_a_reset)
{
    struct packets_fds fds;
    bool with_fds = _i;
    int pair[2];
    char packet;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(packets_send(pair[0], "u", 1, NULL, 0), 0); /* which stays unread */
    ck_assert_int_eq(packets_send(pair[1], "l", 1, NULL, 0), 0);
    close(pair[1]);
    for (int i = 0; i < 2; i++) {
        ssize_t got = with_fds ? packets_receive(pair[0], &packet, 1, &fds)
                               : packets_receive_bytes(pair[0], &packet, 1);

        ck_assert_int_eq(got, i == 0 ? 1 : 0);
    }
    ck_assert_int_eq(packet, 'l');
    close(pair[0]);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("packets");

    tcase_add_loop_test(tcase, test_the_last_packet_comes_after_a_reset, 0, 2);
    return check_main("packets", tcase);
}
