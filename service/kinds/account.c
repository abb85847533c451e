/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "service/kinds/errand.h"
#include "state/clock.h"
#include "state/store.h"

#define REPLY_MS    30000
#define SILENCE_MS  30000
#define REPLIES_MAX 256

/* The kinds of lookup: the first two by name, the others by number. */
enum question { ASK_USER, ASK_GROUP, ASK_USER_NAME, ASK_GROUP_NAME };

/* A question, to which the find_…() functions add the answer. */
struct lookup {
    enum question question;
    char name[SPEC_ACCOUNT_MAX + 1];
    uint32_t id;
    struct user user;
};

_Static_assert(sizeof(struct lookup) <= ERRAND_BYTES, "an errand's answer has room for a lookup");

/* ---- in the short-lived process: each returns 0 or a negative errno ---- */

static int find_user(struct lookup *lookup)
{
    const struct passwd *entry = getpwnam(lookup->name);
    struct user *user = &lookup->user;
    uint32_t number;

    if (!entry && parse_number(lookup->name, INT32_MAX, &number) == 0)
        entry = getpwuid(number);
    if (!entry)
        return -ENOENT;
    user->uid = entry->pw_uid;
    snprintf(user->name, sizeof(user->name), "%s", entry->pw_name);
    snprintf(user->home, sizeof(user->home), "%s", entry->pw_dir);
    user->group_count = USER_GROUPS_MAX;
    return getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &user->group_count) < 0
               ? -E2BIG
               : 0;
}

static int find_group(struct lookup *lookup)
{
    const struct group *entry = getgrnam(lookup->name);

    if (!entry)
        return -ENOENT;
    lookup->id = entry->gr_gid;
    return 0;
}

static int find_user_name(struct lookup *lookup)
{
    const struct passwd *entry = getpwuid(lookup->id);

    if (!entry)
        return -ENOENT;
    snprintf(lookup->name, sizeof(lookup->name), "%s", entry->pw_name);
    return 0;
}

static int find_group_name(struct lookup *lookup)
{
    const struct group *entry = getgrgid(lookup->id);

    if (!entry)
        return -ENOENT;
    snprintf(lookup->name, sizeof(lookup->name), "%s", entry->gr_name);
    return 0;
}

static int ask_database(void *arg)
{
    static int (*const finds[])(struct lookup * lookup) = {
        [ASK_USER] = find_user,
        [ASK_GROUP] = find_group,
        [ASK_USER_NAME] = find_user_name,
        [ASK_GROUP_NAME] = find_group_name,
    };
    struct lookup *lookup = arg;

    return finds[lookup->question](lookup);
}

/* ---- kept answers ---- */

/* The question is kept beside the answer, which may contain another name. */
struct reply {
    TAILQ_ENTRY(reply) next;
    int64_t until; /* ms */
    enum question question;
    char name[SPEC_ACCOUNT_MAX + 1];
    uint32_t id;
    struct lookup lookup;
};

static TAILQ_HEAD(, reply) replies = TAILQ_HEAD_INITIALIZER(replies);
static unsigned int reply_count;

static bool asks_by_name(enum question question)
{
    return question == ASK_USER || question == ASK_GROUP;
}

static struct reply *reply_find(const struct lookup *lookup)
{
    struct reply *reply;

    TAILQ_FOREACH (reply, &replies, next)
        if (reply->question == lookup->question &&
            (asks_by_name(reply->question) ? strcmp(reply->name, lookup->name) == 0
                                           : reply->id == lookup->id))
            return reply;
    return NULL;
}

static void reply_drop(struct reply *reply)
{
    if (!reply)
        return;
    TAILQ_REMOVE(&replies, reply, next);
    reply_count--;
    free(reply);
}

/* Drops the oldest reply if there are too many. Without memory the next lookup asks again. */
static void reply_add(const struct lookup *asked, const struct lookup *answered)
{
    struct reply *reply = calloc(1, sizeof(*reply));

    reply_drop(reply_find(asked));
    if (!reply)
        return;
    *reply = (struct reply){.until = clock_ms() + REPLY_MS,
                            .question = asked->question,
                            .id = asked->id,
                            .lookup = *answered};
    memcpy(reply->name, asked->name, sizeof(reply->name));
    if (reply_count == REPLIES_MAX)
        reply_drop(TAILQ_FIRST(&replies));
    TAILQ_INSERT_TAIL(&replies, reply, next);
    reply_count++;
}

/* ---- asking ---- */

/* After no answer, the database is not asked until then, nor until the asking process has ended. */
static struct {
    int64_t until; /* ms */
    pid_t pid;     /* 0: it has ended */
} silence;

static bool is_database_silent(void)
{
    if (silence.pid && errand_ended(silence.pid))
        silence.pid = 0;
    return silence.pid || clock_ms() < silence.until;
}

static int query_database(struct lookup *lookup)
{
    const struct lookup asked = *lookup;
    int rc;

    if (is_database_silent())
        return -ETIMEDOUT;
    rc = errand_run(ask_database, lookup, sizeof(*lookup), -1, &silence.pid);
    if (rc == -ETIMEDOUT)
        silence.until = clock_ms() + SILENCE_MS;
    if (rc == 0)
        reply_add(&asked, lookup);
    return rc;
}

static int answer_lookup(struct lookup *lookup)
{
    const struct reply *reply = reply_find(lookup);
    bool is_fresh = reply && clock_ms() < reply->until;
    int rc = is_fresh ? 0 : query_database(lookup);

    if (!is_fresh && (rc != -ETIMEDOUT || !reply))
        return rc;
    *lookup = reply->lookup;
    return 0;
}

static void set_lookup_name(struct lookup *lookup, const char *name)
{
    snprintf(lookup->name, sizeof(lookup->name), "%s", name);
}

int account_user(const char *name, struct user *user)
{
    struct lookup lookup = {.question = ASK_USER};
    int rc;

    set_lookup_name(&lookup, name);
    rc = answer_lookup(&lookup);
    if (rc == 0)
        *user = lookup.user;
    return rc;
}

int account_group(const char *name, gid_t *gid)
{
    struct lookup lookup = {.question = ASK_GROUP};
    int rc;

    set_lookup_name(&lookup, name);
    rc = answer_lookup(&lookup);
    if (rc == 0)
        *gid = lookup.id;
    return rc;
}

static int name_of(enum question question, uint32_t id, char name[SPEC_ACCOUNT_MAX + 1])
{
    struct lookup lookup = {.question = question, .id = id};
    int rc = answer_lookup(&lookup);

    if (rc == 0)
        memcpy(name, lookup.name, sizeof(lookup.name));
    return rc;
}

int account_user_name(uid_t uid, char name[SPEC_ACCOUNT_MAX + 1])
{
    return name_of(ASK_USER_NAME, uid, name);
}

int account_group_name(gid_t gid, char name[SPEC_ACCOUNT_MAX + 1])
{
    return name_of(ASK_GROUP_NAME, gid, name);
}
