/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The main loop: each part does what is to be done, then the domain sleeps until a port fires. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xen/sched.h>

#include "unikernel/channel.h"
#include "unikernel/console.h"
#include "unikernel/device.h"
#include "unikernel/event.h"
#include "unikernel/grant.h"
#include "unikernel/hypercall.h"
#include "unikernel/memory.h"
#include "unikernel/options.h"
#include "unikernel/platform.h"
#include "unikernel/server.h"
#include "unikernel/store.h"
#include "unikernel/text.h"

#define CONTROL       "control/shutdown"
#define TOKEN_CONTROL "control"

struct platform platform;

static bool asked; /* control/shutdown has changed */

static _Noreturn void shutdown(unsigned int reason)
{
    struct sched_shutdown how = {.reason = reason};

    console_drain();
    for (;;)
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &how);
}

void die(const char *format, ...)
{
    char why[192];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    console_line("%s", why);
    shutdown(SHUTDOWN_crash);
}

/* ---- control/shutdown ---- */

static const struct {
    const char *word;
    unsigned int reason;
} requests[] = {
    {"poweroff", SHUTDOWN_poweroff},
    {"halt", SHUTDOWN_poweroff},
    {"reboot", SHUTDOWN_reboot},
};

static _Noreturn void leave(const char *word, unsigned int reason)
{
    store_write_text(CONTROL, NULL, ""); /* this acknowledges the request */
    console_line("%s", word);
    devices_close();
    servers_close();
    shutdown(reason);
}

static void request_obey(void)
{
    char word[32] = "";

    asked = false;
    store_read_text(CONTROL, NULL, word, sizeof(word));
    for (unsigned int i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        if (strcmp(word, requests[i].word) == 0)
            leave(word, requests[i].reason);
    if (*word) /* not acknowledged, so the toolstack reports that to its user */
        console_line(CONTROL ": '%s' is not supported (only poweroff, halt and reboot are)", word);
}

static void changed(const char *path, const char *token)
{
    if (!devices_changed(path, token))
        asked |= strcmp(token, TOKEN_CONTROL) == 0;
}

/* ---- start and loop ---- */

static void check(const char *what, int rc)
{
    if (rc < 0)
        die("%s: %s", what, error_name(rc));
}

static void begin(void)
{
    static struct options options;
    char why[192];
    uint32_t domid = 0;

    port_listen(platform.console_port);
    grant_init();
    tick_want(false);
    if (options_parse(platform.command_line, &options, why, sizeof(why)) < 0)
        die("%s", why);
    store_init(changed);
    check("xenstore: domid", store_read_number("domid", NULL, DOMID_FIRST_RESERVED - 1, &domid));
    console_line("domain %u, %s, %lu KiB free", domid, platform.name,
                 pages_free() * (PAGE_SIZE / 1024));
    check("xenstore: " CONTROL, store_watch(CONTROL, TOKEN_CONTROL));
    if (!options.no_channels)
        check("xenstore: device/vchan", devices_init((domid_t)domid));
    check("ring sizes", servers_init(&options, (domid_t)domid));
}

static void run(void)
{
    bool more, wait, tick;

    look_begin();
    port_fired(platform.store_port);
    if (port_fired(platform.console_port))
        console_flush();
    tick = tick_came();
    store_dispatch();
    if (asked)
        request_obey();
    more = servers_run();
    more |= devices_run(tick);
    wait = channels_reap();
    wait |= servers_wait();
    wait |= devices_wait();
    tick_want(wait);
    if (!more && !look_again())
        event_wait();
}

void main_loop(void)
{
    begin();
    for (;;)
        run();
}
