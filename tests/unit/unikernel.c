/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the echo domain that need no Xen: its command line, its xenstore client against a
 * xenstored played by the test, its echo against a client that may be hostile, and when it frees
 * memory.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "tests/lib/check-main.h"
#include "unikernel/channel.h"
#include "unikernel/event.h"
#include "unikernel/grant.h"
#include "unikernel/memory.h"
#include "unikernel/options.h"
#include "unikernel/platform.h"
#include "unikernel/store.h"
#include "unikernel/text.h"

#define DIED 3 /* exit code */

struct platform platform;

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    exit(DIED);
}

/* ---- the command line ---- */

static int parse(const char *line, struct options *options)
{
    static char copy[1024], why[192];
    int rc;

    why[0] = '\0';
    snprintf(copy, sizeof(copy), "%s", line);
    rc = options_parse(copy, options, why, sizeof(why));
    ck_assert_msg((rc == 0) == (why[0] == '\0'), "'%s': %d, '%s'", line, rc, why);
    return rc;
}

START_TEST(test_options)
{
    struct options options;

    ck_assert_int_eq(parse("", &options), 0);
    ck_assert_uint_eq(options.count, 1);
    ck_assert_uint_eq(options.servers[0].peer, 0);
    ck_assert_str_eq(options.servers[0].path, "data/vchan");
    ck_assert_uint_eq(options.read_ring, 65536);

    ck_assert_int_eq(
        parse("  ring=1M  read-ring=4K server=7:data/vchan/7/a-b server=0:x ", &options), 0);
    ck_assert_uint_eq(options.read_ring, 4096);
    ck_assert_uint_eq(options.write_ring, 1048576);
    ck_assert_uint_eq(options.count, 2);
    ck_assert_uint_eq(options.servers[0].peer, 7);
    ck_assert_str_eq(options.servers[0].path, "data/vchan/7/a-b");

    ck_assert(!options.no_channels);

    ck_assert_int_eq(parse("server=none channels=none", &options), 0);
    ck_assert_uint_eq(options.count, 0);
    ck_assert(options.no_channels);
}
END_TEST

START_TEST(test_options_wrong)
{
    static const char *const lines[] = {
        "ring=",
        "ring=0",
        "ring=64X",
        "ring=-1",
        "ring=2M",
        "ring=1048577",
        "ring=4096M",
        "ring=K",
        "read-ring=1.5K",
        "write-ring=64 K",
        "server=",
        "server=0",
        "server=:x",
        "server=0:",
        "server=x:y",
        "server=32752:x",
        "server=99999999999:x",
        "server=0:a.b",
        "server=0:a/",
        "colour=red",
        "ring",
        "=",
        "server=none=",
        "channels=all",
        "channels=",
        ("server=0:a server=0:b server=0:c server=0:d server=0:e server=0:f server=0:g server=0:h "
         "server=0:i"),
    };
    struct options options;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        ck_assert_msg(parse(lines[i], &options) == -EINVAL, "'%s' is taken", lines[i]);
}
END_TEST

/* ---- a xenstored ---- */

static struct xenstore_domain_interface ring;
static char asked[8192], told[16384]; /* bytes received, and bytes still to send */
static size_t asked_size, told_size;
static unsigned int requests;
static void (*answer)(const struct xsd_sockmsg *head, const char *body);

static void tell(uint32_t type, uint32_t id, const char *body, size_t length)
{
    struct xsd_sockmsg head = {.type = type, .req_id = id, .len = (uint32_t)length};

    memcpy(told + told_size, &head, sizeof(head));
    memcpy(told + told_size + sizeof(head), body, length);
    told_size += sizeof(head) + length;
}

static void take_requests(void)
{
    struct xsd_sockmsg head;

    while (ring.req_cons != ring.req_prod)
        asked[asked_size++] = ring.req[MASK_XENSTORE_IDX(ring.req_cons++)];
    memcpy(&head, asked, sizeof(head));
    if (asked_size < sizeof(head) || asked_size < sizeof(head) + head.len)
        return;
    requests++;
    answer(&head, asked + sizeof(head));
    asked_size = 0;
}

