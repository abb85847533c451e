/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile guest: writes anything to its own nodes and pages, and connects in a loop. For
 * tests/sim/backend-hostile.sh, tests/sim/backend-quota.sh, tests/sim/backend-limits.sh,
 * tests/sim/agent-hostile.sh and bench/hostile.
 *
 *   hostile BACKEND DEVICES SEED [KIND [ROOT [ACTS]]]
 *
 * BACKEND is the domain id of the backend of its devices 0 to DEVICES-1. KIND is one of kinds[]
 * below, by default all of them. ROOT is the directory of its devices, by default device/vchan;
 * elsewhere it does the same without a backend. It runs until SIGTERM, or until it has written or
 * signalled ACTS times, and then prints what it did. It never waits long.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PAGE_SIZE 4096

/* The largest rings that a page can describe: two of order 20. */
#define LARGE_ORDER 20
#define LARGE_PAGES 512

static volatile sig_atomic_t stopped;
static uint64_t seed;
static unsigned long writes, connects, signals, acts_wanted = ULONG_MAX;
static unsigned long unheard; /* signals that nobody could receive; not counted as acts */
static const char *root = "device/vchan";

/* Its Xen handles, and the page that it currently shares. */
static struct {
    struct xs_handle *xs;
    xenevtchn_handle *events;
    xengntshr_handle *grants;
    uint32_t backend;
    uint8_t *page; /* or NULL */
    uint32_t ref;
    void *large; /* the rings' own pages, or NULL */
    xenevtchn_port_or_error_t port;
} guest;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* xorshift64*: the same seed gives the same harm. */
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

    snprintf(path, sizeof(path), "%s/%u%s%s", root, device, key[0] ? "/" : "", key);
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
    if (guest.large)
        xengntshr_unshare(guest.grants, guest.large, LARGE_PAGES);
    if (guest.port > 0)
        xenevtchn_unbind(guest.events, (evtchn_port_t)guest.port);
    guest.page = guest.large = NULL;
    guest.port = 0;
}

static void make_page(void)
{
    drop_page();
    guest.page = xengntshr_share_pages(guest.grants, guest.backend, 1, &guest.ref, 1);
    guest.port = xenevtchn_bind_unbound_port(guest.events, guest.backend);
}

/* Makes two small, valid rings in the page. */
static void make_sound(void)
{
    static const uint8_t header[24] = {[16] = 10, [18] = 11, [20] = 2, [21] = 1, [22] = 1};

    if (guest.page)
        memcpy(guest.page, header, sizeof(header));
}

/* Overwrites indices, orders, live bytes or grants with anything. */
static void garble(void)
{
    for (uint32_t i = pick(8); guest.page && i > 0; i--)
        guest.page[pick(pick(4) ? 24 : 64)] = (uint8_t)pick(256);
}

/* Waits briefly until the backend is in one of these states. */
static void await_state(unsigned int device, const char *one, const char *other, int tries)
{
    char path[128], *dir, *state;
    bool reached = false;

    snprintf(path, sizeof(path), "%s/%u/backend", root, device);
    dir = xs_read(guest.xs, XBT_NULL, path, NULL);
    snprintf(path, sizeof(path), "%s/state", dir ? dir : root);
    for (int try = 0; !reached && try < tries; try++) {
        state = xs_read(guest.xs, XBT_NULL, path, NULL);
        reached = state && (strcmp(state, one) == 0 || strcmp(state, other) == 0);
        free(state);
    }
    free(dir);
}

