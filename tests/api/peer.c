/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/api/api peer: the other process of tests/api/api.c. It takes one command a line and answers
 * with one line: what the call returned. Besides the library's calls it can fake a server and
 * corrupt its page.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/libxenvchan.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "state/store.h"
#include "tests/api/side.h"

static struct side side;

/* A handmade server; it lives until the process ends. */
static struct fake {
    xenevtchn_handle *events;
    xengntshr_handle *granting;
    struct vchan_interface *page;
    uint32_t port;
    struct store *store;
} fake;

static unsigned int number(const char *text)
{
    return (unsigned int)strtoul(text, NULL, 10);
}

/* ---- the library's calls ---- */

static long do_open(char **arg)
{
    return pvchan_open(arg[0], (int)strtol(arg[1], NULL, 10), 0, &side.channel);
}

static long do_server(char **arg)
{
    return pvchan_open_server(number(arg[0]), arg[1], number(arg[2]), number(arg[3]), 0,
                              &side.channel);
}

static long do_client(char **arg)
{
    return pvchan_open_client(number(arg[0]), arg[1], (int)strtol(arg[2], NULL, 10), 0,
                              &side.channel);
}

static long do_close(char **arg)
{
    (void)arg;
    side_close(&side);
    return 0;
}

static long do_write(char **arg)
{
    return side_write(&side, number(arg[0]));
}

static long do_send(char **arg)
{
    return side_send(&side, number(arg[0]));
}

static long do_read(char **arg)
{
    return side_read(&side, number(arg[0]));
}

static long do_drain(char **arg)
{
    return side_drain(&side, number(arg[0]));
}

static long do_shutdown(char **arg)
{
    (void)arg;
    return pvchan_shutdown(side.channel);
}

static long do_state(char **arg)
{
    (void)arg;
    return pvchan_state(side.channel);
}

static long do_dispatch(char **arg)
{
    (void)arg;
    return pvchan_dispatch(side.channel);
}

static long do_peer(char **arg)
{
    (void)arg;
    return pvchan_peer_domid(side.channel);
}

static long do_sizes(char **arg)
{
    (void)arg;
    return (long)(pvchan_read_ring_size(side.channel) * 10000 +
                  pvchan_write_ring_size(side.channel));
}

/* news TIMEOUT: waits for a change of state; the new state. */
static long do_news(char **arg)
{
    int rc = pvchan_wait(side.channel, PVCHAN_STATE_CHANGED, (int)strtol(arg[0], NULL, 10));

    return rc == PVCHAN_STATE_CHANGED ? (long)pvchan_state(side.channel) : rc - 100;
}

/* reasoned WORD: whether the reason of the last failed opening contains the word. */
static long do_reasoned(char **arg)
{
    return strstr(pvchan_open_reason(), arg[0]) != NULL;
}

/* Sends that many bytes back as they come. (Both patterns are the same.) */
static long do_echo(char **arg)
{
    size_t left = number(arg[0]);

    while (left > 0) {
        ssize_t rc = side_read(&side, left);

        if (rc <= 0 || side_write(&side, (size_t)rc) != rc)
            return rc < 0 ? rc : -EIO;
        left -= (size_t)rc;
    }
    return 0;
}

/* Sends that many bytes, and takes each part of them back before the next. */
static long do_pingpong(char **arg)
{
    for (size_t left = number(arg[0]); left > 0;) {
        size_t part = left < 777 ? left : 777;

        if (side_write(&side, part) != (ssize_t)part || side_drain(&side, part) != (ssize_t)part)
            return -EIO;
        left -= part;
    }
    return 0;
}

/*
 * Opens and closes a name repeatedly. Returns 0 if each round succeeded and no descriptor is left.
 */
static long do_again(char **arg)
{
    int before = descriptors_count();

    for (unsigned int i = 0; i < number(arg[1]); i++) {
        int rc = pvchan_open(arg[0], PATIENCE_MS, 0, &side.channel);

        if (rc == 0 && side_drain(&side, 2) != 1) /* a byte, and the end */
            rc = -EPROTO;
        side_close(&side);
        if (rc < 0)
            return rc;
    }
    return descriptors_count() - before;
}

