/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state/endpoint.h: what a backend asks of xenstore when its frontend plays with the page, and
 * which ring sizes of a frontend it accepts. The test plays xenstore and the rings.
 */
#include "state/endpoint.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check-main.h"
#include "state/endpoint-own.h"
#include "state/lock.h"

#define OWN "backend/vchan/5/0"

/* xenstore, and the rings. */
static struct {
    enum xenbus_state own, peer;
    unsigned int reads;
    bool restless; /* the frontend's state alternates between 1 and 6 at each look */
    unsigned int unfinished;
    unsigned int ports; /* how often event-channel was read */
    bool fickle;        /* it differs each time */
    uint32_t bound;
    bool died;
    unsigned int open;
    uint32_t ring; /* read-ring and write-ring; 0: missing */
    int error_rc;  /* of reading the frontend's error; 0: there is none */
    int peer_rc;   /* of reading the peer's domid, if not 0 */
    struct ring_orders granted;
    struct ring_orders most; /* the limit for which a backend maps */
    bool busy;         /* the rings come later */
    bool late;         /* another device replaces ours right before the next transaction */
    int map_error, adopt_error;
    unsigned int asked, released, offers, told_held;
} host;

/* ---- xenstore ---- */

static enum xenbus_state *state_in(const char *dir)
{
    return strcmp(dir, OWN) == 0 ? &host.own : &host.peer;
}

int store_read_state(struct store *store, const char *dir, enum xenbus_state *state)
{
    (void)store;
    host.reads++;
    if (host.restless && state_in(dir) == &host.peer)
        host.peer = host.own == XenbusStateInitWait ? XenbusStateClosed : XenbusStateInitialising;
    *state = *state_in(dir);
    return 0;
}

int store_write_state(struct store *store, const char *dir, enum xenbus_state state)
{
    (void)store;
    *state_in(dir) = state;
    return 0;
}

int store_read_number(struct store *store, const char *dir, const char *key, uint32_t max,
                      uint32_t *value)
{
    (void)store, (void)dir, (void)max;
    host.reads++;
    if (strcmp(key, "frontend-id") == 0 && host.peer_rc != 0)
        return host.peer_rc;
    if ((strstr(key, "-ring") && host.ring == 0) || strcmp(key, "streams") == 0)
        return -ENOENT;
    if (strcmp(key, "event-channel") == 0) {
        host.ports++;
        *value = host.fickle ? host.ports : 1;
        return 0;
    }
    *value = strcmp(key, "frontend-id") == 0 ? 5 : strstr(key, "-ring") ? host.ring : 1;
    return 0;
}

int store_write_number(struct store *store, const char *dir, const char *key, uint32_t value)
{
    if (strcmp(key, "state") == 0)
        store_write_state(store, dir, value);
    return 0;
}

int store_read_text(struct store *store, const char *dir, const char *key, char *text, size_t size)
{
    (void)store, (void)dir;
    if (strcmp(key, "error") == 0)
        return host.error_rc ? host.error_rc : -ENOENT;
    snprintf(text, size, "%s", strcmp(key, "name") == 0 ? "echo" : "/local/domain/5/device/vchan/0");
    return 0;
}

int store_write_device(struct store *store, const char *dir, const char *key, const char *text)
{
    (void)store, (void)dir, (void)text;
    host.offers += strcmp(key, "feature-reattach") == 0;
    return 0;
}

bool store_is_nothing(int rc)
{
    return rc == -ENOENT || rc == -EINVAL || rc == -ERANGE || rc == -EOVERFLOW;
}

int store_has(struct store *store, const char *dir, const char *key)
{
    (void)store, (void)dir;
    return strcmp(key, "state") == 0;
}

bool store_exists(struct store *store, const char *dir, const char *key)
{
    return store_has(store, dir, key) > 0;
}

int store_remove(struct store *store, const char *path)
{
    (void)store, (void)path;
    return 0;
}

int store_list_numbers(struct store *store, const char *dir, uint32_t max, uint32_t **numbers,
                       size_t *count)
{
    (void)store, (void)dir, (void)max;
    *numbers = NULL;
    *count = 0;
    return 0;
}

int store_own_domid(struct store *store, domid_t *domid)
{
    (void)store;
    *domid = 0;
    return 0;
}

