/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks that event channels of a simulated host behave like Xen's and Linux's. Run by
 * tests/sim/drivers.sh.
 */
#include "tests/lib/sim-domain.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sim/client.h"
#include "tests/lib/check-main.h"

#define MANY 3000

static uint32_t guest, other;

static void setup(void)
{
    guest = guest_id("GUEST");
    other = guest_id("OTHER");
}

START_TEST(many_ports_one_descriptor)
{
    static uint32_t ports[MANY];
    static bool seen[MANY * 8];
    xenevtchn_handle *server = evtchn_of(guest), *client = evtchn_of(0);

    for (int i = 0; i < MANY; i++) {
        int port = xenevtchn_bind_unbound_port(server, 0);

        ck_assert_int_gt(port, 0);
        port = xenevtchn_bind_interdomain(client, guest, (uint32_t)port);
        ck_assert_int_gt(port, 0);
        ports[i] = (uint32_t)port;
    }
    for (int i = 0; i < MANY; i++) {
        int port = xenevtchn_pending(client); /* each new binding is pending */

        ck_assert_int_gt(port, 0);
        ck_assert(!seen[port]);
        seen[port] = true;
        ck_assert_int_eq(xenevtchn_unmask(client, (uint32_t)port), 0);
    }
    evtchn_expect_none(client);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(xenevtchn_notify(client, ports[i]), 0);
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < MANY; i++) {
        int port = xenevtchn_pending(server);

        ck_assert_int_gt(port, 0);
        ck_assert(!seen[port]);
        seen[port] = true;
    }
    evtchn_expect_none(server);
    xenevtchn_close(client);
    xenevtchn_close(server);
}
END_TEST

START_TEST(events_coalesce_until_unmask)
{
    struct pair pair = pair_open(guest, 0);

    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(xenevtchn_notify(pair.client, pair.client_port), 0);
    ck_assert_int_eq(xenevtchn_pending(pair.server), (int)pair.server_port);
    evtchn_expect_none(pair.server);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(xenevtchn_notify(pair.client, pair.client_port), 0);
    evtchn_expect_none(pair.server); /* masked */
    ck_assert_int_eq(xenevtchn_unmask(pair.server, pair.server_port), 0);
    evtchn_expect(pair.server, pair.server_port);
    evtchn_expect_none(pair.server);
    pair_close(&pair);
}
END_TEST

