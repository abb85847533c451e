/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

void notify_manager_with(const char *state, int passed)
{
    struct sockaddr_un address;
    struct iovec text = {.iov_base = (char *)state, .iov_len = strlen(state)};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = manager_address(&address),
                             .msg_iov = &text,
                             .msg_iovlen = 1};
    int fd;

    if (message.msg_namelen == 0)
        return;
    if (passed >= 0) {
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

void notify_manager(const char *state)
{
    notify_manager_with(state, -1);
}