/* The other side runs whenever we sleep. It never sends more than the ring holds at once. */
void event_wait(void)
{
    size_t sent = 0;

    take_requests();
    ck_assert_msg(told_size > 0 || ring.req_cons == ring.req_prod, "sleeps for ever");
    while (sent < told_size && ring.rsp_prod - ring.rsp_cons < XENSTORE_RING_SIZE)
        ring.rsp[MASK_XENSTORE_IDX(ring.rsp_prod++)] = told[sent++];
    memmove(told, told + sent, told_size - sent);
    told_size -= sent;
}

static unsigned int signals;

void port_signal(evtchn_port_t port)
{
    (void)port;
    signals++;
}

bool port_fired(evtchn_port_t port)
{
    (void)port;
    return false;
}

void port_listen(evtchn_port_t port)
{
    (void)port;
}

static char seen[256];

static void changed(const char *path, const char *token)
{
    size_t length = strlen(seen);

    snprintf(seen + length, sizeof(seen) - length, "%s=%s ", token, path);
}

static void store_begin(void (*xenstored)(const struct xsd_sockmsg *, const char *))
{
    platform.store = &ring;
    answer = xenstored;
    store_init(changed);
}

/* Nodes: "text", "number", "big" (600 bytes), "nul"; an event comes before each answer. */
static void answer_reads(const struct xsd_sockmsg *head, const char *body)
{
    char big[3000];

    memset(big, 'b', sizeof(big));
    tell(XS_WATCH_EVENT, 0, "a/b\0tok", 8);
    tell(XS_READ, head->req_id - 1, "stale", 5); /* an answer to an unknown request */
    if (strcmp(body, "dir/text") == 0)
        tell(XS_READ, head->req_id, "hello", 5);
    else if (strcmp(body, "dir/number") == 0)
        tell(XS_READ, head->req_id, "77", 2);
    else if (strcmp(body, "big") == 0)
        tell(XS_READ, head->req_id, big, sizeof(big));
    else if (strcmp(body, "nul") == 0)
        tell(XS_READ, head->req_id, "1\0002", 3);
    else
        tell(XS_ERROR, head->req_id, strcmp(body, "odd") == 0 ? "ODDITY" : "ENOENT", 7);
}

