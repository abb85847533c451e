/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "service/kinds/place.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/connection.h"
#include "service/kinds/rights.h"
#include "state/clock.h"

#define PATIENCE_MS   2000
#define DISTRUST_MS   30000
#define ARG_MAX_BYTES 1024

/* ---- paths that did not answer ---- */

struct hung {
    char path[SPEC_PATH_MAX + 1];
    uid_t uid;     /* of the user whom the declaration names; 0: nobody with less than root */
    pid_t pid;     /* 0: it has ended */
    int64_t until; /* ms */
    LIST_ENTRY(hung) next;
};

static LIST_HEAD(, hung) hung_list = LIST_HEAD_INITIALIZER(hung_list);

static bool visitor_ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) != 0;
}

static bool is_over(struct hung *hung)
{
    if (hung->pid && visitor_ended(hung->pid))
        hung->pid = 0;
    return !hung->pid && clock_ms() >= hung->until;
}

static uid_t uid_of(const struct place *place)
{
    return place->user ? place->user->uid : 0;
}

/* Who has one path hang can have others hang. */
static bool is_alike(const struct hung *hung, const struct place *place)
{
    return strcmp(hung->path, place->path) == 0 || (hung->uid && hung->uid == uid_of(place));
}

/* Whether a visit there took too long, and it is too early for another. */
static bool hangs(const struct place *place)
{
    struct hung *hung, *next;
    bool found = false;

    for (hung = LIST_FIRST(&hung_list); hung; hung = next) {
        next = LIST_NEXT(hung, next);
        if (is_over(hung)) {
            LIST_REMOVE(hung, next);
            free(hung);
        } else if (is_alike(hung, place)) {
            found = true;
        }
    }
    return found;
}

static void note_hung(const struct place *place, pid_t pid)
{
    struct hung *hung = malloc(sizeof(*hung));

    if (!hung)
        return;
    *hung = (struct hung){.uid = uid_of(place), .pid = pid, .until = clock_ms() + DISTRUST_MS};
    snprintf(hung->path, sizeof(hung->path), "%s", place->path);
    LIST_INSERT_HEAD(&hung_list, hung, next);
}

/* ---- in the short-lived process ---- */

struct visit {
    struct place *place;
    bool follow;
    place_work *work;
    void *arg;
    size_t size;
};

struct answer {
    int rc;
    struct blame blame;
    char arg[ARG_MAX_BYTES];
};

static void close_between(unsigned int first, unsigned int last)
{
    if (first <= last)
        close_range(first, last, 0);
}

/* Others' sockets and rings must not stay open for as long as a path takes. */
static void close_all_but(int one, int other)
{
    unsigned int low = (unsigned int)(one < other ? one : other);
    unsigned int high = (unsigned int)(one < other ? other : one);

    if (one < 0 || other < 0)
        low = high;
    close_between(STDERR_FILENO + 1, low - 1);
    close_between(low + 1, high - 1);
    close_between(high + 1, ~0U);
}

static int walk_as(const struct visit *visit, const struct user *user, struct spot *spot)
{
    int rc = user_become(user);

    return rc < 0 ? rc : walk(visit->place->path, visit->follow, spot, NULL);
}

static int find_spot(const struct visit *visit, struct spot *spot, struct blame *blame)
{
    const struct user *user = visit->place->user;
    bool is_other = user && user->uid != 0; /* a path of root's has to be root's alone */
    int rc;

    if (is_other && visit->place->as_user)
        return walk_as(visit, user, spot);
    rc = walk(visit->place->path, visit->follow, spot, blame);
    if (rc != -ENOKEY || !is_other)
        return rc;
    blame->why = BLAME_NOTHING;
    return walk_as(visit, user, spot);
}