int store_transaction(struct store *store, int (*fill)(struct store *store, void *arg), void *arg)
{
    if (host.late)
        host.own = host.peer = XenbusStateInitialising;
    host.late = false;
    return fill(store, arg);
}

int parse_number(const char *text, uint32_t max, uint32_t *value)
{
    *value = (uint32_t)strtoul(text, NULL, 10);
    return *value > max ? -ERANGE : 0;
}

int lock_side_take(off_t side)
{
    (void)side;
    return 0;
}

void lock_side_release(off_t side)
{
    (void)side;
}

/* ---- the rings ---- */

static int take_rings(int error)
{
    host.asked++;
    if (host.busy)
        return -EINPROGRESS;
    if (error < 0)
        return error;
    host.open++;
    return 0;
}

static int ring_map(struct rings *rings, domid_t peer, const struct rings_keys *keys,
                    const struct ring_orders *most)
{
    (void)rings, (void)peer;
    host.bound = keys->port;
    host.most = *most;
    return take_rings(host.map_error);
}

static int ring_adopt(struct rings *rings, domid_t peer, uint32_t ring_ref,
                      const struct ring_orders *most)
{
    (void)rings, (void)peer, (void)ring_ref, (void)most;
    return take_rings(host.adopt_error);
}

static int ring_grant(struct rings *rings, domid_t peer, const struct ring_orders *orders,
                      struct rings_keys *keys)
{
    (void)rings, (void)peer;
    *keys = (struct rings_keys){0};
    host.granted = *orders;
    return take_rings(0);
}

static void ring_release(struct rings *rings)
{
    (void)rings;
    host.released++;
    if (host.open > 0)
        host.open--;
}

static uint32_t ring_pages(const struct rings *rings)
{
    (void)rings;
    return 2;
}

static bool ring_peer_died(const struct rings *rings)
{
    (void)rings;
    return host.died;
}

static void ring_set_resumable(struct rings *rings, bool resumable)
{
    (void)rings, (void)resumable;
}

static void ring_note(struct rings *rings)
{
    (void)rings;
}

static const struct rings_ops ring_ops = {
    .grant = ring_grant,
    .map = ring_map,
    .adopt = ring_adopt,
    .release = ring_release,
    .pages = ring_pages,
    .peer_died = ring_peer_died,
    .peer_left = ring_peer_died,
    .set_resumable = ring_set_resumable,
    .set_ended = ring_note,
    .set_gone = ring_note,
};
static struct rings rings = {.ops = &ring_ops};

/* ---- */

static void signal_it(bool died)
{
    host.died = died;
    rings.fired(rings.arg);
}

/* A backend's side, brought to Connected. */
static struct endpoint *backend_connected(uint32_t ring)
{
    static const struct endpoint_ops ops = {0};
    struct endpoint *endpoint;

    memset(&host, 0, sizeof(host));
    host.ring = ring;
    host.own = host.peer = XenbusStateInitialising;
    ck_assert_int_eq(endpoint_open(NULL, &rings, MACHINE_BACKEND, OWN, &ops, NULL, &endpoint), 0);
    endpoint_look(endpoint);
    ck_assert_int_eq(host.own, XenbusStateInitWait);
    host.peer = XenbusStateInitialised;
    endpoint_look(endpoint);
    host.peer = XenbusStateConnected;
    endpoint_look(endpoint);
    ck_assert(endpoint_is_connected(endpoint));
    return endpoint;
}

/*
 * The ring's content cannot be delivered at once, and the frontend keeps dying and living
 * meanwhile.
 */
START_TEST(test_a_live_byte_that_flips_is_not_asked_about)
{
    struct endpoint *endpoint = backend_connected(4096);
    unsigned int reads;

    signal_it(true);
    reads = host.reads;
    for (int i = 0; i < 1000; i++)
        signal_it(i % 2);
    ck_assert_uint_eq(host.reads, reads);
    ck_assert_uint_eq(host.open, 1);
    endpoint_set_drained(endpoint);
    ck_assert_int_eq(host.own, XenbusStateClosed);
    ck_assert_uint_eq(host.open, 0);
    endpoint_close(endpoint);
}
END_TEST

