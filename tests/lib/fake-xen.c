/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/fake-xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vchan/barrier.h"

#define FIRST_REF 8u
#define PORTS     32u
#define AREAS     16u

struct xen {
    int unused;
};

struct port {
    bool open;
    bool local; /* it belongs to a struct xen; the others are the test's */
    bool pending;
    unsigned int other; /* 0: unbound */
};

struct area {
    uint8_t *base; /* NULL: free */
    uint32_t count;
    uint32_t first; /* 0: its pages are not contiguous */
    int prot;
    uint32_t notify_offset;
    evtchn_port_t notify_port; /* 0: no unmap-notify */
};

static struct {
    int memory; /* a file of FAKE_PAGES pages */
    uint8_t *pages;
    unsigned int taken;
    struct port ports[PORTS]; /* 0 is none */
    struct area areas[AREAS];
    bool keeps_mappings;
    struct area spares[AREAS]; /* unmapped, but kept for the next caller that maps the same pages */
    unsigned int fail_after;
    int fail_error;
} machine;

static void die(const char *what)
{
    perror(what);
    exit(99);
}

static void boot(void)
{
    machine.memory = memfd_create("pages", MFD_CLOEXEC);
    if (machine.memory < 0 || ftruncate(machine.memory, FAKE_PAGES * FAKE_PAGE) < 0)
        die("fake-xen: memfd");
    machine.pages =
        mmap(NULL, FAKE_PAGES * FAKE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, machine.memory, 0);
    if (machine.pages == MAP_FAILED)
        die("fake-xen: mmap");
}

void fake_reset(void)
{
    if (!machine.pages)
        boot();
    if (machine.taken > 8 && fallocate(machine.memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                       0, machine.taken * FAKE_PAGE) < 0)
        die("fake-xen: fallocate");
    if (machine.taken <= 8)
        memset(machine.pages, 0, machine.taken * FAKE_PAGE);
    machine.taken = 0;
    memset(machine.ports, 0, sizeof(machine.ports));
    memset(machine.areas, 0, sizeof(machine.areas));
    fake_fail(0, 0);
}

struct xen *fake_xen_make(void)
{
    struct xen *xen = calloc(1, sizeof(*xen));

    if (!xen)
        die("fake-xen");
    return xen;
}

void fake_xen_free(struct xen *xen)
{
    free(xen);
}

/* ---- failures ---- */

void fake_fail(unsigned int after, int error)
{
    machine.fail_after = after;
    machine.fail_error = error;
}

static bool fails(void)
{
    if (machine.fail_error == 0 || machine.fail_after-- > 0)
        return false;
    errno = machine.fail_error;
    machine.fail_error = 0;
    return true;
}

/* ---- pages ---- */

uint32_t fake_grant(unsigned int count)
{
    uint32_t ref = machine.taken + FIRST_REF;

    if (count > FAKE_PAGES - machine.taken)
        return 0;
    machine.taken += count;
    return ref;
}

uint8_t *fake_page(uint32_t ref)
{
    if (ref < FIRST_REF || ref - FIRST_REF >= machine.taken)
        return NULL;
    return machine.pages + (ref - FIRST_REF) * FAKE_PAGE;
}

static struct area *free_area(void)
{
    for (unsigned int i = 0; i < AREAS; i++)
        if (!machine.areas[i].base)
            return &machine.areas[i];
    die("fake-xen: too many areas");
    return NULL;
}

/* Maps contiguous pages at once: a ring of 1 MiB takes one call, not 256. */
static uint32_t run_length(const uint32_t *refs, uint32_t count)
{
    uint32_t length = 1;

    while (length < count && refs[length] == refs[0] + length)
        length++;
    return length;
}

/* Takes a spare mapping of exactly these pages, or returns NULL. */
static uint8_t *take_spare(uint32_t first, uint32_t count, int prot)
{
    for (unsigned int i = 0; i < AREAS; i++) {
        struct area *spare = &machine.spares[i];

        if (spare->base && spare->first == first && spare->count == count && spare->prot == prot) {
            uint8_t *base = spare->base;

            spare->base = NULL;
            return base;
        }
    }
    return NULL;
}

