/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The echo domain as a frontend (doc/protocol.md, "Life of a device"): unikernel/device.c with a
 * table as xenstore and a backend played by the test.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>

#include "state/xenbus.h"
#include "tests/lib/check-main.h"
#include "unikernel/channel.h"
#include "unikernel/console.h"
#include "unikernel/device.h"
#include "unikernel/event.h"
#include "unikernel/grant.h"
#include "unikernel/memory.h"
#include "unikernel/platform.h"
#include "unikernel/store.h"
#include "unikernel/text.h"

#define OWN  "device/vchan/3"
#define PEER "/local/domain/4/backend/vchan/7/3"

/* ---- a xenstore ---- */

static struct {
    char path[128];
    char text[256];
} nodes[64];

static int node_find(const char *path)
{
    for (int i = 0; i < 64; i++)
        if (strcmp(nodes[i].path, path) == 0)
            return i;
    return -1;
}

static const char *path_of(const char *dir, const char *key)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s%s%s", dir, key ? "/" : "", key ? key : "");
    return path;
}

static const char *value(const char *dir, const char *key)
{
    int i = node_find(path_of(dir, key));

    return i < 0 ? NULL : nodes[i].text;
}

int store_write_text(const char *dir, const char *key, const char *text)
{
    const char *path = path_of(dir, key);
    int i = node_find(path);

    if (i < 0)
        i = node_find("");
    ck_assert_int_ge(i, 0);
    snprintf(nodes[i].path, sizeof(nodes[i].path), "%s", path);
    snprintf(nodes[i].text, sizeof(nodes[i].text), "%s", text);
    return 0;
}

int store_remove(const char *dir, const char *key)
{
    int i = node_find(path_of(dir, key));

    if (i >= 0)
        nodes[i].path[0] = '\0';
    return 0;
}

int store_read_text(const char *dir, const char *key, char *text, size_t size)
{
    const char *there = value(dir, key);

    if (!there)
        return -ENOENT;
    return snprintf(text, size, "%s", there) < (int)size ? 0 : -EOVERFLOW;
}

int store_read_number(const char *dir, const char *key, uint32_t max, uint32_t *number)
{
    const char *there = value(dir, key);

    return there ? number_parse(there, max, number) : -ENOENT;
}

int store_read_state(const char *dir, enum xenbus_state *state)
{
    uint32_t number = XenbusStateUnknown;
    int rc = store_read_number(dir, "state", XenbusStateReconfigured, &number);

    *state = (enum xenbus_state)number;
    return rc == -ENOENT ? 0 : rc == 0 ? 0 : -EINVAL;
}

int store_write_number(const char *dir, const char *key, uint32_t number)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", number);
    return store_write_text(dir, key, text);
}

int store_list(const char *dir, void (*each)(const char *name))
{
    ck_assert_str_eq(dir, "device/vchan");
    if (value(OWN, "state"))
        each("3");
    return 0;
}

static char watched[256];

int store_watch(const char *path, const char *token)
{
    size_t length = strlen(watched);

    snprintf(watched + length, sizeof(watched) - length, "%s=%s ", token, path);
    return 0;
}

int store_transaction(int (*fill)(void *arg), void *arg)
{
    return fill(arg);
}

/* ---- memory, grants, ports, console ---- */

struct platform platform;
static unsigned int pages_out, ports, grants;
static void *granted[4096];
static char last_line[256];

void *page_alloc(unsigned int count)
{
    pages_out += count;
    return memset(aligned_alloc(PAGE_SIZE, count * PAGE_SIZE), 0, count * PAGE_SIZE);
}

void page_free(void *pages, unsigned int count)
{
    pages_out -= count;
    free(pages);
}

int grant_give(domid_t peer, const void *page, grant_ref_t *ref)
{
    ck_assert_uint_eq(peer, 4);
    granted[grants] = (void *)page;
    *ref = grants++;
    return 0;
}

static bool mapped;

bool grant_end(grant_ref_t ref)
{
    ck_assert_uint_lt(ref, grants);
    return !mapped;
}

int port_offer(domid_t peer, evtchn_port_t *port)
{
    ck_assert_uint_eq(peer, 4);
    *port = ++ports;
    return 0;
}

void port_close(evtchn_port_t port)
{
    ck_assert_uint_eq(port, ports);
    ports--;
}

