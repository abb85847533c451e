/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * If a thread is killed after making a port pending and before adding the token, the port's owner
 * would sleep for ever. The thread's intent shows which port it was; only the counts show whether
 * the token was added. They are steady when no other thread is in the middle, so look a few times
 * first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/hypervisor.h"

#define LOOKS    3
#define LOOK_MS  2
#define SUSPECTS 64

struct look {
    uint64_t tokens;
    uint32_t bits;
    uint32_t taken;
};

static struct suspect {
    uint32_t handle;
    uint32_t generation;
    int same; /* how many looks in a row saw the same */
    struct look look;
} suspects[SUSPECTS];
static int count;

static uint64_t tokens_count(int fd)
{
    static const char label[] = "eventfd-count:";
    char path[48], line[128];
    unsigned long long tokens = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, label, strlen(label)) == 0) {
            tokens = strtoull(line + strlen(label), NULL, 16);
            break;
        }
    fclose(file);
    return tokens;
}

static struct look look_at(uint32_t handle)
{
    struct sim_handle *memory = &control_memory()->handles[handle];
    struct look look = {.taken = atomic_load(&memory->taken)};

    for (uint32_t word = 0; word < atomic_load(&memory->words); word++)
        look.bits += (uint32_t)__builtin_popcountll(atomic_load(&memory->queue[word]));
    look.tokens = tokens_count(handle_eventfd(handle));
    return look;
}

/* Whether a live thread is about to queue a port of this handle. */
static bool look_busy(uint32_t handle)
{
    struct sim_control *control = control_memory();

    for (struct conn *conn = conns; conn; conn = conn->next) {
        for (int i = 0; conn->handle >= 0 && i < SIM_INTENTS; i++) {
            uint32_t port = atomic_load(&control->handles[conn->handle].intents[i]);

            if (port && atomic_load(&control->ports[port - 1].handle) == handle + 1)
                return true;
        }
    }
    return false;
}

static void suspect_add(uint32_t handle)
{
    if (count < SUSPECTS)
        suspects[count++] = (struct suspect){
            .handle = handle,
            .generation = atomic_load(&control_memory()->handles[handle].generation)};
}

static void intent_settle(uint32_t index)
{
    struct sim_control *control = control_memory();
    struct sim_port *port = &control->ports[index];
    uint32_t handle = atomic_load(&port->handle);
    uint64_t state = atomic_load(&port->state);
    uint64_t token = 1;

    if (!handle)
        return;
    if ((state & SIM_PENDING) && !(state & SIM_MASKED) &&
        sim_handle_queue(&control->handles[handle - 1], index % SIM_PORTS) &&
        write(handle_eventfd(handle - 1), &token, sizeof(token)) < 0)
        return;
    suspect_add(handle - 1);
}

void repair_handle(uint32_t dead)
{
    struct sim_handle *memory = &control_memory()->handles[dead];

    for (int i = 0; i < SIM_INTENTS; i++) {
        uint32_t port = atomic_exchange(&memory->intents[i], 0);

        if (port)
            intent_settle(port - 1);
    }
}

int repair_timeout(void)
{
    return count > 0 ? LOOK_MS : -1;
}

/* Returns true when nothing is left to do for it. */
static bool suspect_look(struct suspect *suspect)
{
    struct look look;
    uint64_t missing;
    int fd = handle_eventfd(suspect->handle);

    if (fd < 0 ||
        atomic_load(&control_memory()->handles[suspect->handle].generation) != suspect->generation)
        return true;
    look = look_at(suspect->handle);
    if (look_busy(suspect->handle) || memcmp(&look, &suspect->look, sizeof(look)) != 0) {
        suspect->look = look;
        suspect->same = 0;
        return false;
    }
    if (++suspect->same < LOOKS)
        return false;
    missing = look.bits > look.tokens ? look.bits - look.tokens : 0;
    return missing == 0 || write(fd, &missing, sizeof(missing)) > 0;
}

void repair_continue(void)
{
    for (int i = count - 1; i >= 0; i--)
        if (suspect_look(&suspects[i]))
            suspects[i] = suspects[--count];
}