START_TEST(test_store_reads)
{
    char text[16], big[4096], path[5000];
    uint32_t number = 0;

    store_begin(answer_reads);
    ck_assert_int_eq(store_read_text("dir", "text", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "hello");
    ck_assert_str_eq(seen, "tok=a/b ");
    ck_assert_int_eq(store_read_text("dir", "text", text, 5), -EOVERFLOW);
    ck_assert_int_eq(store_read_number("dir", "number", 77, &number), 0);
    ck_assert_uint_eq(number, 77);
    ck_assert_int_eq(store_read_number("dir", "number", 76, &number), -ERANGE);
    ck_assert_int_eq(store_read_number("dir", "text", 100, &number), -EINVAL);
    ck_assert_int_eq(store_read_number("nul", NULL, 100, &number), -EINVAL);
    ck_assert_int_eq(store_read_text("big", NULL, big, sizeof(big)), 0);
    ck_assert_uint_eq(strlen(big), 3000);
    ck_assert_int_eq(store_read_text("none", NULL, text, sizeof(text)), -ENOENT);
    ck_assert_int_eq(store_read_text("odd", NULL, text, sizeof(text)), -EIO);

    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    ck_assert_int_eq(store_read_text(path, NULL, text, sizeof(text)), -ENAMETOOLONG);
    /* and it works afterwards */
    ck_assert_int_eq(store_read_text("dir", "text", text, sizeof(text)), 0);
}
END_TEST

static char written[4096];
static size_t written_size;
static int conflicts; /* how many commits fail */

static void answer_writes(const struct xsd_sockmsg *head, const char *body)
{
    bool commit = head->type == XS_TRANSACTION_END && strcmp(body, "T") == 0;

    if (head->type == XS_WRITE) {
        ck_assert_uint_eq(head->tx_id, 5);
        memcpy(written, body, head->len);
        written_size = head->len;
    }
    if (commit && conflicts-- > 0)
        tell(XS_ERROR, head->req_id, "EAGAIN", 7);
    else if (head->type == XS_TRANSACTION_START)
        tell(head->type, head->req_id, "5", 2);
    else
        tell(head->type, head->req_id, "OK", 3);
}

static int fill(void *arg)
{
    int rc = store_write_number("dir", "key", 65535);

    return rc < 0 ? rc : *(int *)arg;
}

START_TEST(test_store_transactions)
{
    int fine = 0, refused = -EPERM;

    store_begin(answer_writes);
    conflicts = 2;
    ck_assert_int_eq(store_transaction(fill, &fine), 0);
    ck_assert_uint_eq(written_size, 13);
    ck_assert_mem_eq(written, "dir/key\00065535", 13);
    ck_assert_uint_eq(requests, 9); /* three times start, write, end */
    ck_assert_int_eq(store_transaction(fill, &refused), -EPERM);
    conflicts = 1000000;
    ck_assert_int_eq(store_transaction(fill, &fine), -EAGAIN);
}
END_TEST

static void answer_list(const struct xsd_sockmsg *head, const char *body)
{
    (void)body;
    tell(head->type, head->req_id, "0\00012\000x", 7);
}

static void note(const char *name)
{
    changed(name, "name");
}

START_TEST(test_store_lists)
{
    store_begin(answer_list);
    ck_assert_int_eq(store_list("device/vchan", note), 0);
    ck_assert_str_eq(seen, "name=0 name=12 name=x ");
}
END_TEST

START_TEST(test_store_long_answer)
{
    struct xsd_sockmsg head = {.type = XS_WATCH_EVENT, .len = XENSTORE_PAYLOAD_MAX + 1};

    store_begin(answer_list);
    memcpy(ring.rsp, &head, sizeof(head));
    ring.rsp_prod = sizeof(head);
    store_dispatch();
}
END_TEST

START_TEST(test_store_corrupt_ring)
{
    store_begin(answer_list);
    ring.rsp_prod = XENSTORE_RING_SIZE + 1;
    store_dispatch();
}
END_TEST

START_TEST(test_store_events)
{
    store_begin(answer_list);
    tell(XS_WATCH_EVENT, 0, "a\0b", 4);
    tell(XS_WATCH_EVENT, 0, "no token", 8); /* passed on to nobody */
    tell(XS_WATCH_EVENT, 0, "", 0);
    tell(XS_WATCH_EVENT, 0, "c\0d", 3); /* the last NUL is missing */
    event_wait();
    store_dispatch();
    ck_assert_str_eq(seen, "b=a d=c ");
}
END_TEST

/* ---- memory, grants and ports ---- */

static unsigned int pages_out;
static void *granted[1024]; /* pages by their references */
static unsigned int grants_given, grants_max = 1024;
static bool mapped; /* ended grants stay mapped */

void *page_alloc(unsigned int count)
{
    void *pages = aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);

    pages_out += count;
    return memset(pages, 0, count * PAGE_SIZE);
}

void page_free(void *pages, unsigned int count)
{
    pages_out -= count;
    free(pages);
}

int grant_give(domid_t peer, const void *page, grant_ref_t *ref)
{
    (void)peer;
    if (grants_given == grants_max)
        return -ENOSPC;
    *ref = grants_given++;
    granted[*ref] = (void *)page;
    return 0;
}

bool grant_end(grant_ref_t ref)
{
    ck_assert_ptr_nonnull(granted[ref]);
    return !mapped;
}

static unsigned int ports;

int port_offer(domid_t peer, evtchn_port_t *port)
{
    (void)peer;
    *port = ++ports;
    return 0;
}