START_TEST(binding_is_exclusive)
{
    struct pair pair = pair_open(guest, 0);
    xenevtchn_handle *second = evtchn_of(0), *stranger = evtchn_of(other);
    int port = xenevtchn_bind_unbound_port(pair.server, 0);

    evtchn_expect_none(pair.server);
    ck_assert_int_eq(xenevtchn_bind_interdomain(second, guest, pair.server_port), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_gt(port, 0);
    ck_assert_int_eq(xenevtchn_bind_interdomain(stranger, guest, (uint32_t)port), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(xenevtchn_bind_interdomain(second, 999, 1), -1);
    ck_assert_int_eq(errno, ESRCH);
    ck_assert_int_eq(xenevtchn_bind_interdomain(second, guest, 9999), -1);
    ck_assert_int_eq(errno, EINVAL);
    xenevtchn_close(second);
    xenevtchn_close(stranger);
    pair_close(&pair);
}
END_TEST

START_TEST(notify_needs_a_port_of_ones_own)
{
    struct pair pair = pair_open(guest, 0);
    xenevtchn_handle *second = evtchn_of(0);
    int port = xenevtchn_bind_unbound_port(pair.server, 0);

    ck_assert_int_eq(xenevtchn_notify(pair.server, (uint32_t)port), 0); /* unbound: dropped */
    ck_assert_int_eq(xenevtchn_notify(second, pair.client_port), -1);
    ck_assert_int_eq(errno, ENOTCONN);
    ck_assert_int_eq(xenevtchn_unbind(second, pair.client_port), -1);
    ck_assert_int_eq(errno, ENOTCONN);
    evtchn_expect_none(pair.server);
    xenevtchn_close(second);
    pair_close(&pair);
}
END_TEST

START_TEST(close_leaves_the_peer_unbound)
{
    struct pair pair = pair_open(guest, 0);
    int port;

    ck_assert_int_eq(xenevtchn_unbind(pair.client, pair.client_port), 0);
    evtchn_expect_none(pair.server);
    ck_assert_int_eq(xenevtchn_notify(pair.server, pair.server_port), 0);
    port = xenevtchn_bind_interdomain(pair.client, guest, pair.server_port);
    ck_assert_int_gt(port, 0);
    evtchn_expect(pair.client, (uint32_t)port);
    evtchn_expect_none(pair.client); /* events sent in between are gone */
    ck_assert_int_eq(xenevtchn_notify(pair.server, pair.server_port), 0);
    evtchn_expect(pair.client, (uint32_t)port);
    xenevtchn_close(pair.client);
    pair.client = evtchn_of(0);
    port = xenevtchn_bind_interdomain(pair.client, guest, pair.server_port);
    ck_assert_int_gt(port, 0);
    evtchn_expect(pair.client, (uint32_t)port);
    ck_assert_int_eq(xenevtchn_notify(pair.server, pair.server_port), 0);
    evtchn_expect(pair.client, (uint32_t)port);
    pair_close(&pair);
}
END_TEST

START_TEST(a_killed_process_lets_go)
{
    xenevtchn_handle *server = evtchn_of(guest);
    uint32_t server_port = (uint32_t)xenevtchn_bind_unbound_port(server, 0);
    struct victim victim;
    xenevtchn_handle *client;
    int port;

    if (victim_fork(&victim)) {
        client = evtchn_of(0);
        victim_wait(&victim, (uint32_t)xenevtchn_bind_interdomain(client, guest, server_port));
    }
    ck_assert_int_gt((int)victim_ready(&victim), 0);
    victim_kill(&victim);
    client = evtchn_of(0);
    port = xenevtchn_bind_interdomain(client, guest, server_port);
    ck_assert_msg(port > 0, "the dead still hold the port: %s", strerror(errno));
    evtchn_expect_none(server);
    xenevtchn_close(client);
    xenevtchn_close(server);
}
END_TEST

/* Opens the control memory as a handle of domain 0, and finds that handle's number. */
static struct sim_control *control_open(int *conn, uint32_t *index)
{
    struct sim_message message = {.op = SIM_EVTCHN_OPEN};
    int fds[2], nfds = 2;
    void *map;

    domain_be(0);
    *conn = sim_connect();
    ck_assert_int_ge(*conn, 0);
    ck_assert_int_eq(sim_send(*conn, &message, NULL, NULL, 0), 0);
    ck_assert_int_eq(sim_receive(*conn, &message, NULL, 0, fds, &nfds), 0);
    ck_assert_int_eq(nfds, 2);
    *index = message.arg[0];
    map = mmap(NULL, sizeof(struct sim_control), PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    return map;
}

/* Makes only the first steps of a notification. */
static void notify_partly(uint32_t server, uint32_t server_port, int steps)
{
    struct sim_message bind = {.op = SIM_BIND_INTERDOMAIN, .arg = {server, server_port}};
    uint32_t index;
    int conn;
    struct sim_control *control = control_open(&conn, &index);
    uint64_t peer = 0;

    ck_assert_int_eq(sim_call(conn, &bind), 0);
    for (uint32_t i = 0; i < SIM_PORTS && !peer; i++)
        if (atomic_load(&control->ports[i].handle) == index + 1) /* domain 0 has slot 0 */
            peer = atomic_load(&control->ports[i].peer);
    ck_assert(peer != 0);
    sim_intent_open(&control->handles[index], (uint32_t)peer - 1);
    if (steps > 0) {
        struct sim_port *port = &control->ports[(uint32_t)peer - 1];
        uint32_t handle = atomic_load(&port->handle);

        ck_assert(sim_port_pend(port, sim_generation(peer)));
        if (steps > 1)
            ck_assert(sim_handle_queue(&control->handles[handle - 1], server_port));
    }
}

START_TEST(a_notifier_dies_half_way)
{
    xenevtchn_handle *server = evtchn_of(guest);
    uint32_t port = (uint32_t)xenevtchn_bind_unbound_port(server, 0);
    struct victim victim;

    if (victim_fork(&victim)) {
        notify_partly(guest, port, _i);
        victim_wait(&victim, 0);
    }
    victim_ready(&victim);
    evtchn_expect_none(server); /* the notifier still owes an event */
    victim_kill(&victim);
    if (_i == 0) {
        evtchn_expect_none(server); /* not begun, so nothing is owed */
    } else {
        ck_assert(evtchn_readable(server, WAIT_MS));
        poll(NULL, 0, 50); /* give it time, so that the event is not delivered later */
        evtchn_expect(server, port);
        evtchn_expect_none(server);
    }
    xenevtchn_close(server);
}
END_TEST

/* The next user of a port number gets its own events, and no others. */
static void next_port_hears(xenevtchn_handle *server, uint32_t number)
{
    xenevtchn_handle *client = evtchn_of(0);
    int port = xenevtchn_bind_unbound_port(server, 0), own;

    ck_assert_int_eq(port, (int)number);
    own = xenevtchn_bind_interdomain(client, guest, number);
    ck_assert_int_gt(own, 0);
    evtchn_expect_none(server);
    ck_assert_int_eq(xenevtchn_notify(client, (uint32_t)own), 0);
    evtchn_expect(server, number);
    ck_assert_int_eq(xenevtchn_unbind(server, number), 0);
    xenevtchn_close(client);
}

START_TEST(a_notifier_dies_half_way_after_the_port)
{
    xenevtchn_handle *server = evtchn_of(guest);
    uint32_t port = (uint32_t)xenevtchn_bind_unbound_port(server, 0);
    struct victim victim;

    if (victim_fork(&victim)) {
        notify_partly(guest, port, 2);
        victim_wait(&victim, 0);
    }
    victim_ready(&victim);
    ck_assert_int_eq(xenevtchn_unbind(server, port), 0);
    victim_kill(&victim);
    next_port_hears(server, port);
    xenevtchn_close(server);
}
END_TEST

struct first {
    struct pair pair;
    atomic_int ready;
};

/* Both start at once: if one slept until the other is there, it would come too late. */
static void meet(struct first *first)
{
    atomic_fetch_add(&first->ready, 1);
    while (atomic_load(&first->ready) < 2)
        sched_yield();
}

static void *notify_first(void *arg)
{
    struct first *first = arg;

    meet(first);
    xenevtchn_notify(first->pair.client, first->pair.client_port);
    return NULL;
}

/* At its first event a handle asks for its peer's eventfd; the port may be gone by then. */
START_TEST(a_first_event_comes_as_the_port_goes)
{
    xenevtchn_handle *server = evtchn_of(guest);

    for (int i = 0; i < 500; i++) {
        struct first first = {.pair = {.server = server, .client = evtchn_of(0)}};
        uint32_t port = (uint32_t)xenevtchn_bind_unbound_port(server, 0);
        pthread_t thread;

        first.pair.client_port =
            (uint32_t)xenevtchn_bind_interdomain(first.pair.client, guest, port);
        ck_assert_int_eq(pthread_create(&thread, NULL, notify_first, &first), 0);
        meet(&first);
        ck_assert_int_eq(xenevtchn_unbind(server, port), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        xenevtchn_close(first.pair.client);
        while (xenevtchn_pending(server) >= 0)
            continue;
        next_port_hears(server, port);
    }
    xenevtchn_close(server);
}
END_TEST

/* A notification under way while its port is closed and reused reaches nobody. */
START_TEST(a_late_notifier_misses)
{
    struct pair pair = pair_open(guest, 0);
    uint32_t index;
    int conn;
    struct sim_control *control = control_open(&conn, &index);
    uint64_t peer = atomic_load(&control->ports[pair.client_port].peer);

    ck_assert(peer != 0);
    ck_assert_int_eq(xenevtchn_unbind(pair.server, pair.server_port), 0);
    ck_assert_int_eq(xenevtchn_bind_unbound_port(pair.server, 0), (int)pair.server_port);
    ck_assert(!sim_port_pend(&control->ports[(uint32_t)peer - 1], sim_generation(peer)));
    ck_assert_uint_eq(atomic_load(&control->ports[pair.client_port].peer), 0);
    close(conn);
    pair_close(&pair);
}
END_TEST

/* A peer in a process of its own is killed at random while it notifies. */
START_TEST(notifiers_killed_at_random)
{
    xenevtchn_handle *server = evtchn_of(guest);
    uint32_t port = (uint32_t)xenevtchn_bind_unbound_port(server, 0);

    for (int i = 0; i < 100; i++) {
        struct victim victim;

        if (victim_fork(&victim)) {
            xenevtchn_handle *client = evtchn_of(0);
            uint32_t number = (uint32_t)xenevtchn_bind_interdomain(client, guest, port);

            if (write(victim.pipe[1], &number, sizeof(number)) < 0)
                _exit(1);
            for (;;)
                xenevtchn_notify(client, number);
        }
        victim_ready(&victim);
        for (int events = 0; events <= i % 7; events++)
            evtchn_expect(server, port);
        victim_kill(&victim);
        while (evtchn_readable(server, 10))
            if (xenevtchn_pending(server) == (int)port)
                xenevtchn_unmask(server, port);
    }
    xenevtchn_close(server);
}
END_TEST

static int descriptors_count(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

START_TEST(closing_leaves_no_descriptor)
{
    int before = descriptors_count();

    for (int i = 0; i < 3; i++) {
        struct pair pair = pair_open(guest, 0);

        ck_assert_int_eq(xenevtchn_notify(pair.client, pair.client_port), 0);
        evtchn_expect(pair.server, pair.server_port);
        ck_assert_int_eq(xenevtchn_notify(pair.server, pair.server_port), 0);
        evtchn_expect(pair.client, pair.client_port);
        pair_close(&pair);
        ck_assert_int_eq(descriptors_count(), before);
    }
}
END_TEST

START_TEST(speed)
{
    struct pair pair = pair_open(guest, 0);
    struct timespec start, end;
    const int rounds = 100000;
    int taken = 0;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < rounds; i++) {
        xenevtchn_notify(pair.client, pair.client_port);
        taken += xenevtchn_pending(pair.server) == (int)pair.server_port;
        xenevtchn_unmask(pair.server, pair.server_port);
    }
    ck_assert_int_eq(taken, rounds);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("notify+pending+unmask: %.0f ns\n",
           ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
               rounds);
    pair_close(&pair);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("evtchn");

    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, many_ports_one_descriptor);
    tcase_add_test(tcase, events_coalesce_until_unmask);
    tcase_add_test(tcase, binding_is_exclusive);
    tcase_add_test(tcase, notify_needs_a_port_of_ones_own);
    tcase_add_test(tcase, close_leaves_the_peer_unbound);
    tcase_add_test(tcase, a_killed_process_lets_go);
    tcase_add_loop_test(tcase, a_notifier_dies_half_way, 0, 3);
    tcase_add_test(tcase, a_notifier_dies_half_way_after_the_port);
    tcase_add_test(tcase, a_first_event_comes_as_the_port_goes);
    tcase_add_test(tcase, a_late_notifier_misses);
    tcase_add_test(tcase, notifiers_killed_at_random);
    tcase_add_test(tcase, closing_leaves_no_descriptor);
    tcase_add_test(tcase, speed);
    return check_main("sim-evtchn", tcase);
}
