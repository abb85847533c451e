/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan daemon: keeps declared channels plugged, and removes those of dead domains. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/clock.h"
#include "state/notify.h"
#include "state/path.h"
#include "toolstack/command.h"
#include "toolstack/reconcile.h"

struct daemon {
    struct tool tool;
    struct config_dirs dirs;
    struct reconcile reconcile;
    int releases; /* an inotify descriptor: another process released a lock */
};

static int open_locks(struct daemon *daemon)
{
    struct tool *tool = &daemon->tool;
    int rc = record_open_locks(tool);

    if (rc < 0)
        return rc;
    daemon->reconcile.locks = rc;
    rc = record_try_lock(tool, daemon->reconcile.locks, RECORD_DAEMON);
    if (rc == -EBUSY)
        tool_complain(tool, "another daemon is already running");
    return rc;
}

static int watch_releases(struct daemon *daemon)
{
    char path[4096];
    int rc;

    snprintf(path, sizeof(path), "%s/lock", record_dir());
    daemon->releases = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (daemon->releases >= 0 && inotify_add_watch(daemon->releases, path, IN_CLOSE_WRITE) >= 0)
        return 0;
    rc = -errno;
    tool_complain(&daemon->tool, "cannot watch %s: %s", path, strerror(-rc));
    return rc;
}

static int watch_domains(struct daemon *daemon)
{
    int rc = store_watch(daemon->tool.store, "@introduceDomain", "daemon");

    if (rc == 0)
        rc = store_watch(daemon->tool.store, "@releaseDomain", "daemon");
    if (rc < 0)
        tool_complain(&daemon->tool, "cannot watch the domains: %s", tool_why(rc));
    return rc;
}

/* All events mean the same: look again. */
static int take_changes(struct daemon *daemon)
{
    char releases[4096];
    int rc;

    while (read(daemon->releases, releases, sizeof(releases)) > 0)
        continue;
    rc = store_skip_events(daemon->tool.store);
    if (rc < 0)
        tool_complain(&daemon->tool, "%s", tool_why(rc));
    return rc;
}

static int wait_time(const struct daemon *daemon)
{
    int64_t deadline = reconcile_deadline(&daemon->reconcile), now = clock_ms();

    if (deadline < 0)
        return -1;
    return deadline > now ? (int)(deadline - now) : 0;
}

/* Waits until there may be something to do. Returns 1 to end, 0 to look. */
static int wait_change(struct daemon *daemon)
{
    struct pollfd fds[] = {
        {.fd = store_fd(daemon->tool.store), .events = POLLIN},
        {.fd = daemon->tool.signals, .events = POLLIN},
        /* only interesting while another process has a lock that is needed */
        {.fd = daemon->reconcile.deferred ? daemon->releases : -1, .events = POLLIN},
    };

    if (poll(fds, 3, wait_time(daemon)) < 0 && errno != EINTR)
        return -errno;
    if (fds[1].revents) {
        if (tool_signal(&daemon->tool) != SIGHUP)
            return 1;
        reconcile_forget(&daemon->reconcile);
    }
    return take_changes(daemon);
}

static int serve_domains(struct daemon *daemon)
{
    int rc = reconcile_look(&daemon->reconcile);

    if (rc < 0)
        return rc;
    notify_manager("READY=1");
    while ((rc = wait_change(daemon)) == 0 && (rc = reconcile_look(&daemon->reconcile)) == 0)
        continue;
    notify_manager("STOPPING=1");
    return rc;
}

/* Warns about a directory that was named but does not exist. */
static void check_dirs(const struct config_dirs *dirs)
{
    for (size_t i = 0; i < dirs->count; i++)
        if (access(dirs->dirs[i], R_OK | X_OK) < 0)
            tool_say("daemon: cannot read %s: %s (continuing without it)", dirs->dirs[i],
                     strerror(errno));
}

/* Names that are relative are meant from where the daemon was started. NULL: reported. */
static const char *name_absolute(const char *name)
{
    const char *path = path_absolute(name);

    if (!path)
        tool_say("daemon: cannot find the full path of %s: %s (give an absolute path)", name,
                 strerror(errno));
    return path;
}

/*
 * What the process inherits is set: nobody else reads what it writes, and no file system is kept
 * from being unmounted. False: reported.
 */
static bool set_inherited(struct config_dirs *dirs)
{
    const char *records = name_absolute(record_dir());
    bool found = records != NULL;

    record_set_dir(records);
    for (size_t i = 0; i < dirs->count; i++) {
        dirs->dirs[i] = name_absolute(dirs->dirs[i]);
        found &= dirs->dirs[i] != NULL;
    }
    umask(0077);
    (void)!chdir("/");
    return found;
}

static void free_names(struct config_dirs *dirs)
{
    for (size_t i = 0; i < dirs->count; i++)
        free((char *)dirs->dirs[i]);
}

static int daemon_run(struct daemon *daemon)
{
    int rc = tool_open(&daemon->tool, "daemon", NULL);

    daemon->reconcile =
        (struct reconcile){.tool = &daemon->tool, .dirs = &daemon->dirs, .locks = -1};
    if (rc == 0)
        rc = open_locks(daemon);
    if (rc == 0)
        rc = watch_releases(daemon);
    if (rc == 0)
        rc = watch_domains(daemon);
    if (rc == 0)
        rc = serve_domains(daemon);
    reconcile_free(&daemon->reconcile);
    tool_close(&daemon->tool);
    if (daemon->releases >= 0)
        close(daemon->releases);
    if (daemon->reconcile.locks >= 0)
        close(daemon->reconcile.locks);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_daemon(const struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"config-dir", required_argument, NULL, 'c'}, {0}};
    const char *usual[] = {"/etc/xen", "/etc/xen/auto"};
    const char *given[argc];
    struct daemon daemon = {.dirs = {.dirs = given}, .releases = -1};
    int opt, rc;

    while ((opt = getopt_long(argc, argv, ":c:", options, NULL)) != -1) {
        if (opt != 'c')
            return command_bad_option(command, opt, argv);
        given[daemon.dirs.count++] = optarg;
    }
    if (optind < argc)
        return command_usage(command, "takes no arguments");
    tool_be_service();
    check_dirs(&daemon.dirs);
    if (daemon.dirs.count == 0)
        daemon.dirs = (struct config_dirs){.dirs = usual, .count = 2};
    rc = set_inherited(&daemon.dirs) ? daemon_run(&daemon) : EXIT_FAILURE;
    free_names(&daemon.dirs);
    return rc;
}

const struct command command_daemon = {
    "daemon", "[--config-dir DIR]...", "Keep the channels as they are declared",
    "Runs in the foreground until SIGTERM; SIGHUP makes it reread the config files. Domains get\n"
    "the channels that their config files declare, or that they had before a reboot or restore;\n"
    "devices of dead domains are removed.\n"
    "  -c, --config-dir DIR  where config files are (default: /etc/xen and /etc/xen/auto)\n",
    run_daemon};