static void announce(unsigned int device)
{
    put(device, "state", "1");
    await_state(device, "2", "2", 20); /* most harm comes from what the backend believes */
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

/* Valid, but larger than any device of the test has declared. */
static void connect_largely(unsigned int device)
{
    uint32_t refs[LARGE_PAGES];

    make_page();
    make_sound();
    guest.large = xengntshr_share_pages(guest.grants, guest.backend, LARGE_PAGES, refs, 1);
    if (!guest.page || !guest.large)
        return;
    guest.page[16] = guest.page[18] = LARGE_ORDER;
    memcpy(guest.page + 24, refs, sizeof(refs));
    announce(device);
    await_state(device, "4", "6", 100000);
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

    snprintf(path, sizeof(path), "%s/%u", root, 1000 + device + pick(1000));
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

    snprintf(path, sizeof(path), "%s/%u/%s", root, device, keys[pick(3)]);
    if (xs_rm(guest.xs, XBT_NULL, path))
        writes++;
}

/* Plays the backend of ROOT, each time with another error text. */
static void make_offers(unsigned int device)
{
    static const char *const states[] = {"1", "2", "2", "4", "5", "6", "7"};
    char text[32];

    put_number(device, "feature-reattach", pick(2));
    snprintf(text, sizeof(text), "harm %" PRIu32, pick(UINT32_MAX));
    put(device, "error", text);
    put(device, "state", states[pick(sizeof(states) / sizeof(states[0]))]);
}

static void flip_states(unsigned int device)
{
    static const char *const states[] = {"1", "3", "4", "5", "6"};

    put(device, "state", states[pick(5)]);
}

/*
 * Whether the backend has mapped the page. If it does not come for seconds, or has gone, makes a
 * new page.
 */
static bool is_served(unsigned int device)
{
    static time_t last;
    time_t now = time(NULL);

    if (guest.page && guest.page[20] == 1)
        return true;
    if (!guest.page || guest.page[20] == 0 || now - last > 2) {
        connect_soundly(device);
        last = now;
    }
    return false;
}

static void storm(unsigned int device)
{
    bool served = is_served(0);

    (void)device;
    for (int i = 0; guest.port > 0 && i < 50; i++)
        if (xenevtchn_notify(guest.events, (evtchn_port_t)guest.port) == 0)
            *(served ? &signals : &unheard) += 1;
}

/* Sends bytes one by one, with a signal for each. */
static void trickle(unsigned int device)
{
    uint32_t *index;

    (void)device;
    if (!is_served(0))
        return;
    index = (uint32_t *)(void *)guest.page;
    for (int i = 0; i < 50; i++) {
        __atomic_store_n(&index[0], __atomic_load_n(&index[1], __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
        __atomic_store_n(&index[3], __atomic_load_n(&index[2], __ATOMIC_ACQUIRE) + 1,
                         __ATOMIC_RELEASE);
        if (xenevtchn_notify(guest.events, (evtchn_port_t)guest.port) == 0)
            signals++;
    }
}

#define HARM_MAX 9

/* A list ends with NULL. */
static const struct kind {
    const char *name;
    void (*harm[HARM_MAX + 1])(unsigned int device);
} kinds[] = {
    {"all",
     {connect_soundly, connect_badly, write_nonsense, write_nonsense, signal_often,
      write_where_nothing_is, remove_device_keys, flip_states, trickle}},
    {"states", {flip_states}},
    {"connects", {connect_soundly}},
    {"pages", {connect_badly, signal_often}},
    {"sizes", {connect_largely}},
    {"offers", {make_offers}},
    {"signals", {storm}},
    {"bytes", {trickle}},
    {"nodes", {write_nonsense, write_where_nothing_is, remove_device_keys}},
};

static const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static void do_harm(const struct kind *kind, unsigned int devices)
{
    uint32_t count = 0;

    while (kind->harm[count])
        count++;
    kind->harm[pick(count)](pick(devices));
}

static int open_all(void)
{
    guest.xs = xs_open(0);
    guest.events = xenevtchn_open(NULL, 0);
    guest.grants = xengntshr_open(NULL, 0);
    return guest.xs && guest.events && guest.grants ? 0 : -1;
}

/* Leaves its devices like a guest that starts over. */
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
    const struct kind *kind = kind_find(argc > 4 ? argv[4] : "all");
    unsigned int devices;

    if (argc < 4 || argc > 7 || !kind) {
        fprintf(stderr, "usage: hostile BACKEND DEVICES SEED [KIND [ROOT [ACTS]]]\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    guest.backend = (uint32_t)strtoul(argv[1], NULL, 10);
    devices = (unsigned int)strtoul(argv[2], NULL, 10);
    seed = strtoull(argv[3], NULL, 10) + 1;
    if (argc > 5)
        root = argv[5];
    if (argc > 6)
        acts_wanted = strtoul(argv[6], NULL, 10);
    if (open_all() < 0 || devices == 0) {
        fprintf(stderr, "hostile: cannot open xenstore or Xen: %s\n", strerror(errno));
        return 1;
    }
    while (!stopped && writes + signals < acts_wanted)
        do_harm(kind, devices);
    close_all(devices);
    printf("%lu writes, %lu connects, %lu signals\n", writes, connects, signals + unheard);
    return writes > 0 ? 0 : 1;
}