void port_close(evtchn_port_t port)
{
    (void)port;
    ports--;
}

/* ---- the echo ---- */

static struct channel *serve(uint16_t read, uint16_t write)
{
    struct ring_orders orders = {.read = read, .write = write};
    struct channel *channel;

    ck_assert_int_eq(channel_serve(0, &orders, &channel), 0);
    return channel;
}

/* A client, which finds everything by the shared page's reference. */
static void join(const struct channel *channel, struct ring_end *client)
{
    struct vchan_interface *page = granted[channel_ring_ref(channel)];
    struct ring_layout layout;

    ck_assert_int_eq(ring_layout_read(page, &layout), 0);
    ck_assert_int_eq(ring_join(client, page, &layout, granted[page->grants[0]],
                               granted[page->grants[layout.left_pages]]),
                     0);
}

/* Writes as much as fits, at most that many bytes of a pattern. Returns how many. */
static uint32_t client_write(struct ring_end *client, uint32_t most)
{
    struct ring_span spans[2];
    uint32_t at = client->out.own;
    int room = ring_writable(&client->out, most);
    uint32_t bytes = (uint32_t)room < most ? (uint32_t)room : most;
    unsigned int count = ring_spans(&client->out, bytes, spans);

    ck_assert_int_ge(room, 0);
    for (unsigned int i = 0; i < count; i++)
        for (uint32_t j = 0; j < spans[i].length; j++, at++)
            spans[i].base[j] = (uint8_t)(at * 7 + (at >> 8));
    ring_produce(&client->out, bytes);
    return bytes;
}

/* Reads all there is, which must be the same pattern. */
static uint32_t client_read(struct ring_end *client)
{
    struct ring_span spans[2];
    uint32_t at = client->in.own, wrong = 0;
    int bytes = ring_readable(&client->in, client->in.size);
    unsigned int count = ring_spans(&client->in, (uint32_t)bytes, spans);

    ck_assert_int_ge(bytes, 0);
    for (unsigned int i = 0; i < count; i++)
        for (uint32_t j = 0; j < spans[i].length; j++, at++)
            wrong += spans[i].base[j] != (uint8_t)(at * 7 + (at >> 8));
    ck_assert_uint_eq(wrong, 0);
    ring_consume(&client->in, (uint32_t)bytes);
    ring_publish(&client->in);
    return (uint32_t)bytes;
}

static const struct ring_orders sizes[] = {{10, 11}, {11, 10}, {12, 12},
                                           {11, 16}, {20, 12}, {20, 20}};

/* Pieces of odd lengths, so that both rings wrap around at different places. */
START_TEST(test_echo)
{
    struct channel *channel = serve(sizes[_i].read, sizes[_i].write);
    uint64_t wanted = 3ull << sizes[_i].read, sent = 0, back = 0;
    struct ring_end client;

    ck_assert(!channel_peer_here(channel));
    join(channel, &client);
    ck_assert(channel_peer_here(channel));
    ck_assert_int_eq(channel_echo(channel), ECHO_WAIT);
    while (back < wanted) {
        sent += client_write(&client, 777 + (uint32_t)sent % 5000);
        ck_assert_int_ne(channel_echo(channel), ECHO_CORRUPT);
        back += client_read(&client);
    }
    while (back < sent) {
        channel_echo(channel);
        back += client_read(&client);
    }
    ck_assert_uint_eq(channel_bytes(channel), sent);
    mapped = true;
    channel_close(channel);
    ck_assert(ring_peer_left(&client));
    mapped = false;
    channels_reap();
    ck_assert_uint_eq(pages_out, 0);
    ck_assert_uint_eq(ports, 0);
}
END_TEST