/* A frontend that comes alive after everything was delivered must die once more. */
START_TEST(test_a_frontend_that_died_after_all_is_seen)
{
    struct endpoint *endpoint = backend_connected(4096);

    signal_it(true);
    signal_it(false);
    endpoint_set_drained(endpoint);
    ck_assert_int_eq(host.own, XenbusStateConnected);
    signal_it(true);
    ck_assert_int_eq(host.own, XenbusStateClosed);
    ck_assert_uint_eq(host.open, 0);
    endpoint_close(endpoint);
}
END_TEST

/* Another device in the place of one's own is left alone, and what was there is released. */
START_TEST(test_a_device_that_replaced_ours_is_left_alone)
{
    struct endpoint *endpoint = backend_connected(4096);

    host.own = host.peer = XenbusStateInitialising;
    endpoint_look(endpoint);
    ck_assert(!endpoint_present(endpoint));
    endpoint_set_drained(endpoint);
    ck_assert_uint_eq(host.open, 0);
    endpoint_look(endpoint);
    endpoint_close(endpoint);
    ck_assert_int_eq(host.own, XenbusStateInitialising);
}
END_TEST

/* Also one that came after the last look. */
START_TEST(test_a_device_that_replaces_ours_now_is_left_alone)
{
    struct endpoint *endpoint = backend_connected(4096);

    host.late = true;
    signal_it(true);
    endpoint_set_drained(endpoint);
    ck_assert(!host.late); /* it was about to write its state */
    ck_assert(!endpoint_present(endpoint));
    ck_assert_uint_eq(host.open, 0);
    endpoint_close(endpoint);
    ck_assert_int_eq(host.own, XenbusStateInitialising);
}
END_TEST

/* A frontend may use less than its toolstack declared, and never more. */
START_TEST(test_a_backend_maps_what_was_declared)
{
    struct endpoint *endpoint = backend_connected(16 * 1024);

    ck_assert_uint_eq(host.most.read, 14);
    ck_assert_uint_eq(host.most.write, 14);
    endpoint_close(endpoint);
    endpoint = backend_connected(0); /* as an older toolstack left it */
    ck_assert_uint_eq(host.most.read, 16);
    ck_assert_uint_eq(host.most.write, 16);
    endpoint_close(endpoint);
}
END_TEST

/* What an endpoint that is freed had as its peer (-Wl,--wrap=free). Check frees memory, too. */
static domid_t freed_peer;
static bool is_opening;

void __real_free(void *memory);
void __wrap_free(void *memory);
void __wrap_free(void *memory)
{
    if (is_opening)
        freed_peer = ((const struct endpoint *)memory)->peer;
    __real_free(memory);
}

/* What is not set before it is read is none of the values that it should be. */
__attribute__((noinline)) static void soil_stack(void)
{
    volatile unsigned char bytes[8192];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = 0xa5;
}

START_TEST(test_a_peer_that_cannot_be_read)
{
    static const struct endpoint_ops ops = {0};
    struct endpoint *endpoint;
    int rc;

    memset(&host, 0, sizeof(host));
    host.peer_rc = -EIO;
    soil_stack();
    is_opening = true;
    rc = endpoint_open(NULL, &rings, MACHINE_BACKEND, OWN, &ops, NULL, &endpoint);
    is_opening = false;
    ck_assert_int_eq(rc, -EIO);
    ck_assert_ptr_null(endpoint);
    ck_assert_uint_eq(freed_peer, STORE_NOBODY);
}
END_TEST

static const struct {
    int error_rc;
    bool well;
} ends[] = {{0, true}, {-EACCES, true}, {-ENOMEM, false}, {-EIO, false}, {-EOVERFLOW, false}};

/* A frontend whose error cannot be read may have written one: its end does not count as clean. */
START_TEST(test_an_end_is_clean_if_no_error_was_written)
{
    struct endpoint *endpoint = backend_connected(4096);

    host.error_rc = ends[_i].error_rc;
    host.peer = XenbusStateClosing;
    endpoint_look(endpoint);
    ck_assert(endpoint_ended_well(endpoint) == ends[_i].well);
    ck_assert_int_eq(endpoint_error(endpoint), ends[_i].well ? 0 : -ECONNRESET);
    endpoint_close(endpoint);
}
END_TEST

static void be_unfinished(void *arg)
{
    (void)arg;
    host.unfinished++;
}