static bool keep_spare(const struct area *area)
{
    for (unsigned int i = 0; machine.keeps_mappings && area->first && i < AREAS; i++)
        if (!machine.spares[i].base) {
            machine.spares[i] = *area;
            return true;
        }
    return false;
}

void fake_keep_mappings(void)
{
    machine.keeps_mappings = true;
}

static uint8_t *map_refs(const uint32_t *refs, uint32_t count, int prot)
{
    size_t bytes = (size_t)(count + 2) * FAKE_PAGE; /* + 2: a guard page at each end */
    uint8_t *base =
        mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        die("fake-xen: guard");
    base += FAKE_PAGE;
    for (uint32_t i = 0, run; i < count; i += run) {
        run = run_length(refs + i, count - i);
        if (mmap(base + i * FAKE_PAGE, run * FAKE_PAGE, prot, MAP_SHARED | MAP_FIXED,
                 machine.memory, (off_t)(refs[i] - FIRST_REF) * FAKE_PAGE) == MAP_FAILED)
            die("fake-xen: map");
    }
    return base;
}

static void *add_area(const uint32_t *refs, uint32_t count, int prot, uint32_t notify_offset,
                      evtchn_port_t notify_port)
{
    struct area *area = free_area();
    uint32_t first = run_length(refs, count) == count ? refs[0] : 0;
    uint8_t *spare = take_spare(first, count, prot);

    *area = (struct area){.base = spare ? spare : map_refs(refs, count, prot),
                          .count = count,
                          .first = first,
                          .prot = prot,
                          .notify_offset = notify_offset,
                          .notify_port = notify_port};
    return area->base;
}

static struct area *find_area(const uint8_t *address)
{
    for (unsigned int i = 0; i < AREAS; i++) {
        struct area *area = &machine.areas[i];

        if (area->base && address >= area->base && address < area->base + area->count * FAKE_PAGE)
            return area;
    }
    return NULL;
}

uint8_t *fake_area(const void *address, uint32_t *bytes)
{
    struct area *area = find_area(address);

    if (!area)
        return NULL;
    *bytes = area->count * FAKE_PAGE;
    return area->base;
}

static void signal_other(evtchn_port_t port)
{
    struct port *other = &machine.ports[machine.ports[port].other];

    if (other != &machine.ports[0])
        other->pending = true;
}

/* The kernel's part: clears the byte, then signals the port, then unmaps the page. */
static int drop_area(void *base, uint32_t count)
{
    struct area *area = find_area(base);

    if (!area || area->base != base || area->count != count) {
        fprintf(stderr, "fake-xen: gives back %u pages that it does not hold\n", count);
        abort();
    }
    if (area->notify_port) {
        store_release(area->base + area->notify_offset, 0);
        shared_access(SHARED_CALL, NULL, 0, 0);
        signal_other(area->notify_port);
    }
    if (!keep_spare(area))
        munmap(area->base - FAKE_PAGE, (size_t)(count + 2) * FAKE_PAGE);
    area->base = NULL;
    return 0;
}

static void *share(uint32_t *refs, uint32_t count, uint32_t notify_offset,
                   evtchn_port_t notify_port)
{
    uint32_t first = fails() ? 0 : fake_grant(count);

    if (first == 0) {
        errno = errno ? errno : ENOSPC;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        refs[i] = first + i;
    return add_area(refs, count, PROT_READ | PROT_WRITE, notify_offset, notify_port);
}

void *xengntshr_share_pages(xengntshr_handle *handle, uint32_t domid, int count, uint32_t *refs,
                            int writable)
{
    (void)handle, (void)domid, (void)writable;
    return share(refs, (uint32_t)count, 0, 0);
}

void *xengntshr_share_page_notify(xengntshr_handle *handle, uint32_t domid, uint32_t *ref,
                                  int writable, uint32_t notify_offset, evtchn_port_t notify_port)
{
    (void)handle, (void)domid, (void)writable;
    return share(ref, 1, notify_offset, notify_port);
}

int xengntshr_unshare(xengntshr_handle *handle, void *base, uint32_t count)
{
    (void)handle;
    return drop_area(base, count);
}

static void *map(const uint32_t *refs, uint32_t count, int prot, uint32_t notify_offset,
                 evtchn_port_t notify_port)
{
    if (fails())
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!fake_page(refs[i])) {
            errno = EINVAL;
            return NULL;
        }
    }
    return add_area(refs, count, prot, notify_offset, notify_port);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *handle, uint32_t count, uint32_t domid,
                                      uint32_t *refs, int prot)
{
    (void)handle, (void)domid;
    return map(refs, count, prot, 0, 0);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *handle, uint32_t domid, uint32_t ref,
                                     int prot, uint32_t notify_offset, evtchn_port_t notify_port)
{
    (void)handle, (void)domid;
    return map(&ref, 1, prot, notify_offset, notify_port);
}