/* A client that does not read is signalled when it asks, and not polled for. */
START_TEST(test_echo_full)
{
    struct channel *channel = serve(12, 12);
    struct ring_end client;
    unsigned int before;

    join(channel, &client);
    ck_assert_uint_eq(client_write(&client, 4096), 4096);
    ck_assert_int_eq(channel_echo(channel), ECHO_MORE);
    ck_assert_uint_eq(client_write(&client, 100), 100);
    ck_assert_int_eq(channel_echo(channel), ECHO_WAIT);
    ck_assert_uint_eq(client_read(&client), 4096);
    ck_assert(ring_must_signal(&client, VCHAN_NOTIFY_READ));
    ring_request(&client, VCHAN_NOTIFY_WRITE);
    before = signals;
    ck_assert_int_eq(channel_echo(channel), ECHO_WAIT);
    ck_assert_uint_gt(signals, before);
    ck_assert_uint_eq(client_read(&client), 100);
    channel_close(channel);
}
END_TEST

START_TEST(test_echo_ends)
{
    struct channel *channel = serve(12, 12);
    struct ring_end client;

    join(channel, &client);
    client_write(&client, 10);
    channel_set_ended(channel); /* a half-close: what it wrote before is echoed */
    ck_assert_int_eq(channel_echo(channel), ECHO_END);
    ck_assert_uint_eq(client_read(&client), 10);
    channel_close(channel);

    channel = serve(12, 12);
    join(channel, &client);
    client_write(&client, 10);
    ring_leave(&client);
    ck_assert_int_eq(channel_echo(channel), ECHO_LEFT);
    ck_assert(channel_peer_left(channel));
    channel_close(channel);
    ck_assert_uint_eq(pages_out, 0);
}
END_TEST

START_TEST(test_echo_corrupt)
{
    struct channel *channel = serve(12, 12);
    struct ring_end client;

    join(channel, &client);
    if (_i == 0) {
        client.page->left.prod = 4097;
    } else { /* it reads that index only when the ring seems full */
        client_write(&client, 4096);
        ck_assert_int_eq(channel_echo(channel), ECHO_MORE);
        client_write(&client, 1);
        client.page->right.cons = 123456;
    }
    ck_assert_int_eq(channel_echo(channel), ECHO_CORRUPT);
    channel_close(channel);
}
END_TEST

/* If the client rewrites the list of grants in the page, nothing changes for us. */
START_TEST(test_close_mapped)
{
    struct channel *channel = serve(16, 16);
    struct ring_end client;

    join(channel, &client);
    memset(client.page->grants, 0xff, 32 * sizeof(uint32_t));
    mapped = true;
    channel_close(channel);
    ck_assert(channels_reap());
    ck_assert_uint_eq(pages_out, 34);
    mapped = false;
    ck_assert(!channels_reap());
    ck_assert_uint_eq(pages_out, 0);
}
END_TEST

START_TEST(test_serve_fails)
{
    struct ring_orders orders = {.read = 16, .write = 16};
    struct channel *channel;

    grants_max = 20;
    ck_assert_int_eq(channel_serve(0, &orders, &channel), -ENOSPC);
    ck_assert_ptr_null(channel);
    ck_assert_uint_eq(pages_out, 0);
    ck_assert_uint_eq(ports, 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("unikernel");
    int count = sizeof(sizes) / sizeof(sizes[0]);

    tcase_add_test(tcase, test_options);
    tcase_add_test(tcase, test_options_wrong);
    tcase_add_test(tcase, test_store_reads);
    tcase_add_test(tcase, test_store_transactions);
    tcase_add_test(tcase, test_store_lists);
    tcase_add_exit_test(tcase, test_store_long_answer, DIED);
    tcase_add_exit_test(tcase, test_store_corrupt_ring, DIED);
    tcase_add_test(tcase, test_store_events);
    tcase_add_loop_test(tcase, test_echo, 0, count);
    tcase_add_test(tcase, test_echo_full);
    tcase_add_test(tcase, test_echo_ends);
    tcase_add_loop_test(tcase, test_echo_corrupt, 0, 2);
    tcase_add_test(tcase, test_close_mapped);
    tcase_add_test(tcase, test_serve_fails);
    return check_main("unikernel", tcase);
}