/* As this process it ends: nothing of it outlives a visit. */
static void go(const struct visit *visit, int answer_fd)
{
    struct answer answer = {0};
    struct spot spot;

    answer.rc = find_spot(visit, &spot, &answer.blame);
    if (answer.rc == 0)
        answer.rc = visit->work(&spot, visit->arg);
    memcpy(answer.arg, visit->arg, visit->size);
    _exit(write(answer_fd, &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
}

/* ---- in the service ---- */

/* All signals stay blocked there: their handlers are the service's, and speak to its loop. */
static pid_t spawn(const struct visit *visit, int answer_fd, int fd)
{
    sigset_t all, before;
    pid_t pid;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        close_all_but(answer_fd, fd);
        go(visit, answer_fd);
    }
    if (pid < 0)
        pid = -errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static int await_answer(int fd)
{
    const int64_t end = clock_ms() + PATIENCE_MS;
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    int64_t left = PATIENCE_MS;
    int rc;

    do {
        rc = poll(&pollfd, 1, (int)left);
        left = end - clock_ms();
    } while (rc < 0 && errno == EINTR && left > 0);
    return rc > 0 ? 0 : -ETIMEDOUT;
}

static int hear(const struct visit *visit, int fd)
{
    struct answer answer;
    int rc = await_answer(fd);

    if (rc < 0)
        return rc;
    if (read(fd, &answer, sizeof(answer)) != sizeof(answer))
        return -EIO; /* it was killed */
    visit->place->blame = answer.blame;
    memcpy(visit->arg, answer.arg, visit->size);
    return answer.rc;
}

/* What was killed ends at once, unless a file system holds it. A stopped one would not end itself. */
static void dismiss(pid_t pid, const struct place *place, int rc)
{
    kill(pid, SIGKILL);
    if (rc == -ETIMEDOUT)
        note_hung(place, visitor_ended(pid) ? 0 : pid);
    else
        waitpid(pid, NULL, 0);
}

static int send_out(const struct visit *visit, const int ends[2], int fd)
{
    pid_t pid = spawn(visit, ends[1], fd);
    int rc;

    close(ends[1]);
    if (pid < 0)
        return pid;
    rc = hear(visit, ends[0]);
    dismiss(pid, visit->place, rc);
    return rc;
}

int place_visit(struct place *place, bool follow, int fd, place_work *work, void *arg, size_t size)
{
    const struct visit visit = {
        .place = place, .follow = follow, .work = work, .arg = arg, .size = size};
    int ends[2], rc;

    place->blame.why = BLAME_NOTHING;
    if (hangs(place))
        return -ETIMEDOUT;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    rc = send_out(&visit, ends, fd);
    close(ends[0]);
    return rc;
}

/* ---- what to say ---- */

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

/* What to write for a user. Only an account says which groups a user has. */
static void advise_user(const struct place *place, char *text, size_t size)
{
    const struct blame *blame = &place->blame;
    const struct passwd *entry = getpwuid(blame->id);
    size_t length;

    if (entry) {
        snprintf(text, size, "%s belongs to user %s: add %s=%s", blame->part, entry->pw_name,
                 place->key, entry->pw_name);
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

/* What to write for any user that may go there. */
static void advise(const struct place *place, const char *why, char *text, size_t size)
{
    if (place->lacks_group)
        snprintf(text, size, "%s, and %s= has no account: add group=GROUP", why, place->key);
    else
        snprintf(text, size, "%s: add %s=USER", why, place->key);
}

static void name_group(gid_t gid, char *text, size_t size)
{
    const struct group *entry = getgrgid(gid);

    if (entry)
        snprintf(text, size, "%s", entry->gr_name);
    else
        snprintf(text, size, "%u", gid);
}

void place_explain(const struct place *place, char *text, size_t size)
{
    const struct blame *blame = &place->blame;
    char name[SPEC_ACCOUNT_MAX + 1], why[256];

    text[0] = '\0';
    switch (blame->why) {
    case BLAME_NOTHING:
        break;
    case BLAME_USER:
        advise_user(place, text, size);
        break;
    case BLAME_GROUP:
        name_group(blame->id, name, sizeof(name));
        snprintf(why, sizeof(why), "group %s can write to %s", name, blame->part);
        advise(place, why, text, size);
        break;
    case BLAME_EVERYBODY:
        snprintf(why, sizeof(why), "every user can write to %s", blame->part);
        advise(place, why, text, size);
        break;
    case BLAME_FUSE:
        snprintf(why, sizeof(why), "%s is a FUSE file system", blame->part);
        advise(place, why, text, size);
        break;
    }
}
