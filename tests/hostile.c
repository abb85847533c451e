/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that does harm: writes what it likes to its own nodes and pages, and connects in a loop. For
 * tests/sim-backend-hostile.sh and bench/hostile.
 *
 *   hostile BACKEND DEVICES SEED
 *
 * BACKEND is the domain id of the backend of its devices 0 to DEVICES-1. It goes on until SIGTERM, then says
 * what it did. It never waits for anybody for long.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PAGE_SIZE 4096

static volatile sig_atomic_t stopped;
static uint64_t seed;
static unsigned long writes, connects, signals;

/* What it has of Xen, and the page that it shares at the moment. */
static struct {
    struct xs_handle *xs;
    xenevtchn_handle *events;
    xengntshr_handle *grants;
    uint32_t backend;
    uint8_t *page; /* or NULL */
    uint32_t ref;
    xenevtchn_port_or_error_t port;
} guest;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* xorshift64*: the same harm for the same seed. */
static uint32_t pick(uint32_t count)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)((seed * UINT64_C(2685821657736338717)) >> 33) % count;
}

static void put(unsigned int device, const char *key, const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), "device/vchan/%u%s%s", device, key[0] ? "/" : "", key);
    if (xs_write(guest.xs, XBT_NULL, path, value, (unsigned int)strlen(value)))
        writes++;
}

static void put_number(unsigned int device, const char *key, uint32_t value)
{
    char text[16];

    snprintf(text, sizeof(text), "%" PRIu32, value);
    put(device, key, text);
}

/* ---- the harm ---- */

static void drop_page(void)
{
    if (guest.page)
        xengntshr_unshare(guest.grants, guest.page, 1);
    if (guest.port > 0)
        xenevtchn_unbind(guest.events, (evtchn_port_t)guest.port);
    guest.page = NULL;
    guest.port = 0;
}

static void make_page(void)
{
    drop_page();
    guest.page = xengntshr_share_pages(guest.grants, guest.backend, 1, &guest.ref, 1);
    guest.port = xenevtchn_bind_unbound_port(guest.events, guest.backend);
}

/* Two small rings in the page, as they should be. */
static void make_sound(void)
{
    static const uint8_t header[24] = {[16] = 10, [18] = 11, [20] = 2, [21] = 1, [22] = 1};

    if (guest.page)
        memcpy(guest.page, header, sizeof(header));
}

/* Indices, orders, live bytes, grants: anything. */
static void garble(void)
{
    for (uint32_t i = pick(8); guest.page && i > 0; i--)
        guest.page[pick(pick(4) ? 24 : 64)] = (uint8_t)pick(256);
}

static void announce(unsigned int device)
{
    put(device, "state", "1");
    put_number(device, "ring-ref", guest.ref);
    put_number(device, "event-channel", (uint32_t)guest.port);
    put(device, "state", "3");
    connects++;
}

static void connect_soundly(unsigned int device)
{
    make_page();
    make_sound();
    announce(device);
}

static void connect_badly(unsigned int device)
{
    make_page();
    if (pick(2))
        make_sound();
    garble();
    announce(device);
}

static void write_nonsense(unsigned int device)
{
    static const char *const keys[] = {"",     "state",    "state", "ring-ref", "event-channel",
                                       "name", "error",    "x/y/z", "backend",  "backend-id",
                                       "read-ring"};
    static const char *const values[] = {"",  "0",   "1",  "2",          "3",  "4",   "5", "6",
                                         "7", "8",   "9",  "4294967297", "-1", "abc", "1 ",
                                         "/local/domain/0/backend/vchan/0/0"};

    put(device, keys[pick(sizeof(keys) / sizeof(keys[0]))],
        values[pick(sizeof(values) / sizeof(values[0]))]);
}

static void write_where_nothing_is(unsigned int device)
{
    char path[64];

    snprintf(path, sizeof(path), "device/vchan/%u", 1000 + device + pick(1000));
    if (xs_write(guest.xs, XBT_NULL, path, "", 0))
        writes++;
}

static void signal_often(unsigned int device)
{
    (void)device;
    for (int i = 0; guest.port > 0 && i < 50; i++) {
        garble();
        if (xenevtchn_notify(guest.events, (evtchn_port_t)guest.port) == 0)
            signals++;
    }
}

static void remove_device_keys(unsigned int device)
{
    static const char *const keys[] = {"state", "ring-ref", "event-channel"};
    char path[64];

    snprintf(path, sizeof(path), "device/vchan/%u/%s", device, keys[pick(3)]);
    if (xs_rm(guest.xs, XBT_NULL, path))
        writes++;
}

static void do_harm(unsigned int devices)
{
    static void (*const harm[])(unsigned int device) = {
        connect_soundly, connect_badly,          write_nonsense,     write_nonsense,
        signal_often,    write_where_nothing_is, remove_device_keys,
    };

    harm[pick(sizeof(harm) / sizeof(harm[0]))](pick(devices));
}

static int open_all(void)
{
    guest.xs = xs_open(0);
    guest.events = xenevtchn_open(NULL, 0);
    guest.grants = xengntshr_open(NULL, 0);
    return guest.xs && guest.events && guest.grants ? 0 : -1;
}

/* Leaves its devices as a guest that starts over would. */
static void close_all(unsigned int devices)
{
    drop_page();
    for (unsigned int i = 0; i < devices; i++)
        put(i, "state", "6");
    xengntshr_close(guest.grants);
    xenevtchn_close(guest.events);
    xs_close(guest.xs);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    unsigned int devices;

    if (argc != 4) {
        fprintf(stderr, "usage: hostile BACKEND DEVICES SEED\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    guest.backend = (uint32_t)strtoul(argv[1], NULL, 10);
    devices = (unsigned int)strtoul(argv[2], NULL, 10);
    seed = strtoull(argv[3], NULL, 10) + 1;
    if (open_all() < 0 || devices == 0) {
        fprintf(stderr, "hostile: cannot open xenstore or Xen: %s\n", strerror(errno));
        return 1;
    }
    while (!stopped)
        do_harm(devices);
    close_all(devices);
    printf("%lu writes, %lu connects, %lu signals\n", writes, connects, signals);
    return writes > 0 && connects > 0 && signals > 0 ? 0 : 1;
}
