/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens the channel that the arguments name, and explains failures. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpvchan/channels.h"
#include "cli/stop.h"
#include "cli/command.h"
#include "state/device.h"
#include "state/error.h"
#include "state/store.h"

static int check_path(const struct options *options, const struct target_words *words,
                      const char *path)
{
    if (options->target == TARGET_CLIENT && path[0] != '/')
        return complain(EXIT_USAGE, "\"%s\": --client needs an absolute path (/local/domain/%u/%s)",
                        path, words->domid, path);
    return EXIT_DONE;
}

int target_parse(const struct options *options, int argc, char **argv, struct target_words *words)
{
    int skip = options->target == TARGET_NAMED ? 0 : 1, code = EXIT_DONE;

    *words = (struct target_words){.paths = argv + skip, .count = argc - skip};
    if (words->count < 1)
        return complain(EXIT_USAGE, skip == 0
                                        ? "missing channel: a name, or --client or --server with "
                                          "DOMID and PATH (see vchan list, vchan help)"
                                        : "missing DOMID and PATH (see vchan help)");
    if (skip == 1 && parse_number(argv[0], DOMID_FIRST_RESERVED - 1, &words->domid) < 0)
        return complain(EXIT_USAGE, "\"%s\" is not a domain id", argv[0]);
    for (int i = 0; i < words->count && code == EXIT_DONE; i++)
        code = check_path(options, words, words->paths[i]);
    return code;
}

#define NO_XEN                                                                                     \
    "Xen devices or xenstore are missing, or not accessible to this user "                         \
    "(modprobe xen-gntalloc xen-gntdev xen-evtchn)"

#define NO_GRANTS                                                                                  \
    "the kernel grants no more pages (raise /sys/module/xen_gntalloc/parameters/limit, or use "    \
    "smaller rings)"

/* Explanations for errnos whose own text says too little, by form of the channel. */
static const struct cause {
    int error;
    const char *named;
    const char *plain;
} causes[] = {
    {-ENOENT, "no channel of that name in this domain (see vchan list)",
     "the node ring-ref is missing"},
    {-ENODEV, NO_XEN, NO_XEN},
    {-EINVAL, "not a valid channel name, or its nodes are invalid",
     "the keys are not numbers, or the page is not granted to this domain"},
    {-ENOTUNIQ, "several domains have a channel of that name (write DOMID/NAME)", NULL},
    {-EBUSY, "another process has it open",
     "another client is connected, or the server is gone and left its keys"},
    {-ETIMEDOUT, "the peer did not connect in time (see vchan list)",
     "no server offered it in time"},
    {-ECONNREFUSED, "the peer refused (see its error in vchan list)", NULL},
    {-ECONNRESET, "the peer went away", NULL},
    {-EOPNOTSUPP, "it is declared with streams, which one side cannot carry (see vchan list)",
     NULL},
    {-ENOSPC, NO_GRANTS, NO_GRANTS},
    {-EACCES, "no permission for Xen's devices or xenstore",
     "no permission for Xen's devices or the path"},
    {-EPROTO, "the peer's shared page is invalid", "the shared page is invalid"},
    {-ELOOP, "both ends are this domain", "both ends are this domain"},
    {-ENAMETOOLONG, "the name is too long", "the path is too long"},
};

static const char *cause_of(const struct options *options, int error)
{
    bool named = options->target == TARGET_NAMED;

    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        const char *text = named ? causes[i].named : causes[i].plain;

        if (causes[i].error == error && text)
            return text;
    }
    return error_text(error);
}

/* Views the channel of that name. Returns false if there is none, or several. */
static bool look_at(const char *name, struct channel_view *view)
{
    struct channel_name *names = NULL;
    size_t count = 0;
    struct store *store;
    bool there;

    if (store_open(&store) < 0)
        return false;
    there = channels_lookup(store, &names, &count, name, false, view) == 0;
    free(names);
    store_close(store);
    return there;
}

static int exit_code(int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return EXIT_TIME;
    case -EPROTO:
        return EXIT_CORRUPT;
    default:
        return EXIT_OPEN;
    }
}

