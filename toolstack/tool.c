/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <xenctrl.h> /* before xen/xen.h, so that it shows everything */

#include "toolstack/tool.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <libxl_utils.h>

#include "state/clock.h"
#include "state/stderr.h"

static bool is_service;

void tool_be_service(void)
{
    is_service = true;
}

/* about: the beginning of the line, or NULL. */
__attribute__((format(printf, 2, 0))) static void print_line(const char *about, const char *format,
                                                             va_list args)
{
    char *message, *line;

    if (vasprintf(&message, format, args) < 0)
        return;
    if (asprintf(&line, "xl-vchan: %s%s%s", about ? about : "", about ? ": " : "", message) >= 0) {
        text_clean(line);
        if (is_service)
            stderr_write(line + strlen("xl-vchan: "));
        else
            fprintf(stderr, "%s\n", line);
        free(line);
    }
    free(message);
}

void tool_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line(NULL, format, args);
    va_end(args);
}

void tool_complain(const struct tool *tool, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line(tool->doing, format, args);
    va_end(args);
}

const char *tool_why(int rc)
{
    switch (rc) {
    case -EACCES:
        return "xenstore does not allow it (run this as root in the toolstack domain)";
    case -EDQUOT:
        return "a xenstore quota is exhausted (raise it, or remove what is not needed)";
    case -EAGAIN:
        return "other programs keep changing xenstore (try again)";
    case -EIO:
        return "xenstore is gone (is xenstored running?)";
    case -EINTR:
        return "interrupted";
    default:
        return strerror(-rc);
    }
}

/* A signal that the caller ignores, as under nohup, stays ignored. */
static void add_signal(sigset_t *set, int number)
{
    struct sigaction action;

    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(set, number);
}

static int open_signals(struct tool *tool)
{
    sigset_t set;

    sigemptyset(&set);
    add_signal(&set, SIGINT);
    add_signal(&set, SIGTERM);
    add_signal(&set, SIGHUP);
    signal(SIGCHLD, SIG_DFL); /* if ignored, exit codes of children would be lost */
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return -errno;
    tool->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return tool->signals < 0 ? -errno : 0;
}

static int reach_xenstore(struct tool *tool)
{
    int rc = store_open(&tool->store);

    if (rc < 0)
        tool_complain(tool,
                      "cannot reach xenstore: %s (run this as root in the toolstack domain, "
                      "with xenstored running)",
                      strerror(-rc));
    return rc;
}

static int open_libxl(struct tool *tool)
{
    tool->log = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_ERROR,
                                                                  XTL_STDIOSTREAM_HIDE_PROGRESS);
    if (!tool->log)
        return -ENOMEM;
    if (libxl_ctx_alloc(&tool->ctx, LIBXL_VERSION, 0, tool->log)) {
        tool_complain(tool, "cannot reach Xen (run this as root in the toolstack domain)");
        return -EIO;
    }
    return 0;
}

int tool_open(struct tool *tool, const char *verb, const char *object)
{
    int rc;

    *tool = (struct tool){.signals = -1};
    snprintf(tool->doing, sizeof(tool->doing), "%s%s%s", verb, object ? " " : "",
             object ? object : "");
    rc = open_signals(tool);
    if (rc == 0)
        rc = reach_xenstore(tool);
    if (rc == 0)
        rc = open_libxl(tool);
    if (rc < 0)
        return rc;
    rc = store_own_domid(tool->store, &tool->own);
    if (rc < 0)
        tool_complain(tool, "cannot read the id of this domain: %s", tool_why(rc));
    return rc;
}

void tool_close(struct tool *tool)
{
    if (tool->xc)
        xc_interface_close(tool->xc);
    libxl_ctx_free(tool->ctx);
    xtl_logger_destroy(tool->log);
    store_close(tool->store);
    if (tool->signals >= 0)
        close(tool->signals);
}