/* ---- a group ---- */

#define MEMBERS_MAX 8

static struct pvchan_group *group;
static struct pvchan *members[MEMBERS_MAX + 1]; /* from 1 on */

/* gopen NUMBER NAME TIMEOUT: opens it in the group. */
static long do_gopen(char **arg)
{
    struct pvchan **member = &members[number(arg[0]) % (MEMBERS_MAX + 1)];
    int rc = group ? 0 : pvchan_group_open(0, &group);

    if (rc == 0)
        rc = pvchan_group_add_channel(group, arg[1], (int)strtol(arg[2], NULL, 10), 0, member);
    if (rc == 0)
        pvchan_set_user_data(*member, member);
    return rc;
}

/* gwait TIMEOUT: the number of a channel that was reported, or 0. */
static long do_gwait(char **arg)
{
    struct pvchan_event event;
    int rc = pvchan_group_wait(group, &event, 1, (int)strtol(arg[0], NULL, 10));

    return rc <= 0 ? rc : (struct pvchan **)pvchan_user_data(event.handle) - members;
}

/* gopened COUNT: waits until that many are open. */
static long do_gopened(char **arg)
{
    unsigned int open = 0;

    while (open < number(arg[0])) {
        struct pvchan_event event;
        int rc = pvchan_group_wait(group, &event, 1, PATIENCE_MS);

        if (rc <= 0 || pvchan_error(event.handle) < 0)
            return rc <= 0 ? rc - 1 : pvchan_error(event.handle);
        open = 0;
        for (int i = 1; i <= MEMBERS_MAX; i++)
            open += members[i] && pvchan_state(members[i]) >= PVCHAN_STATE_LISTENING;
    }
    return open;
}

/* gread NUMBER: reads a byte of a member once it has one or has ended. */
static long do_gread(char **arg)
{
    struct pvchan *wanted = members[number(arg[0]) % (MEMBERS_MAX + 1)];
    struct pvchan_event event;
    uint8_t byte;

    for (;;) {
        ssize_t rc = pvchan_read(wanted, &byte, 1);

        if (rc != -EAGAIN)
            return rc;
        do
            if (pvchan_group_wait(group, &event, 1, PATIENCE_MS) <= 0)
                return -ETIME;
        while (event.handle != wanted);
    }
}

/* gagain NUMBER: requeues a member. */
static long do_gagain(char **arg)
{
    pvchan_requeue(members[number(arg[0]) % (MEMBERS_MAX + 1)]);
    return 0;
}

/* gdrop NUMBER: closes a member. */
static long do_gdrop(char **arg)
{
    struct pvchan **member = &members[number(arg[0]) % (MEMBERS_MAX + 1)];

    pvchan_close(*member);
    *member = NULL;
    return 0;
}

static long do_gclose(char **arg)
{
    (void)arg;
    pvchan_group_close(group);
    group = NULL;
    memset(members, 0, sizeof(members));
    return 0;
}

/* ---- tricks ---- */

/* watches COUNT: uses up this domain's watches except COUNT. */
static long do_watches(char **arg)
{
    char token[16];
    int rc = 0, taken = 0;

    if (!fake.store && store_open(&fake.store) < 0)
        return -EIO;
    while (rc == 0) {
        snprintf(token, sizeof(token), "%d", taken++);
        rc = store_watch(fake.store, "data", token);
    }
    for (unsigned int i = 0; i < number(arg[0]); i++) {
        snprintf(token, sizeof(token), "%u", i);
        store_unwatch(fake.store, "data", token);
    }
    return rc;
}

/* The smallest rings, both in the page. */
static void fake_format(struct vchan_interface *page)
{
    page->left_order = 10;
    page->right_order = 11;
    page->srv_live = 1;
    page->cli_live = 2;
    page->cli_notify = VCHAN_NOTIFY_WRITE;
}

