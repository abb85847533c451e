/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unikernel/console.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "unikernel/event.h"
#include "unikernel/platform.h"
#include "vchan/barrier.h"

#define DRAIN_TICKS (1000 / TICK_MS)

static char kept[4096];
static size_t kept_length;
static unsigned int lost;

/* Moves what fits into the ring. Returns how much. Both barriers pair with xenconsoled's. */
static size_t put(const char *text, size_t length)
{
    struct xencons_interface *console = platform.console;
    XENCONS_RING_IDX prod = console->out_prod;
    XENCONS_RING_IDX room = sizeof(console->out) - (prod - load_acquire(&console->out_cons));
    size_t done = 0;

    while (done < length && done < room)
        console->out[MASK_XENCONS_IDX(prod++, console->out)] = text[done++];
    store_release(&console->out_prod, prod);
    if (done > 0)
        port_signal(platform.console_port);
    return done;
}

static void keep(const char *text, size_t length)
{
    if (length > sizeof(kept) - kept_length) {
        lost++;
        return;
    }
    memcpy(kept + kept_length, text, length);
    kept_length += length;
}

void console_flush(void)
{
    char note[64];
    size_t done = put(kept, kept_length);

    for (size_t i = done; i < kept_length; i++)
        kept[i - done] = kept[i];
    kept_length -= done;
    if (lost > 0 && kept_length == 0) {
        snprintf(note, sizeof(note), "(%u lines were lost)\r\n", lost);
        keep(note, strlen(note));
        lost = 0;
    }
}

void console_line(const char *format, ...)
{
    char line[256] = "vchan-echo: ";
    size_t begin = strlen(line), length;
    va_list args;

    va_start(args, format);
    vsnprintf(line + begin, sizeof(line) - begin - 2, format, args);
    va_end(args);
    length = strlen(line);
    memcpy(line + length, "\r\n", sizeof("\r\n"));
    keep(line, length + 2);
    console_flush();
}

void console_drain(void)
{
    struct xencons_interface *console = platform.console;

    for (int ticks = 0; ticks < DRAIN_TICKS; ticks += tick_came()) {
        port_fired(platform.console_port); /* so that the port fires again */
        console_flush();
        if (kept_length == 0 && load_once(&console->out_cons) == console->out_prod)
            break;
        tick_want(true);
        event_wait();
    }
}