START_TEST(test_what_is_left_to_do_is_not_forgotten)
{
    static const struct endpoint_ops ops = {.unfinished = be_unfinished};
    struct endpoint *endpoint;

    memset(&host, 0, sizeof(host));
    host.own = XenbusStateInitialising;
    host.restless = true;
    ck_assert_int_eq(endpoint_open(NULL, &rings, MACHINE_BACKEND, OWN, &ops, NULL, &endpoint), 0);
    endpoint_look(endpoint);
    ck_assert_uint_eq(host.unfinished, 1);
    host.restless = false;
    host.peer = XenbusStateInitialising;
    endpoint_look(endpoint);
    ck_assert_int_eq(host.own, XenbusStateInitWait);
    ck_assert_uint_eq(host.unfinished, 1);
    endpoint_close(endpoint);
}
END_TEST

START_TEST(test_a_port_is_read_once)
{
    static const struct endpoint_ops ops = {.reattaches = true};
    struct endpoint *endpoint;

    memset(&host, 0, sizeof(host));
    host.own = host.peer = XenbusStateConnected;
    host.fickle = true;
    ck_assert_int_eq(endpoint_open(NULL, &rings, MACHINE_BACKEND, OWN, &ops, NULL, &endpoint), 0);
    endpoint_look(endpoint);
    ck_assert(endpoint_is_connected(endpoint));
    ck_assert_uint_eq(host.ports, 1);
    ck_assert_uint_eq(host.bound, 1);
    endpoint_close(endpoint);
}
END_TEST

/* The sizes are read once, when the device is taken over; later changes are for its next life. */
START_TEST(test_sizes_that_change_are_not_believed)
{
    static const struct endpoint_ops ops = {0};
    struct endpoint *endpoint;

    memset(&host, 0, sizeof(host));
    host.own = host.peer = XenbusStateInitialising;
    host.ring = 4096;
    ck_assert_int_eq(endpoint_open(NULL, &rings, MACHINE_FRONTEND, OWN, &ops, NULL, &endpoint), 0);
    endpoint_look(endpoint);
    host.ring = RING_SIZE_MAX;
    host.peer = XenbusStateInitWait;
    endpoint_look(endpoint);
    ck_assert_int_eq(host.own, XenbusStateInitialised);
    ck_assert_uint_eq(host.granted.read, 12);
    ck_assert_uint_eq(host.granted.write, 12);
    endpoint_close(endpoint);
}
END_TEST

/* ---- rings that come later ---- */

static void count_held(void *arg)
{
    (void)arg;
    host.told_held++;
}

static const struct endpoint_ops later_ops = {.reattaches = true, .held = count_held};

/* A backend's side at these states, whose rings are in progress. */
static struct endpoint *backend_waiting(enum xenbus_state own, enum xenbus_state peer)
{
    struct endpoint *endpoint;

    memset(&host, 0, sizeof(host));
    host.own = own;
    host.peer = peer;
    ck_assert_int_eq(
        endpoint_open(NULL, &rings, MACHINE_BACKEND, OWN, &later_ops, NULL, &endpoint), 0);
    host.busy = true;
    endpoint_look(endpoint);
    ck_assert_uint_eq(host.told_held, 0);
    return endpoint;
}

static void let_it_have_rings(void)
{
    host.busy = false;
    signal_it(false);
}

START_TEST(test_rings_in_progress_are_asked_for_again)
{
    struct endpoint *endpoint = backend_waiting(XenbusStateInitialising, XenbusStateInitialised);

    ck_assert_int_eq(host.own, XenbusStateInitWait);
    ck_assert_uint_eq(host.asked, 1);
    signal_it(false);
    ck_assert_uint_eq(host.asked, 2);
    ck_assert_uint_eq(host.ports, 1); /* in the same words */
    ck_assert_int_eq(host.own, XenbusStateInitWait);
    let_it_have_rings();
    ck_assert_uint_eq(host.told_held, 1);
    endpoint_set_ready(endpoint);
    ck_assert_int_eq(host.own, XenbusStateConnected);
    endpoint_close(endpoint);
    ck_assert_uint_eq(host.open, 0);
}
END_TEST

START_TEST(test_rings_in_progress_are_given_up)
{
    struct endpoint *endpoint = backend_waiting(XenbusStateInitialising, XenbusStateInitialised);

    host.peer = XenbusStateInitialising; /* the frontend started over */
    endpoint_look(endpoint);
    ck_assert_uint_eq(host.released, 1);
    host.peer = XenbusStateInitialised;
    let_it_have_rings();
    endpoint_look(endpoint);
    ck_assert_uint_eq(host.told_held, 1);
    endpoint_close(endpoint);
}
END_TEST

