/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "state/clock.h"

/* More wait only for a manager that is dead. */
#define NOTES_MAX 65536

struct note {
    STAILQ_ENTRY(note) next;
    int passed; /* -1: none */
    char text[];
};

static struct {
    int fd; /* -1: none yet */
    STAILQ_HEAD(, note) notes;
    unsigned int count;
    void (*waits)(void *arg);
    void *waits_arg;
} manager = {.fd = -1, .notes = STAILQ_HEAD_INITIALIZER(manager.notes)};

bool notify_is_wanted(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

uint64_t notify_watchdog(void)
{
    const char *period = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
    char *end;
    unsigned long long value;

    if (!period || (whose && strtoll(whose, NULL, 10) != getpid()))
        return 0;
    value = strtoull(period, &end, 10);
    return *end == '\0' ? value : 0;
}

/* The manager's socket address; returns a length of 0 if there is none. */
static socklen_t manager_address(struct sockaddr_un *address)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;

    if (length == 0 || length >= sizeof(address->sun_path) || (path[0] != '/' && path[0] != '@'))
        return 0;
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    if (path[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* One that does not exist any more may have a successor at the same place. */
static int reach_manager(bool anew)
{
    struct sockaddr_un address;
    socklen_t length = manager_address(&address);

    if (length == 0)
        return -ENOENT;
    if (manager.fd >= 0 && !anew)
        return 0;
    if (manager.fd < 0)
        manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (manager.fd < 0 || connect(manager.fd, (struct sockaddr *)&address, length) < 0)
        return -errno;
    return 0;
}

static int send_text(const char *text, int passed)
{
    struct iovec part = {.iov_base = (char *)text, .iov_len = strlen(text)};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (passed >= 0) {
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }
    return sendmsg(manager.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* 0 or -errno; -EAGAIN: the manager has not read what it was sent before. */
static int send_now(const char *text, int passed)
{
    int rc = reach_manager(false);

    if (rc == 0)
        rc = send_text(text, passed);
    if (rc < 0 && rc != -EAGAIN && reach_manager(true) == 0)
        rc = send_text(text, passed);
    return rc;
}

/* ---- what waits ---- */

static void note_free(struct note *note)
{
    if (note->passed >= 0)
        close(note->passed);
    free(note);
}

/* The caller may close its descriptor meanwhile. Without memory or a descriptor it is lost. */
static void note_add(const char *text, int passed)
{
    size_t length = strlen(text) + 1;
    struct note *note = manager.count < NOTES_MAX ? malloc(sizeof(*note) + length) : NULL;

    if (!note)
        return;
    memcpy(note->text, text, length);
    note->passed = passed >= 0 ? fcntl(passed, F_DUPFD_CLOEXEC, 0) : -1;
    if (passed >= 0 && note->passed < 0) {
        free(note);
        return;
    }
    STAILQ_INSERT_TAIL(&manager.notes, note, next);
    if (manager.count++ == 0 && manager.waits)
        manager.waits(manager.waits_arg);
}

bool notify_flush(void)
{
    struct note *note;

    while ((note = STAILQ_FIRST(&manager.notes))) {
        if (send_now(note->text, note->passed) == -EAGAIN)
            return false;
        STAILQ_REMOVE_HEAD(&manager.notes, next);
        manager.count--;
        note_free(note);
    }
    return true;
}

void notify_finish(int milliseconds)
{
    struct pollfd pollfd = {.fd = manager.fd, .events = POLLOUT};
    int64_t end = clock_ms() + milliseconds, left = milliseconds;

    while (!notify_flush() && left > 0) {
        poll(&pollfd, 1, (int)left);
        left = end - clock_ms();
    }
}

int notify_fd(void)
{
    return manager.fd;
}

void notify_on_wait(void (*waits)(void *arg), void *arg)
{
    manager.waits = waits;
    manager.waits_arg = arg;
    if (waits && manager.count > 0)
        waits(arg);
}

void notify_manager_with(const char *state, int passed)
{
    if (notify_is_wanted() && (!notify_flush() || send_now(state, passed) == -EAGAIN))
        note_add(state, passed);
}

void notify_manager(const char *state)
{
    notify_manager_with(state, -1);
}
