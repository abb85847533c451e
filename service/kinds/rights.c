/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODE_USUAL 0600

/* Writes to why that a key's user or group cannot be looked up. Returns rc. */
static int explain_account(const char *key, const char *what, int rc, char why[CONNECTION_WHY_MAX])
{
    if (rc == -ENOENT)
        snprintf(why, CONNECTION_WHY_MAX, "%s=: no such %s in this domain", key, what);
    else if (rc == -E2BIG)
        snprintf(why, CONNECTION_WHY_MAX, "%s= is in more than %d groups", key, USER_GROUPS_MAX);
    else if (rc == -ETIMEDOUT)
        snprintf(why, CONNECTION_WHY_MAX, "%s=: the user database of this domain does not answer",
                 key);
    else
        snprintf(why, CONNECTION_WHY_MAX, "%s=: cannot ask the user database: %s", key,
                 strerror(-rc));
    return rc;
}

/* Whether name is a number without an account, which is allowed. */
static bool is_bare_number(const char *name, int rc, uint32_t *number)
{
    return rc == -ENOENT && parse_number(name, INT32_MAX, number) == 0;
}

int user_number(const char *key, const char *name, uid_t *uid, char why[CONNECTION_WHY_MAX])
{
    struct user user = {.uid = (uid_t)-1};
    int rc = name[0] ? account_user(name, &user) : 0;

    *uid = user.uid;
    if (rc < 0 && !is_bare_number(name, rc, uid))
        return explain_account(key, "user", rc, why);
    return 0;
}

static int read_group(const char *name, gid_t *gid, char why[CONNECTION_WHY_MAX])
{
    int rc = 0;

    *gid = (gid_t)-1;
    if (name[0])
        rc = account_group(name, gid);
    if (rc < 0 && !is_bare_number(name, rc, gid))
        return explain_account("group", "group", rc, why);
    return 0;
}

static int read_mode(const char *text, mode_t *mode, char why[CONNECTION_WHY_MAX])
{
    char *end;
    unsigned long value = strtoul(text, &end, 8);

    if (text[0] && (*end || strspn(text, "01234567") != strlen(text) || value > 0777)) {
        snprintf(why, CONNECTION_WHY_MAX, "mode= is not a mode (octal digits, such as 0660)");
        return -EINVAL;
    }
    *mode = text[0] ? (mode_t)value : MODE_USUAL;
    return 0;
}

/* Makes group the user's main group; the old main group becomes a supplementary one. */
static int put_group_first(struct user *user, gid_t group, char why[CONNECTION_WHY_MAX])
{
    if (user->group_count == USER_GROUPS_MAX) {
        snprintf(why, CONNECTION_WHY_MAX, "cannot add group=: owner= is already in %d groups",
                 USER_GROUPS_MAX);
        return -E2BIG;
    }
    user->groups[user->group_count++] = user->groups[0];
    user->groups[0] = group;
    return 0;
}

/* An owner without an account is in the declared group only. */
static int read_owner(const struct spec *spec, struct rights *rights, char why[CONNECTION_WHY_MAX])
{
    struct user *user = &rights->user;
    bool named = rights->group != (gid_t)-1;
    int rc;

    rights->owner = (uid_t)-1;
    user->group_count = 0;
    if (!spec->owner[0])
        return 0;
    rc = account_user(spec->owner, user);
    if (is_bare_number(spec->owner, rc, &rights->owner)) {
        user->uid = rights->owner;
        user->groups[0] = rights->group;
        user->group_count = named;
        return 0;
    }
    if (rc < 0)
        return explain_account("owner", "user", rc, why);
    rights->owner = user->uid;
    return named ? put_group_first(user, rights->group, why) : 0;
}

int rights_read(const struct spec *spec, struct rights *rights, char why[CONNECTION_WHY_MAX])
{
    int rc = read_group(spec->group, &rights->group, why);

    if (rc == 0)
        rc = read_owner(spec, rights, why);
    return rc == 0 ? read_mode(spec->mode, &rights->mode, why) : rc;
}

struct place rights_place(const struct rights *rights, const char *path)
{
    const struct user *user = rights->user.group_count > 0 ? &rights->user : NULL;

    return (struct place){.path = path,
                          .user = user,
                          .key = "owner",
                          .lacks_group = !user && rights->owner != (uid_t)-1};
}

int rights_give(const struct rights *rights, int file)
{
    if (rights->owner == (uid_t)-1 && rights->group == (gid_t)-1)
        return 0;
    return fchownat(file, "", rights->owner, rights->group, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

bool rights_are(const struct rights *rights, const struct stat *file)
{
    uid_t owner = rights->owner == (uid_t)-1 ? geteuid() : rights->owner;
    gid_t group = rights->group == (gid_t)-1 ? file->st_gid : rights->group;

    return file->st_uid == owner && file->st_gid == group && (file->st_mode & 0777) == rights->mode;
}

int user_read(const char *name, struct user *user, char why[CONNECTION_WHY_MAX])
{
    int rc = account_user(name, user);

    return rc < 0 ? explain_account("user", "user", rc, why) : 0;
}

int user_become(const struct user *user)
{
    bool is_already = geteuid() != 0 && geteuid() == user->uid;

    if (is_already)
        return 0;
    if (setgroups((size_t)user->group_count, user->groups) < 0 || setgid(user->groups[0]) < 0 ||
        setuid(user->uid) < 0)
        return -errno;
    return 0;
}
