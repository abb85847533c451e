/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vchan wait: waits until this domain's side of a channel is in a state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libpvchan/channels.h"
#include "cli/stop.h"
#include "cli/command.h"
#include "state/clock.h"
#include "state/error.h"

/* The channels listed so far, so that an event costs a look at one channel only. */
struct known {
    struct channel_name *names;
    size_t count;
};

/*
 * Returns 1 if it is in that state, 0 if not, -ENOENT if there is no such channel, or another
 * negative errno.
 */
static int is_reached(struct store *store, struct known *known, const char *name,
                      enum xenbus_state state)
{
    struct channel_view view;
    int rc = channels_lookup(store, &known->names, &known->count, name, false, &view);

    return rc < 0 ? rc : view.state == state;
}

/* Returns 0, or a negative errno: -ETIMEDOUT, or -EINTR after a signal. */
static int wait_event(struct store *store, int64_t deadline)
{
    struct pollfd pollfd = {.fd = store_fd(store), .events = POLLIN};
    int64_t left = deadline - clock_ms();
    int rc = stop_poll(&pollfd, 1, deadline < 0 ? -1 : left < 0 ? 0 : (int)left);

    if (rc == 0)
        return -ETIMEDOUT;
    return rc < 0 ? rc : store_skip_events(store);
}

/* Waits until the state is reached. Returns as is_reached(), or -ETIMEDOUT. */
static int wait_state(struct store *store, struct known *known, const char *name,
                      const struct options *options)
{
    int64_t deadline = options->timeout_ms < 0 ? -1 : clock_ms() + options->timeout_ms;
    int rc = store_watch(store, "device/vchan", "frontends");

    if (rc == 0)
        rc = store_watch(store, "backend/vchan", "backends");
    while (rc == 0) {
        int reached = is_reached(store, known, name, options->state);

        if (reached != 0 && reached != -ENOENT)
            return reached;
        rc = wait_event(store, deadline);
        if (rc == -ETIMEDOUT && reached == -ENOENT)
            rc = -ENOENT;
    }
    return rc;
}

static int wait_complain(const char *name, const struct options *options, int rc)
{
    switch (rc) {
    case -ETIMEDOUT:
        return complain(EXIT_TIME, "\"%s\" did not become %s in time (see vchan list)", name,
                        xenbus_state_name(options->state));
    case -ENOENT:
        return complain(EXIT_TIME,
                        "\"%s\" did not become %s in time: no channel has that name "
                        "(see vchan list)",
                        name, xenbus_state_name(options->state));
    case -ENOTUNIQ:
        return complain(EXIT_OPEN,
                        "\"%s\": several domains have a channel of that name (write DOMID/NAME)",
                        name);
    default:
        return complain(EXIT_LOCAL, "cannot watch \"%s\" in xenstore: %s", name, error_text(rc));
    }
}

int wait_run(const struct options *options, int argc, char **argv)
{
    struct known known = {0};
    struct store *store;
    int rc;

    if (argc != 1)
        return complain(EXIT_USAGE, "wait: expected the name of one channel");
    if (!channels_name_valid(argv[0]))
        return complain(EXIT_USAGE, "wait: \"%s\" is not a valid channel name", argv[0]);
    rc = store_open(&store);
    if (rc < 0)
        return complain(EXIT_LOCAL,
                        "cannot connect to xenstore: %s (run it as root in a Xen domain)",
                        strerror(-rc));
    stop_catch();
    rc = wait_state(store, &known, argv[0], options);
    free(known.names);
    store_close(store);
    stop_die();
    return rc > 0 ? EXIT_DONE : wait_complain(argv[0], options, rc);
}