START_TEST(test_rings_in_progress_end_with_the_endpoint)
{
    struct endpoint *endpoint = backend_waiting(XenbusStateInitialising, XenbusStateInitialised);

    endpoint_close(endpoint);
    ck_assert_uint_eq(host.released, 1);
}
END_TEST

START_TEST(test_a_backend_reattaches_later)
{
    struct endpoint *endpoint = backend_waiting(XenbusStateConnected, XenbusStateConnected);

    signal_it(false);
    ck_assert_uint_eq(host.offers, 1);
    ck_assert(!endpoint_resumed(endpoint));
    let_it_have_rings();
    ck_assert(endpoint_resumed(endpoint));
    ck_assert_uint_eq(host.told_held, 1);
    ck_assert_uint_eq(host.ports, 1);
    endpoint_close(endpoint);
}
END_TEST

/* ---- rings that are lost ---- */

static struct endpoint *backend_that_lost(void)
{
    struct endpoint *endpoint = backend_waiting(XenbusStateConnected, XenbusStateConnected);

    let_it_have_rings();
    endpoint_set_ready(endpoint);
    ck_assert_int_eq(host.own, XenbusStateConnected);
    host.open = 0;
    host.asked = 0;
    host.busy = true;
    endpoint_lose_rings(endpoint);
    return endpoint;
}

START_TEST(test_lost_rings_are_mapped_again)
{
    struct endpoint *endpoint = backend_that_lost();

    ck_assert_uint_eq(host.asked, 1);
    let_it_have_rings();
    ck_assert_uint_eq(host.asked, 2);
    ck_assert_uint_eq(host.open, 1);
    signal_it(false);
    ck_assert_uint_eq(host.asked, 2);
    ck_assert_int_eq(host.own, XenbusStateConnected);
    ck_assert_uint_eq(host.told_held, 1);
    endpoint_close(endpoint);
}
END_TEST

START_TEST(test_lost_rings_are_adopted)
{
    struct endpoint *endpoint = backend_that_lost();

    host.map_error = -EBUSY;
    let_it_have_rings();
    ck_assert_uint_eq(host.open, 1);
    ck_assert_int_eq(host.own, XenbusStateConnected);
    endpoint_close(endpoint);
}
END_TEST

START_TEST(test_lost_rings_that_are_gone_fail)
{
    struct endpoint *endpoint = backend_that_lost();

    host.map_error = -EBUSY;
    host.adopt_error = -EINVAL;
    let_it_have_rings();
    ck_assert_int_eq(endpoint_error(endpoint), -EINVAL);
    ck_assert_int_eq(host.own, XenbusStateClosed);
    ck_assert(!endpoint_is_connected(endpoint));
    endpoint_close(endpoint);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("endpoint");

    tcase_add_test(tcase, test_a_live_byte_that_flips_is_not_asked_about);
    tcase_add_test(tcase, test_a_frontend_that_died_after_all_is_seen);
    tcase_add_test(tcase, test_a_device_that_replaced_ours_is_left_alone);
    tcase_add_test(tcase, test_a_device_that_replaces_ours_now_is_left_alone);
    tcase_add_test(tcase, test_a_backend_maps_what_was_declared);
    tcase_add_test(tcase, test_a_peer_that_cannot_be_read);
    tcase_add_loop_test(tcase, test_an_end_is_clean_if_no_error_was_written, 0,
                        sizeof(ends) / sizeof(ends[0]));
    tcase_add_test(tcase, test_what_is_left_to_do_is_not_forgotten);
    tcase_add_test(tcase, test_a_port_is_read_once);
    tcase_add_test(tcase, test_sizes_that_change_are_not_believed);
    tcase_add_test(tcase, test_rings_in_progress_are_asked_for_again);
    tcase_add_test(tcase, test_rings_in_progress_are_given_up);
    tcase_add_test(tcase, test_rings_in_progress_end_with_the_endpoint);
    tcase_add_test(tcase, test_a_backend_reattaches_later);
    tcase_add_test(tcase, test_lost_rings_are_mapped_again);
    tcase_add_test(tcase, test_lost_rings_are_adopted);
    tcase_add_test(tcase, test_lost_rings_that_are_gone_fail);
    return check_main("endpoint", tcase);
}
