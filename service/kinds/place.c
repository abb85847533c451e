/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "service/kinds/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "service/connection.h"
#include "service/kinds/errand.h"
#include "service/kinds/rights.h"
#include "state/clock.h"

#define HANG_MS       30000
#define ARG_MAX_BYTES 1024

/* ---- paths that did not answer ---- */

struct hung {
    char path[SPEC_PATH_MAX + 1];
    uid_t uid;     /* the declared user's; 0: none but root */
    pid_t pid;     /* the process that hangs; 0: it has ended */
    int64_t until; /* ms */
    LIST_ENTRY(hung) next;
};

static LIST_HEAD(, hung) hung_list = LIST_HEAD_INITIALIZER(hung_list);

static bool may_try_again(struct hung *hung)
{
    if (hung->pid && errand_ended(hung->pid))
        hung->pid = 0;
    return !hung->pid && clock_ms() >= hung->until;
}

static uid_t uid_of(const struct place *place)
{
    return place->user ? place->user->uid : 0;
}

/* A user who can make one path hang can make others hang. */
static bool may_hang_too(const struct hung *hung, const struct place *place)
{
    return strcmp(hung->path, place->path) == 0 || (hung->uid && hung->uid == uid_of(place));
}

/* Whether a visit there took too long a short time ago. Forgets those that may be tried again. */
static bool is_known_to_hang(const struct place *place)
{
    struct hung *hung, *next;
    bool found = false;

    for (hung = LIST_FIRST(&hung_list); hung; hung = next) {
        next = LIST_NEXT(hung, next);
        if (may_try_again(hung)) {
            LIST_REMOVE(hung, next);
            free(hung);
        } else if (may_hang_too(hung, place)) {
            found = true;
        }
    }
    return found;
}

static void add_hung(const struct place *place, pid_t pid)
{
    struct hung *hung = malloc(sizeof(*hung));

    if (!hung)
        return;
    *hung = (struct hung){.uid = uid_of(place), .pid = pid, .until = clock_ms() + HANG_MS};
    snprintf(hung->path, sizeof(hung->path), "%s", place->path);
    LIST_INSERT_HEAD(&hung_list, hung, next);
}

/* ---- in the short-lived process ---- */

/*
 * What the pointers point to is in the new process too. Only blame and arg are used of what comes
 * back: the process may have run as another user.
 */
struct visit {
    const struct place *place;
    bool follow;
    place_work *work;
    struct blame blame;
    char arg[ARG_MAX_BYTES];
};

_Static_assert(sizeof(struct visit) <= ERRAND_BYTES, "an errand's answer has room for a visit");

static int walk_as(const struct visit *visit, const struct user *user, struct spot *spot)
{
    int rc = user_become(user);

    return rc < 0 ? rc : walk(visit->place->path, visit->follow, spot, NULL);
}

static int find_spot(struct visit *visit, struct spot *spot)
{
    const struct user *user = visit->place->user;
    bool is_other = user && user->uid != 0; /* a walk as root checks the owners */
    int rc;

    if (is_other && visit->place->as_user)
        return walk_as(visit, user, spot);
    rc = walk(visit->place->path, visit->follow, spot, &visit->blame);
    if (rc != -ENOKEY || !is_other)
        return rc;
    visit->blame.why = BLAME_NOTHING;
    return walk_as(visit, user, spot);
}

/* The spot need not be closed: the process exits. */
static int visit_there(void *arg)
{
    struct visit *visit = arg;
    struct spot spot;
    int rc = find_spot(visit, &spot);

    return rc < 0 ? rc : visit->work(&spot, visit->arg);
}

/* ---- in the service ---- */

/* Looks up the name of the user or group to blame. */
static void name_blamed(struct place *place)
{
    int rc = -ENOENT;

    if (place->blame.why == BLAME_USER)
        rc = account_user_name(place->blame.id, place->blamed);
    else if (place->blame.why == BLAME_GROUP)
        rc = account_group_name(place->blame.id, place->blamed);
    if (rc < 0)
        place->blamed[0] = '\0';
}

int place_visit(struct place *place, bool follow, int fd, place_work *work, void *arg, size_t size)
{
    struct visit visit = {.place = place, .follow = follow, .work = work};
    pid_t left;
    int rc;

    place->blame.why = BLAME_NOTHING;
    if (is_known_to_hang(place))
        return -ETIMEDOUT;
    memcpy(visit.arg, arg, size);
    rc = errand_run(visit_there, &visit, sizeof(visit), fd, &left);
    if (rc == -ETIMEDOUT)
        add_hung(place, left);
    place->blame = visit.blame;
    memcpy(arg, visit.arg, size);
    name_blamed(place);
    return rc;
}

/* ---- messages ---- */

const char *place_error(int rc)
{
    switch (rc) {
    case -ENOKEY:
        return "users other than root can change it, and the channel names none of them "
               "(see the service's log)";
    case -EKEYREJECTED:
        return "it leads to xenstored or to Xen's devices, which no channel may use";
    case -EISDIR:
        return "it is a directory";
    case -ETIMEDOUT:
        return "its file system did not answer within 2 s";
    default:
        return strerror(-rc);
    }
}

/* Says which key to add if a user owns the part. A user without an account needs group= too. */
static void advise_user(const struct place *place, char *text, size_t size)
{
    const struct blame *blame = &place->blame;
    size_t length;

    if (place->blamed[0]) {
        snprintf(text, size, "%s belongs to user %s: add %s=%s", blame->part, place->blamed,
                 place->key, place->blamed);
        return;
    }
    snprintf(text, size, "%s belongs to user %u, who has no account here: ", blame->part,
             blame->id);
    length = strlen(text);
    if (place->as_user)
        snprintf(text + length, size - length, "create one for %s=", place->key);
    else
        snprintf(text + length, size - length, "add %s=%u and group=GROUP", place->key, blame->id);
}

/* Says which key to add if the user may be any that has access. */
static void advise_any_user(const struct place *place, const char *why, char *text, size_t size)
{
    if (place->lacks_group)
        snprintf(text, size, "%s, and %s= has no account: add group=GROUP", why, place->key);
    else
        snprintf(text, size, "%s: add %s=USER", why, place->key);
}

void place_explain(const struct place *place, char *text, size_t size)
{
    const struct blame *blame = &place->blame;
    char name[16], why[256];

    text[0] = '\0';
    switch (blame->why) {
    case BLAME_NOTHING:
        break;
    case BLAME_USER:
        advise_user(place, text, size);
        break;
    case BLAME_GROUP:
        snprintf(name, sizeof(name), "%u", blame->id);
        snprintf(why, sizeof(why), "group %s can write to %s",
                 place->blamed[0] ? place->blamed : name, blame->part);
        advise_any_user(place, why, text, size);
        break;
    case BLAME_EVERYBODY:
        snprintf(why, sizeof(why), "every user can write to %s", blame->part);
        advise_any_user(place, why, text, size);
        break;
    case BLAME_FUSE:
        snprintf(why, sizeof(why), "%s is a FUSE file system", blame->part);
        advise_any_user(place, why, text, size);
        break;
    }
}
