/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event-channel handles: the memory that they share, and an eventfd for each. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/hypervisor.h"

static int control_fd = -1;
static struct sim_control *control;
static struct {
    int eventfd;
    bool used;
} handles[SIM_HANDLES];

int handles_init(void)
{
    control_fd = memfd_create("control", MFD_CLOEXEC);
    if (control_fd < 0 || ftruncate(control_fd, sizeof(*control)) < 0)
        return -errno;
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, control_fd, 0);
    return control == MAP_FAILED ? -errno : 0;
}

struct sim_control *control_memory(void)
{
    return control;
}

int handle_eventfd(uint32_t index)
{
    return index < SIM_HANDLES && handles[index].used ? handles[index].eventfd : -1;
}

void handle_free(uint32_t index)
{
    atomic_fetch_add(&control->handles[index].generation, 1);
    close(handles[index].eventfd);
    handles[index].used = false;
}

/* Uses indices in rotation, so that a stale number does not soon belong to another handle. */
static int handle_new(void)
{
    static uint32_t last;

    for (uint32_t i = 1; i <= SIM_HANDLES; i++) {
        uint32_t index = (last + i) % SIM_HANDLES;
        struct sim_handle *handle = &control->handles[index];

        if (handles[index].used)
            continue;
        handles[index].eventfd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
        if (handles[index].eventfd < 0)
            return -errno;
        handles[index].used = true;
        memset(handle->intents, 0, sizeof(handle->intents));
        memset(handle->queue, 0, sizeof(handle->queue));
        atomic_store(&handle->words, 0);
        last = index;
        return (int)index;
    }
    return -EMFILE;
}

int evtchn_open(struct request *request)
{
    struct conn *conn = request->conn;
    int index = conn->handle >= 0 ? -EBUSY : handle_new();

    if (index < 0)
        return index;
    conn->handle = index;
    request->reply.arg[0] = (uint32_t)index;
    request->reply.arg[1] = atomic_load(&control->handles[index].generation);
    request->reply.arg[2] = conn->domain->slot;
    request->out_fds[0] = handles[index].eventfd;
    request->out_fds[1] = control_fd;
    request->nout = 2;
    return 0;
}
