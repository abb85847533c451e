/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks that grants of a simulated host behave like Linux's gntalloc and gntdev. Run by
 * tests/sim/drivers.sh.
 */
#include "tests/lib/sim-domain.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/lib/check-main.h"

#define PAGE  4096u
#define LIMIT 1024

static uint32_t guest, other;
static xengntshr_handle *share;
static xengnttab_handle *map;

/* The guest grants, domain 0 maps. */
static void setup(void)
{
    guest = guest_id("GUEST");
    other = guest_id("OTHER");
    domain_be(guest);
    share = xengntshr_open(NULL, 0);
    domain_be(0);
    map = xengnttab_open(NULL, 0);
    ck_assert(share && map);
}

static void teardown(void)
{
    ck_assert_int_eq(xengntshr_close(share), 0);
    ck_assert_int_eq(xengnttab_close(map), 0);
}

static void map_fails(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    errno = 0;
    ck_assert_ptr_null(xengnttab_map_grant_ref(xgt, domid, ref, prot));
    ck_assert_int_eq(errno, EINVAL);
}

START_TEST(memory_is_shared)
{
    uint32_t refs[300], mixed[4], more[2];
    uint8_t *ours = xengntshr_share_pages(share, 0, 300, refs, 1);
    uint8_t *second = xengntshr_share_pages(share, 0, 2, more, 1);
    uint8_t *theirs =
        xengnttab_map_domain_grant_refs(map, 300, guest, refs, PROT_READ | PROT_WRITE);
    uint8_t *mix;

    ck_assert(ours && second && theirs);
    for (uint32_t i = 0; i < 300; i++) {
        ck_assert_int_eq(theirs[i * PAGE], 0);
        ours[i * PAGE] = (uint8_t)i;
        ck_assert_int_eq(theirs[i * PAGE], (uint8_t)i);
        theirs[i * PAGE + 1] = (uint8_t)(i + 1);
        ck_assert_int_eq(ours[i * PAGE + 1], (uint8_t)(i + 1));
    }
    second[0] = 201;
    second[PAGE] = 202;
    memcpy(mixed, (uint32_t[]){refs[7], more[1], more[0], refs[3]}, sizeof(mixed));
    mix = xengnttab_map_domain_grant_refs(map, 4, guest, mixed, PROT_READ);
    ck_assert_ptr_nonnull(mix);
    ck_assert_int_eq(mix[0], 7);
    ck_assert_int_eq(mix[PAGE], 202);
    ck_assert_int_eq(mix[2 * PAGE], 201);
    ck_assert_int_eq(mix[3 * PAGE], 3);
    ck_assert_int_eq(xengnttab_unmap(map, mix, 3), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(xengnttab_unmap(map, mix, 4), 0);
    ck_assert_int_eq(xengnttab_unmap(map, theirs, 300), 0);
    ck_assert_int_eq(xengntshr_unshare(share, ours, 300), 0);
    ck_assert_int_eq(xengntshr_unshare(share, second, 2), 0);
}
END_TEST

START_TEST(only_the_grantee_maps)
{
    uint32_t ref, foreign;
    void *ours = xengntshr_share_pages(share, 0, 1, &ref, 1);
    void *theirs = xengntshr_share_pages(share, other, 1, &foreign, 1);
    xengnttab_handle *own;

    ck_assert(ours && theirs);
    map_fails(map, guest, foreign, PROT_READ);
    map_fails(map, guest, 60000, PROT_READ);
    map_fails(map, guest, 99999999, PROT_READ);
    map_fails(map, other, ref, PROT_READ);
    map_fails(map, 999, ref, PROT_READ);
    domain_be(guest);
    own = xengnttab_open(NULL, 0);
    map_fails(own, guest, ref, PROT_READ); /* its own page, granted to another */
    xengnttab_close(own);
    munmap(theirs, PAGE);
    map_fails(map, guest, foreign, PROT_READ);
    munmap(ours, PAGE);
    map_fails(map, guest, ref, PROT_READ);
}
END_TEST

START_TEST(a_domain_does_not_map_itself)
{
    uint32_t ref;
    void *ours = xengntshr_share_pages(share, guest, 1, &ref, 1);
    xengnttab_handle *own;

    domain_be(guest);
    own = xengnttab_open(NULL, 0);
    map_fails(own, guest, ref, PROT_READ);
    xengnttab_close(own);
    munmap(ours, PAGE);
}
END_TEST

START_TEST(read_only_is_read_only)
{
    uint32_t ref;
    uint8_t *ours = xengntshr_share_pages(share, 0, 1, &ref, _i);
    uint8_t *theirs = xengnttab_map_grant_ref(map, guest, ref, PROT_READ);

    ck_assert(ours && theirs);
    ours[5] = 42;
    ck_assert_int_eq(theirs[5], 42);
    ck_assert_int_eq(mprotect(theirs, PAGE, PROT_READ | PROT_WRITE), -1);
    xengnttab_unmap(map, theirs, 1);
    if (!_i)
        map_fails(map, guest, ref, PROT_READ | PROT_WRITE);
    munmap(ours, PAGE);
}
END_TEST

START_TEST(writing_what_is_read_only_kills)
{
    uint32_t ref;
    volatile uint8_t *ours = xengntshr_share_pages(share, 0, 1, &ref, 1);
    volatile uint8_t *theirs = xengnttab_map_grant_ref(map, guest, ref, PROT_READ);
    struct victim victim;
    int status;

    ck_assert(ours && theirs);
    if (victim_fork(&victim)) {
        signal(SIGSEGV, SIG_DFL); /* a memory checker may have taken it */
        theirs[0] = 1;
        _exit(0);
    }
    ck_assert_int_eq(waitpid(victim.pid, &status, 0), victim.pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
    munmap((void *)(uintptr_t)theirs, PAGE);
    munmap((void *)(uintptr_t)ours, PAGE);
}
END_TEST

START_TEST(gntalloc_has_a_limit)
{
    uint32_t refs[LIMIT + 1], ref;
    void *most = xengntshr_share_pages(share, 0, LIMIT - 1, refs, 1);
    void *last = xengntshr_share_pages(share, 0, 1, &ref, 1);

    ck_assert(most && last);
    errno = 0;
    ck_assert_ptr_null(xengntshr_share_pages(share, 0, 1, &ref, 1));
    ck_assert_int_eq(errno, ENOSPC);
    munmap(last, PAGE);
    last = xengntshr_share_pages(share, 0, 1, &ref, 1);
    ck_assert_ptr_nonnull(last);
    munmap(last, PAGE);
    munmap(most, (LIMIT - 1) * PAGE);
    errno = 0;
    ck_assert_ptr_null(xengntshr_share_pages(share, 0, LIMIT + 1, refs, 1));
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_ptr_null(xengntshr_share_pages(share, 0, 0, refs, 1));
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(the_limit_can_be_set)
{
    char command[64];
    uint32_t refs[8];
    void *pages;

    snprintf(command, sizeof(command), "XENSIM_DIR=/run/xensim xensim limit %u 4", guest);
    ck_assert_int_eq(system(command), 0);
    ck_assert_ptr_null(xengntshr_share_pages(share, 0, 5, refs, 1));
    ck_assert_int_eq(errno, ENOSPC);
    pages = xengntshr_share_pages(share, 0, 4, refs, 1);
    ck_assert_ptr_nonnull(pages);
    munmap(pages, 4 * PAGE);
    snprintf(command, sizeof(command), "XENSIM_DIR=/run/xensim xensim limit %u %d", guest, LIMIT);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(gntdev_has_a_limit)
{
    static uint32_t refs[65537];

    errno = 0;
    ck_assert_ptr_null(xengnttab_map_domain_grant_refs(map, 65537, guest, refs, PROT_READ));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(xengnttab_map_domain_grant_refs(map, 0, guest, refs, PROT_READ));
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/*
 * Revoked while mapped: the mapper keeps the pages and may map them again, the refs are not reused,
 * and they count.
 */
START_TEST(revoked_pages_live_while_mapped)
{
    static uint32_t refs[LIMIT], again[LIMIT];
    uint8_t *ours = xengntshr_share_pages(share, 0, 1000, refs, 1);
    uint8_t *first = xengnttab_map_grant_ref(map, guest, refs[999], PROT_READ), *theirs;

    ck_assert(ours && first);
    ours[999 * PAGE] = 77;
    ck_assert_int_eq(munmap(ours, 1000 * PAGE), 0);
    theirs = xengnttab_map_grant_ref(map, guest, refs[999], PROT_READ | PROT_WRITE);
    ck_assert_ptr_nonnull(theirs);
    ck_assert_int_eq(munmap(first, PAGE), 0);
    ck_assert_int_eq(theirs[0], 77);
    ck_assert_ptr_null(xengntshr_share_pages(share, 0, 25, again, 1));
    ck_assert_int_eq(errno, ENOSPC);
    ours = xengntshr_share_pages(share, 0, 24, again, 1);
    ck_assert_ptr_nonnull(ours);
    for (int i = 0; i < 24; i++)
        for (int k = 0; k < 1000; k++)
            ck_assert_uint_ne(again[i], refs[k]);
    munmap(ours, 24 * PAGE);
    ck_assert_int_eq(munmap(theirs, PAGE), 0); /* bypasses the API */
    ours = xengntshr_share_pages(share, 0, LIMIT, refs, 1);
    ck_assert_ptr_nonnull(ours);
    munmap(ours, LIMIT * PAGE);
}
END_TEST

START_TEST(mappings_outlive_their_handle)
{
    struct pair pair = pair_open(guest, 0);
    uint32_t ref;
    uint8_t *ours = xengntshr_share_page_notify(share, 0, &ref, 1, 0, pair.server_port);
    uint8_t *theirs = xengnttab_map_grant_ref_notify(map, guest, ref, PROT_READ | PROT_WRITE, 1,
                                                     pair.client_port);

    ck_assert(ours && theirs);
    ours[0] = ours[1] = 1;
    teardown();
    setup();
    ck_assert_int_eq(theirs[0], 1);
    ck_assert_int_eq(ours[1], 1);
    evtchn_expect_none(pair.server);
    evtchn_expect_none(pair.client);
    munmap(theirs, PAGE);
    ck_assert_int_eq(ours[1], 0);
    evtchn_expect(pair.server, pair.server_port);
    theirs = xengnttab_map_grant_ref(map, guest, ref, PROT_READ);
    ck_assert_ptr_nonnull(theirs);
    munmap(ours, PAGE);
    ck_assert_int_eq(theirs[0], 0);
    evtchn_expect(pair.client, pair.client_port);
    munmap(theirs, PAGE);
    pair_close(&pair);
}
END_TEST

/* Unmap notifications: first the byte is cleared, then the event is sent. */

START_TEST(unmapping_tells)
{
    struct pair pair = pair_open(guest, 0);
    uint32_t ref;
    uint8_t *ours = xengntshr_share_page_notify(share, 0, &ref, 1, 100, pair.server_port);
    uint8_t *theirs = xengnttab_map_grant_ref_notify(map, guest, ref, PROT_READ | PROT_WRITE, 200,
                                                     pair.client_port);

    ck_assert(ours && theirs);
    ours[100] = ours[200] = 1;
    evtchn_expect_none(pair.server);
    if (_i)
        ck_assert_int_eq(xengnttab_unmap(map, theirs, 1), 0);
    else
        ck_assert_int_eq(munmap(theirs, PAGE), 0);
    ck_assert_int_eq(ours[200], 0);
    ck_assert_int_eq(ours[100], 1);
    evtchn_expect(pair.server, pair.server_port);
    theirs = xengnttab_map_grant_ref(map, guest, ref, PROT_READ);
    ck_assert_ptr_nonnull(theirs);
    ck_assert_int_eq(xengntshr_unshare(share, ours, 1), 0);
    ck_assert_int_eq(theirs[100], 0);
    evtchn_expect(pair.client, pair.client_port);
    munmap(theirs, PAGE);
    pair_close(&pair);
}
END_TEST

/* As in a library: handles are closed in any order, even the event channel first. */
START_TEST(the_notification_holds_its_port)
{
    struct pair pair = pair_open(guest, 0);
    uint32_t ref;
    uint8_t *ours = xengntshr_share_pages(share, 0, 1, &ref, 1);
    uint8_t *theirs = xengnttab_map_grant_ref_notify(map, guest, ref, PROT_READ | PROT_WRITE, 0,
                                                     pair.client_port);
    xenevtchn_handle *second = evtchn_of(0);

    ck_assert(ours && theirs);
    ours[0] = 1;
    xenevtchn_close(pair.client);
    ck_assert_int_eq(xenevtchn_bind_interdomain(second, guest, pair.server_port), -1);
    evtchn_expect_none(pair.server);
    munmap(theirs, PAGE);
    ck_assert_int_eq(ours[0], 0);
    evtchn_expect(pair.server, pair.server_port);
    ck_assert_int_gt(xenevtchn_bind_interdomain(second, guest, pair.server_port), 0);
    xenevtchn_close(second);
    xenevtchn_close(pair.server);
    munmap(ours, PAGE);
}
END_TEST

START_TEST(the_notification_needs_a_port)
{
    xenevtchn_handle *xce = evtchn_of(0);
    uint32_t ref;
    uint8_t *ours = xengntshr_share_pages(share, 0, 1, &ref, 1);

    ck_assert_ptr_null(xengnttab_map_grant_ref_notify(map, guest, ref, PROT_READ, 0, 4000));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(xengntshr_share_page_notify(share, 0, &ref, 1, 0, 4000));
    ck_assert_int_eq(errno, EINVAL);
    munmap(ours, PAGE);
    xenevtchn_close(xce);
}
END_TEST

START_TEST(being_killed_tells)
{
    xenevtchn_handle *server = evtchn_of(guest);
    uint32_t port = (uint32_t)xenevtchn_bind_unbound_port(server, 0), ref;
    uint8_t *ours = xengntshr_share_page_notify(share, 0, &ref, 1, 100, port);
    struct victim victim;

    ours[200] = 1;
    if (victim_fork(&victim)) {
        xenevtchn_handle *client = evtchn_of(0);
        xengnttab_handle *theirs = xengnttab_open(NULL, 0);
        int bound = xenevtchn_bind_interdomain(client, guest, port);

        victim_wait(&victim,
                    xengnttab_map_grant_ref_notify(theirs, guest, ref, PROT_READ | PROT_WRITE, 200,
                                                   (uint32_t)bound) != NULL);
    }
    ck_assert_uint_eq(victim_ready(&victim), 1);
    evtchn_expect_none(server);
    victim_kill(&victim);
    evtchn_expect(server, port);
    ck_assert_int_eq(ours[200], 0);
    munmap(ours, PAGE);
    xenevtchn_close(server);
}
END_TEST

/* When a domain is destroyed, nobody is notified, and it is a zombie while its pages are mapped. */
START_TEST(a_destroyed_domain_tells_nobody)
{
    uint32_t dying = guest_id("DYING"), ref;
    char command[128];
    xenevtchn_handle *client = evtchn_of(0);
    struct victim victim;
    uint8_t *theirs, *again;
    int port;

    if (victim_fork(&victim)) {
        xenevtchn_handle *server = evtchn_of(dying);
        xengntshr_handle *pages = xengntshr_open(NULL, 0);
        uint32_t unbound = (uint32_t)xenevtchn_bind_unbound_port(server, 0);
        uint8_t *page = xengntshr_share_page_notify(pages, 0, &ref, 1, 0, unbound);

        page[0] = 1;
        victim_wait(&victim, ref << 16 | unbound);
    }
    ref = victim_ready(&victim);
    port = xenevtchn_bind_interdomain(client, dying, ref & 0xffff);
    ck_assert_int_gt(port, 0);
    evtchn_expect(client, (uint32_t)port);
    theirs = xengnttab_map_grant_ref(map, dying, ref >> 16, PROT_READ | PROT_WRITE);
    ck_assert_ptr_nonnull(theirs);
    snprintf(command, sizeof(command),
             "export XENSIM_DIR=/run/xensim; xl destroy %u && xl list | grep -q '(null) *%u '",
             dying, dying);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(theirs[0], 1);
    evtchn_expect_none(client);
    again = xengnttab_map_grant_ref(map, dying, ref >> 16, PROT_READ);
    munmap(theirs, PAGE);
    ck_assert(again && again[0] == 1);
    munmap(again, PAGE);
    map_fails(map, dying, ref >> 16, PROT_READ);
    snprintf(command, sizeof(command), "export XENSIM_DIR=/run/xensim; ! xl list | grep '(null)'");
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(xenevtchn_notify(client, (uint32_t)port), 0);
    xenevtchn_close(client);
    victim_kill(&victim);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("grants");

    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, memory_is_shared);
    tcase_add_test(tcase, only_the_grantee_maps);
    tcase_add_test(tcase, a_domain_does_not_map_itself);
    tcase_add_loop_test(tcase, read_only_is_read_only, 0, 2);
    tcase_add_test(tcase, writing_what_is_read_only_kills);
    tcase_add_test(tcase, gntalloc_has_a_limit);
    tcase_add_test(tcase, the_limit_can_be_set);
    tcase_add_test(tcase, gntdev_has_a_limit);
    tcase_add_test(tcase, revoked_pages_live_while_mapped);
    tcase_add_test(tcase, mappings_outlive_their_handle);
    tcase_add_loop_test(tcase, unmapping_tells, 0, 2);
    tcase_add_test(tcase, the_notification_holds_its_port);
    tcase_add_test(tcase, the_notification_needs_a_port);
    tcase_add_test(tcase, being_killed_tells);
    tcase_add_test(tcase, a_destroyed_domain_tells_nobody);
    return check_main("sim-grants", tcase);
}