static int open_one(const struct options *options, const struct target_words *words,
                    struct pvchan **channel)
{
    switch (options->target) {
    case TARGET_CLIENT:
        return pvchan_open_client(words->domid, words->paths[0], options->timeout_ms,
                                  PVCHAN_NONBLOCK, channel);
    case TARGET_SERVER:
        return pvchan_open_server(words->domid, words->paths[0], options->read_ring,
                                  options->write_ring, PVCHAN_NONBLOCK, channel);
    default:
        return pvchan_open(words->paths[0], options->timeout_ms, PVCHAN_NONBLOCK, channel);
    }
}

int target_open_in(const struct options *options, const struct target_words *words, int index,
                   struct pvchan_group *group, struct pvchan **channel)
{
    const char *path = words->paths[index];

    switch (options->target) {
    case TARGET_CLIENT:
        return pvchan_group_add_client(group, words->domid, path, options->timeout_ms, 0, channel);
    case TARGET_SERVER:
        return pvchan_group_add_server(group, words->domid, path, options->read_ring,
                                       options->write_ring, 0, channel);
    default:
        return pvchan_group_add_channel(group, path, options->timeout_ms, 0, channel);
    }
}

/* Explains by what xenstore shows of a channel. Returns 0 if that explains nothing. */
static int explain_named(const char *path, int error)
{
    struct channel_view view;

    if (!look_at(path, &view))
        return 0;
    if (error == -EBUSY && !view.for_program)
        return complain(EXIT_OPEN, "cannot open \"%s\": vchan-backend serves it (connection=%s)",
                        path, view.connection);
    if (error != -ECONNREFUSED || view.role != MACHINE_FRONTEND)
        return 0;
    if (view.peer_state == XenbusStateUnknown)
        return complain(EXIT_OPEN,
                        "cannot open \"%s\": the backend in domain %u is gone "
                        "(detach and attach the channel again in the toolstack domain)",
                        path, view.peer);
    if (view.backend_error[0])
        return complain(EXIT_OPEN, "cannot open \"%s\": the backend refused: %s", path,
                        view.backend_error);
    return 0;
}

int target_complain(const struct options *options, const struct target_words *words, int index,
                    int error)
{
    static const char *const verbs[] = {
        [TARGET_NAMED] = "open", [TARGET_CLIENT] = "connect to", [TARGET_SERVER] = "offer"};
    const char *cause = cause_of(options, error), *path = words->paths[index];
    int code = options->target == TARGET_NAMED ? explain_named(path, error) : 0;

    if (code)
        return code;
    if (options->target == TARGET_NAMED)
        return complain(exit_code(error), "cannot open \"%s\": %s", path, cause);
    return complain(exit_code(error), "cannot %s %s (domain %u): %s", verbs[options->target], path,
                    words->domid, cause);
}

int target_open(const struct options *options, int argc, char **argv, struct pvchan **channel)
{
    struct target_words words;
    int rc = target_parse(options, argc, argv, &words);

    *channel = NULL;
    if (rc != EXIT_DONE)
        return rc;
    if (words.count > 1)
        return complain(EXIT_USAGE, "\"%s\": only one channel can be given (see vchan help)",
                        words.paths[1]);
    do
        rc = open_one(options, &words, channel);
    while (rc == -EINTR && !stop_came());
    if (rc == 0 || stop_came())
        return rc == 0 ? EXIT_DONE : EXIT_LOCAL;
    return target_complain(options, &words, 0, rc);
}

int channel_complain(const char *which, int error)
{
    static const struct {
        int error, code;
        const char *text;
    } rows[] = {
        {-ECONNRESET, EXIT_PEER, "the peer failed or died (see its error in vchan list)"},
        {-EPIPE, EXIT_PEER, "the peer closed before it took all that was sent"},
        {-EPROTO, EXIT_CORRUPT, "the peer corrupted the ring"},
        {-ETIMEDOUT, EXIT_TIME, "the peer did not connect in time"},
    };
    const char *colon = which ? ": " : "";

    which = which ? which : "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].error == error)
            return complain(rows[i].code, "%s%s%s", which, colon, rows[i].text);
    return complain(EXIT_LOCAL, "%s%sthe channel failed: %s", which, colon, error_text(error));
}
