/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cgroup (v2) for each command, below the service's own if the service manager has delegated
 * that: SERVICE/guest-DOMID/NAME-N (man/vchan-backend.8.scd, "CGROUPS"). It contains all of a
 * command's processes, even in other sessions and process groups.
 *
 * The process has at most one tree of cgroups. Without one, cgroup_make() and cgroup_find() give
 * NULL, which every other function accepts and then does nothing. Belongs to the loop's thread. No
 * call blocks.
 */
#ifndef SERVICE_CGROUP_H
#define SERVICE_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

struct cgroup;
struct event_base;

/*
 * Take the values of the options --command-memory-max and --command-tasks-max, the limits for each
 * command. Call them before the tree is opened. Return -1, or the exit code after a usage error.
 */
int cgroups_limit_memory(const char *size);
int cgroups_limit_tasks(const char *number);

/*
 * Opens the tree below this process's own cgroup. If that fails, the log says why: as a detail, or
 * as an error if there are limits. base must outlive the tree.
 */
void cgroups_start(struct event_base *base);

/*
 * Opens the tree in a directory, for cgroups_start() and tests. alone: no process of the service is
 * in that cgroup, so its children can have limits. Returns 0, or a negative errno: -ENOENT (the
 * kernel cannot kill a cgroup) or the file system's.
 */
int cgroups_open(struct event_base *base, const char *dir, bool alone);

/* Closes the tree. Cgroups that still have processes stay, for the next process's cgroups_sweep().
 */
void cgroups_close(void);

/*
 * Ends the commands of an earlier process of the service that cgroup_find() has not found, as
 * cgroup_terminate() does with SIGTERM.
 */
void cgroups_sweep(void);

/*
 * Creates a cgroup for a command, GROUP/NAME-N (group "guest-5"), and sets the limits. Returns 0
 * with *cgroup owned by the caller (cgroup_terminate()), or a negative errno with nothing left.
 */
int cgroup_make(const char *group, const char *name, struct cgroup **cgroup);

/* Moves the calling process, a new command, into the cgroup. Returns 0 or a negative errno. */
int cgroup_join(const struct cgroup *cgroup);

/*
 * Finds the cgroup of a command that an earlier process of the service started, by one of the
 * command's processes. The caller owns it. Returns NULL if there is none or memory runs out.
 */
struct cgroup *cgroup_find(const char *group, const char *name, pid_t pid);

/*
 * Sends a signal to the cgroup's processes, except those in one process group (0: to all). SIGKILL
 * goes to all, and no process escapes it by forking.
 */
void cgroup_signal(const struct cgroup *cgroup, int number, pid_t except);

/*
 * The command has ended, or was signalled. Processes that are left after 5 seconds get next_signal,
 * and SIGKILL 5 seconds later. The cgroup is removed and freed when it is empty; until then it uses
 * the event loop.
 */
void cgroup_terminate(struct cgroup *cgroup, int next_signal);

#endif
