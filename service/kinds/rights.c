/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODE_USUAL 0600

/* A user's entry, by name first: a name may be all digits. NULL: there is none. */
static const struct passwd *find_user(const char *name)
{
    const struct passwd *entry = getpwnam(name);
    uint32_t number;

    if (!entry && parse_number(name, INT32_MAX, &number) == 0)
        entry = getpwuid(number);
    return entry;
}

/* A number needs no entry. */
static int read_owner(const char *name, uid_t *uid, char why[CONNECTION_WHY_MAX])
{
    const struct passwd *entry = name[0] ? find_user(name) : NULL;
    uint32_t number = (uint32_t)-1;

    if (!entry && name[0] && parse_number(name, INT32_MAX, &number) < 0) {
        snprintf(why, CONNECTION_WHY_MAX, "owner=: no such user in this domain");
        return -ENOENT;
    }
    *uid = entry ? entry->pw_uid : number;
    return 0;
}

static int read_group(const char *name, gid_t *gid, char why[CONNECTION_WHY_MAX])
{
    const struct group *entry = name[0] ? getgrnam(name) : NULL;
    uint32_t number = (uint32_t)-1;

    if (!entry && name[0] && parse_number(name, INT32_MAX, &number) < 0) {
        snprintf(why, CONNECTION_WHY_MAX, "group=: no such group in this domain");
        return -ENOENT;
    }
    *gid = entry ? entry->gr_gid : number;
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

/* As this group's member first of all; the main one stays among the others. */
static int user_lead(struct user *user, gid_t group, char why[CONNECTION_WHY_MAX])
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

/* A number that has no entry is in the group that is named, and in no other. */
static int read_maker(const struct spec *spec, struct rights *rights,
                      char why[CONNECTION_WHY_MAX])
{
    struct user *user = &rights->user;
    bool named = rights->group != (gid_t)-1;
    int rc = 0;

    user->group_count = 0;
    if (!spec->owner[0])
        return 0;
    if (find_user(spec->owner)) {
        rc = user_read(spec->owner, user, why);
        if (rc < 0)
            snprintf(why, CONNECTION_WHY_MAX, "owner= is in more than %d groups", USER_GROUPS_MAX);
        return rc == 0 && named ? user_lead(user, rights->group, why) : rc;
    }
    user->uid = rights->owner;
    user->groups[0] = rights->group;
    user->group_count = named;
    return rc;
}

int rights_read(const struct spec *spec, struct rights *rights,
                char why[CONNECTION_WHY_MAX])
{
    int rc = read_owner(spec->owner, &rights->owner, why);

    if (rc == 0)
        rc = read_group(spec->group, &rights->group, why);
    if (rc == 0)
        rc = read_mode(spec->mode, &rights->mode, why);
    return rc == 0 ? read_maker(spec, rights, why) : rc;
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
    const struct passwd *entry = find_user(name);

    if (!entry) {
        snprintf(why, CONNECTION_WHY_MAX, "user=: no such user in this domain");
        return -ENOENT;
    }
    user->uid = entry->pw_uid;
    snprintf(user->name, sizeof(user->name), "%s", entry->pw_name);
    snprintf(user->home, sizeof(user->home), "%s", entry->pw_dir);
    user->group_count = USER_GROUPS_MAX;
    if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &user->group_count) < 0) {
        snprintf(why, CONNECTION_WHY_MAX, "user= is in more than %d groups", USER_GROUPS_MAX);
        return -E2BIG;
    }
    return 0;
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