int tool_find_domain(struct tool *tool, const char *text, domid_t *domid)
{
    uint32_t id;
    int rc = parse_number(text, DOMID_FIRST_RESERVED - 1, &id);

    if (rc == -ERANGE || (rc < 0 && libxl_name_to_domid(tool->ctx, text, &id)))
        return -ENOENT;
    *domid = (domid_t)id;
    return 0;
}

static enum tool_domain domain_does(const libxl_dominfo *info)
{
    if (info->dying)
        return TOOL_DOMAIN_DYING;
    if (info->shutdown)
        return info->shutdown_reason == LIBXL_SHUTDOWN_REASON_CRASH ? TOOL_DOMAIN_CRASHED
                                                                    : TOOL_DOMAIN_SHUT_DOWN;
    return info->paused ? TOOL_DOMAIN_PAUSED : TOOL_DOMAIN_RUNS;
}

enum tool_domain tool_query_domain(struct tool *tool, domid_t domid)
{
    enum tool_domain does = TOOL_DOMAIN_UNKNOWN;
    libxl_dominfo info;
    int rc;

    libxl_dominfo_init(&info);
    rc = libxl_domain_info(tool->ctx, &info, domid);
    if (rc == 0)
        does = domain_does(&info);
    else if (rc == ERROR_DOMAIN_NOTFOUND)
        does = TOOL_DOMAIN_GONE;
    libxl_dominfo_dispose(&info);
    return does;
}

bool tool_has_domain(struct tool *tool, domid_t domid)
{
    return tool_query_domain(tool, domid) != TOOL_DOMAIN_GONE;
}

void tool_domain_key(struct tool *tool, domid_t domid, char name[TOOL_NAME_MAX])
{
    char *found = libxl_domid_to_name(tool->ctx, domid);

    if (found)
        snprintf(name, TOOL_NAME_MAX, "%s", found);
    else
        snprintf(name, TOOL_NAME_MAX, "%u", domid);
    free(found);
}

void tool_domain_name(struct tool *tool, domid_t domid, char name[TOOL_NAME_MAX])
{
    tool_domain_key(tool, domid, name);
    text_clean(name);
}

bool tool_interrupted(struct tool *tool)
{
    struct pollfd poll_signals = {.fd = tool->signals, .events = POLLIN};

    /* The signal is not read, so the descriptor stays readable. */
    return poll(&poll_signals, 1, 0) > 0;
}

int tool_signal(struct tool *tool)
{
    struct signalfd_siginfo info;

    return read(tool->signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

static int poll_time(int64_t deadline)
{
    int64_t left = deadline - clock_ms();

    if (deadline < 0)
        return -1;
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

int tool_await(struct tool *tool, int64_t deadline)
{
    struct pollfd fds[] = {
        {.fd = store_fd(tool->store), .events = POLLIN},
        {.fd = tool->signals, .events = POLLIN},
    };
    int rc = poll(fds, 2, poll_time(deadline));

    if (rc < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[1].revents)
        return -EINTR;
    return rc == 0 ? -ETIMEDOUT : 0;
}

/* Waits for a watch event. Returns 0: look again. */
static int await_event(struct tool *tool, int64_t deadline)
{
    int rc = tool_await(tool, deadline);

    return rc == 0 ? store_skip_events(tool->store) : rc;
}

int tool_wait(struct tool *tool, const char *const *paths, size_t count, int ms,
              int (*look)(struct store *store, void *arg), void *arg)
{
    int64_t deadline = ms < 0 ? -1 : clock_ms() + ms;
    size_t watched = 0;
    int rc = 0;

    while (rc == 0 && watched < count) {
        rc = store_watch(tool->store, paths[watched], "wait");
        watched += rc == 0;
    }
    while (rc == 0) {
        rc = look(tool->store, arg);
        if (rc == 0)
            rc = await_event(tool, deadline);
    }
    while (watched > 0)
        store_unwatch(tool->store, paths[--watched], "wait");
    return rc;
}