void port_signal(evtchn_port_t port)
{
    ck_assert_uint_eq(port, ports);
}

bool port_fired(evtchn_port_t port)
{
    return port > 0; /* always, so that it looks at everything */
}

void console_line(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(last_line, sizeof(last_line), format, args);
    va_end(args);
}

/* ---- the other side ---- */

static struct ring_end backend;

static void plug(void)
{
    store_write_text(OWN, "backend", PEER);
    store_write_text(OWN, "backend-id", "4");
    store_write_text(OWN, "name", "echo");
    store_write_text(OWN, "read-ring", "4096");
    store_write_text(OWN, "write-ring", "4096");
    store_write_text(OWN, "state", "1");
    store_write_text(PEER, "online", "1");
    store_write_text(PEER, "state", "1");
    ck_assert_int_eq(devices_init(7), 0);
    ck_assert(devices_changed("device/vchan", "frontend"));
}

static void run(void)
{
    while (devices_run(false))
        ;
}

static void ticks(int count)
{
    while (count-- > 0)
        devices_run(true);
    run();
}

static void peer_moves(int state)
{
    store_write_number(PEER, "state", (uint32_t)state);
    ck_assert(devices_changed(PEER "/state", "backend"));
    run();
}

static void own_is(const char *state)
{
    ck_assert_ptr_nonnull(value(OWN, "state"));
    ck_assert_str_eq(value(OWN, "state"), state);
}

static void peer_joins(void)
{
    struct vchan_interface *page = granted[atoi(value(OWN, "ring-ref"))];
    struct ring_layout layout;

    ck_assert_int_eq(ring_layout_read(page, &layout), 0);
    ck_assert_int_eq(
        ring_join(&backend, page, &layout, granted[page->grants[0]], granted[page->grants[1]]), 0);
}

static void connect(void)
{
    peer_moves(2);
    own_is("3");
    ck_assert_str_eq(value(OWN, "event-channel"), "1");
    peer_joins();
    peer_moves(4);
    own_is("4");
}

static void peer_writes(const char *text)
{
    struct ring_span spans[2] = {{0}};

    ck_assert_int_ge(ring_writable(&backend.out, 100), 100);
    ring_spans(&backend.out, (uint32_t)strlen(text), spans);
    memcpy(spans[0].base, text, strlen(text));
    ring_produce(&backend.out, (uint32_t)strlen(text));
}

static void peer_reads(const char *text)
{
    struct ring_span spans[2] = {{0}};
    int bytes = ring_readable(&backend.in, 100);

    ck_assert_int_eq(bytes, strlen(text));
    ring_spans(&backend.in, (uint32_t)bytes, spans);
    ck_assert_mem_eq(spans[0].base, text, (size_t)bytes);
    ring_consume(&backend.in, (uint32_t)bytes);
}

static void nothing_left(void)
{
    ck_assert_ptr_null(value(OWN, "ring-ref"));
    ck_assert_ptr_null(value(OWN, "event-channel"));
    ck_assert_uint_eq(ports, 0);
    ck_assert_uint_eq(pages_out, 1); /* the device */
}

START_TEST(test_life)
{
    plug();
    run();
    own_is("1");
    ck_assert_str_eq(watched, "frontend=device/vchan backend=/local/domain/4/backend/vchan/7 ");
    connect();
    peer_writes("hello");
    run();
    peer_reads("hello");

    peer_writes("last"); /* half-close: what was written before is echoed */
    mapped = true;
    peer_moves(5);
    peer_reads("last");
    own_is("6");
    ck_assert_ptr_null(value(OWN, "error"));
    ck_assert(ring_peer_left(&backend));
    mapped = false;
    channels_reap();
    nothing_left();

    peer_moves(6); /* and again */
    ck_assert(devices_wait());
    own_is("6");
    ticks(1);
    own_is("1");
    ck_assert(!devices_wait());
    connect();
    devices_close();
    nothing_left();
}
END_TEST

START_TEST(test_unplugged)
{
    plug();
    run();
    connect();
    store_write_text(PEER, "online", "0");
    peer_moves(5);
    own_is("6");
    nothing_left();
    ck_assert(!devices_wait());
    store_remove(OWN, "state");
    ck_assert(devices_changed(OWN, "frontend"));
    run();
    ck_assert_uint_eq(pages_out, 0); /* forgotten */
    ck_assert_ptr_null(value(OWN, "state"));
}
END_TEST