int xengnttab_unmap(xengnttab_handle *handle, void *base, uint32_t count)
{
    (void)handle;
    return drop_area(base, count);
}

/* Only passed on to the calls above, which ignore it. */
xengntshr_handle *xen_granting(struct xen *xen, int *rc)
{
    *rc = fails() ? -errno : 0;
    return *rc ? NULL : (xengntshr_handle *)xen;
}

xengnttab_handle *xen_mapping(struct xen *xen, int *rc)
{
    *rc = fails() ? -errno : 0;
    return *rc ? NULL : (xengnttab_handle *)xen;
}

/* ---- ports ---- */

static evtchn_port_t open_port(bool local, evtchn_port_t other)
{
    for (evtchn_port_t port = 1; port < PORTS; port++) {
        if (machine.ports[port].open)
            continue;
        machine.ports[port] = (struct port){.open = true, .local = local, .other = other};
        machine.ports[other].other = port;
        return port;
    }
    die("fake-xen: too many ports");
    return 0;
}

evtchn_port_t fake_offer(void)
{
    return open_port(false, 0);
}

int xen_offer_port(struct xen *xen, uint32_t peer, struct xen_port *port)
{
    (void)xen, (void)peer;
    if (fails())
        return -errno;
    port->number = open_port(true, 0);
    return 0;
}

int xen_bind_port(struct xen *xen, uint32_t peer, evtchn_port_t remote, struct xen_port *port)
{
    (void)xen, (void)peer;
    if (fails())
        return -errno;
    if (remote == 0 || remote >= PORTS || !machine.ports[remote].open ||
        machine.ports[remote].other != 0)
        return -EINVAL;
    port->number = open_port(true, remote);
    machine.ports[remote].pending = true; /* as in Xen: the other end must look */
    return 0;
}

void xen_unbind_port(struct xen *xen, struct xen_port *port)
{
    (void)xen;
    if (port->number == 0)
        return;
    machine.ports[machine.ports[port->number].other].other = 0;
    machine.ports[port->number].open = false;
    machine.ports[0].other = 0;
    port->number = 0;
}

void xen_signal(struct xen *xen, const struct xen_port *port)
{
    (void)xen;
    shared_access(SHARED_CALL, NULL, 0, 0);
    if (port->number != 0)
        signal_other(port->number);
}

bool fake_pending(evtchn_port_t port)
{
    return machine.ports[port].pending;
}

bool fake_take(evtchn_port_t port)
{
    bool pending = machine.ports[port].pending;

    machine.ports[port].pending = false;
    return pending;
}

uint32_t fake_signals(void)
{
    uint32_t signals = 0;

    for (unsigned int i = 0; i < PORTS; i++)
        signals |= machine.ports[i].pending ? 1u << i : 0;
    return signals;
}

void fake_wake(evtchn_port_t port)
{
    machine.ports[port].pending = true;
}

unsigned int fake_held(void)
{
    unsigned int held = 0;

    for (unsigned int i = 0; i < AREAS; i++)
        held += machine.areas[i].base != NULL;
    for (unsigned int i = 0; i < PORTS; i++)
        held += machine.ports[i].open && machine.ports[i].local;
    return held;
}
