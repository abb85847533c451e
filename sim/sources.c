/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the hypervisor's single thread waits for. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sim/hypervisor.h"

static int epoll = -1;
static struct source *graveyard;

struct source *source_add(int fd, size_t size, enum source_kind kind)
{
    struct source *source = calloc(1, size);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = source};

    if (!source)
        return NULL;
    source->fd = fd;
    source->kind = kind;
    if (epoll < 0)
        epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(source);
        return NULL;
    }
    return source;
}

void source_remove(struct source *source)
{
    if (!source || source->dead)
        return;
    epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
    close(source->fd);
    source->dead = true;
    source->next = graveyard;
    graveyard = source;
}

int sources_wait(struct epoll_event *events, int size, int timeout)
{
    return epoll_wait(epoll, events, size, timeout);
}

void sources_free(void)
{
    while (graveyard) {
        struct source *source = graveyard;

        graveyard = source->next;
        free(source);
    }
}