/*
 * The backend's process died: the live byte is cleared, the state stays. The next one finds 4 and
 * 1, and offers.
 */
START_TEST(test_backend_dies)
{
    plug();
    run();
    connect();
    ring_leave(&backend);
    run();
    own_is("6");
    ck_assert_str_eq(value(OWN, "error"), "the backend's process died");
    nothing_left();
    ticks(1);
    own_is("6"); /* not that fast */
    ticks(20);
    own_is("1");
    peer_moves(6);
    connect();
    ck_assert_ptr_null(value(OWN, "error"));
}
END_TEST

START_TEST(test_backend_domain_dies)
{
    plug();
    run();
    connect();
    store_remove(PEER, "state");
    store_remove(PEER, "online");
    ck_assert(devices_changed(PEER, "backend"));
    run();
    own_is("6");
    ck_assert_ptr_nonnull(strstr(value(OWN, "error"), "is gone"));
    nothing_left();
    ticks(20);
    own_is("6"); /* no backend to start over with */
    ck_assert(!devices_wait());
}
END_TEST

START_TEST(test_backend_corrupts)
{
    plug();
    run();
    connect();
    backend.page->left.prod = 123456;
    run();
    own_is("6");
    ck_assert_str_eq(value(OWN, "error"), "the backend corrupted the ring");
    nothing_left();
}
END_TEST

START_TEST(test_backend_says_why)
{
    plug();
    run();
    peer_moves(2);
    own_is("3");
    store_write_text(PEER, "error", "no such socket");
    peer_moves(6);
    own_is("6");
    nothing_left();
}
END_TEST

/* Missing or invalid nodes: one line names the node, and nothing is granted. */
START_TEST(test_bad_nodes)
{
    static const struct {
        const char *key, *text, *said;
    } bad[] = {
        {"backend", NULL, "device/vchan/3/backend: ENOENT"},
        {"backend", "/local/domain/5/backend/vchan/7/3", "device/vchan/3/backend: EINVAL"},
        {"backend-id", "x", "device/vchan/3/backend-id: EINVAL"},
        {"backend-id", "40000", "device/vchan/3/backend-id: ERANGE"},
        {"read-ring", NULL, "device/vchan/3/read-ring: ENOENT"},
        {"read-ring", "2097152", "device/vchan/3/read-ring: ERANGE"},
        {"write-ring", "4K", "device/vchan/3/write-ring: EINVAL"},
    };

    plug();
    if (bad[_i].text)
        store_write_text(OWN, bad[_i].key, bad[_i].text);
    else
        store_remove(OWN, bad[_i].key);
    store_write_text(PEER, "state", "2");
    run();
    ck_assert_msg(strstr(last_line, bad[_i].said), "'%s' instead of '%s'", last_line, bad[_i].said);
    ck_assert_ptr_nonnull(value(OWN, "error"));
    ck_assert_uint_eq(grants, 0);
    own_is("1");
}
END_TEST

START_TEST(test_strange_events)
{
    plug();
    run();
    ck_assert(!devices_changed("device/vchan/3", "control"));
    ck_assert(devices_changed("device/vchan/x/state", "frontend"));
    ck_assert(devices_changed("device/vchan/70000", "frontend"));
    ck_assert(devices_changed("device/vchan/12/state", "frontend")); /* there is no such device */
    ck_assert(devices_changed("/local/domain/4", "backend"));
    run();
    ck_assert_uint_eq(pages_out, 1);
    ck_assert_str_eq(last_line, "");
    for (int state = 0; state < 12; state++)
        peer_moves(state == 2 ? 1 : state);
    own_is("1");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("unikernel-device");

    tcase_add_test(tcase, test_life);
    tcase_add_test(tcase, test_unplugged);
    tcase_add_test(tcase, test_backend_dies);
    tcase_add_test(tcase, test_backend_domain_dies);
    tcase_add_test(tcase, test_backend_corrupts);
    tcase_add_test(tcase, test_backend_says_why);
    tcase_add_loop_test(tcase, test_bad_nodes, 0, 7);
    tcase_add_test(tcase, test_strange_events);
    return check_main("unikernel-device", tcase);
}