/* fake PEER DIR: makes a server with its keys in DIR. */
static long do_fake(char **arg)
{
    unsigned int peer = number(arg[0]);
    uint32_t ref;
    int port;

    fake.events = xenevtchn_open(NULL, 0);
    fake.granting = xengntshr_open(NULL, 0);
    port = xenevtchn_bind_unbound_port(fake.events, peer);
    if (port < 0)
        return -errno;
    fake.port = (uint32_t)port;
    fake.page = xengntshr_share_page_notify(fake.granting, peer, &ref, 1,
                                            offsetof(struct vchan_interface, srv_live), fake.port);
    if (!fake.page)
        return -errno;
    fake_format(fake.page);
    if (store_open(&fake.store) < 0 || store_write_number(fake.store, arg[1], "ring-ref", ref) < 0)
        return -EIO;
    return store_write_number(fake.store, arg[1], "event-channel", fake.port);
}

/* poke FIELD VALUE: writes a field of the page, and signals. */
static long do_poke(char **arg)
{
    struct vchan_interface *page = fake.page;
    uint32_t value = number(arg[1]);

    if (strcmp(arg[0], "left_order") == 0)
        page->left_order = (uint16_t)value;
    else if (strcmp(arg[0], "left.cons") == 0)
        __atomic_store_n(&page->left.cons, value, __ATOMIC_SEQ_CST);
    else if (strcmp(arg[0], "right.prod") == 0)
        __atomic_store_n(&page->right.prod, value, __ATOMIC_SEQ_CST);
    else
        return -EINVAL;
    return xenevtchn_notify(fake.events, fake.port) < 0 ? -errno : 0;
}

/* full BYTES: waits until the client has written that many. */
static long do_full(char **arg)
{
    struct vchan_interface *page = fake.page;

    for (;;) {
        __atomic_fetch_or(&page->cli_notify, VCHAN_NOTIFY_WRITE, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&page->left.prod, __ATOMIC_SEQ_CST) >= number(arg[0]))
            return 0;
        xenevtchn_unmask(fake.events, (evtchn_port_t)xenevtchn_pending(fake.events));
    }
}

static long do_descriptors(char **arg)
{
    (void)arg;
    return descriptors_count();
}

/* ---- the loop ---- */

static const struct command {
    const char *name;
    int args;
    long (*run)(char **arg);
} commands[] = {
    {"open", 2, do_open},
    {"server", 4, do_server},
    {"client", 3, do_client},
    {"close", 0, do_close},
    {"write", 1, do_write},
    {"send", 1, do_send},
    {"read", 1, do_read},
    {"drain", 1, do_drain},
    {"shutdown", 0, do_shutdown},
    {"state", 0, do_state},
    {"news", 1, do_news},
    {"reasoned", 1, do_reasoned},
    {"peer", 0, do_peer},
    {"sizes", 0, do_sizes},
    {"echo", 1, do_echo},
    {"pingpong", 1, do_pingpong},
    {"again", 2, do_again},
    {"gopen", 3, do_gopen},
    {"gwait", 1, do_gwait},
    {"gopened", 1, do_gopened},
    {"gread", 1, do_gread},
    {"gagain", 1, do_gagain},
    {"gdrop", 1, do_gdrop},
    {"gclose", 0, do_gclose},
    {"watches", 1, do_watches},
    {"fake", 2, do_fake},
    {"poke", 2, do_poke},
    {"full", 1, do_full},
    {"descriptors", 0, do_descriptors},
    {"dispatch", 0, do_dispatch},
};

static int split(char *line, char *words[6])
{
    int count = 0;

    for (char *word = strtok(line, " \n"); word && count < 6; word = strtok(NULL, " \n"))
        words[count++] = word;
    return count;
}

static void answer(int count, char **words)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, words[0]) == 0 && commands[i].args == count - 1) {
            printf("%ld\n", commands[i].run(words + 1));
            return;
        }
    }
    printf("%d\n", -ENOSYS);
}

int peer_main(void)
{
    char line[256], *words[6];

    while (fgets(line, sizeof(line), stdin)) {
        int count = split(line, words);

        if (count == 0)
            continue;
        if (strcmp(words[0], "end") == 0)
            break;
        answer(count, words);
        fflush(stdout);
    }
    side_close(&side);
    pvchan_group_close(group);
    store_close(fake.store);
    return 0;
}
